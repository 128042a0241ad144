/* Which addresses are this host's, the bytes of the NULL call, and which bytes are an answer to it.
 */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "init/nfs_ping.h"
#include "lib/cleanup.h"

static void test_addresses(void **state)
{
    static const struct {
        const char *text, *shown; /* NULL: no address */
        bool loopback;
    } cases[] = {
        {"10.0.1.5", "10.0.1.5", false},
        {"127.0.0.1", "127.0.0.1", true},
        {"127.255.0.9", "127.255.0.9", true},
        {"0.0.0.0", "0.0.0.0", true},
        {"128.0.0.1", "128.0.0.1", false},
        {"126.255.255.255", "126.255.255.255", false},
        {"1.0.0.127", "1.0.0.127", false},
        {"::1", "::1", true},
        {"::", "::", true},
        {"::2", "::2", false},
        {"::ffff:127.0.0.1", "::ffff:127.0.0.1", true},
        {"::ffff:10.0.0.1", "::ffff:10.0.0.1", false},
        {"2001:DB8::0:5", "2001:db8::5", false},
        {"10.0.1", NULL, false},
        {"0x7f.1", NULL, false},
        {"10.0.0.1 ", NULL, false},
        {"fs-12345678", NULL, false},
        {"[::1]", NULL, false},
        {"", NULL, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct nfs_address address;
        char text[NFS_ADDRESS_TEXT];
        bool parsed = nfs_address_parse(cases[i].text, &address);
        if (parsed != (cases[i].shown != NULL))
            fail_msg("\"%s\" is %s address", cases[i].text, parsed ? "an" : "no");
        if (!parsed)
            continue;
        assert_string_equal(nfs_address_text(&address, text), cases[i].shown);
        assert_int_equal(nfs_address_is_loopback(&address), cases[i].loopback);
        assert_true(nfs_address_equal(&address, &address));
        assert_int_equal(address.any.sa_family == AF_INET ? address.v4.sin_port
                                                          : address.v6.sin6_port,
                         htons(2049));
    }
}

static void test_no_other_family(void **state)
{
    struct sockaddr address = {.sa_family = AF_UNIX};
    struct nfs_address copy;
    assert_false(nfs_address_from(&address, &copy));
}

/* A loopback address ends at once and opens no socket. */
static void test_loopback_is_not_connected(void **state)
{
    struct nfs_address address;
    struct nfs_ping ping;
    assert_true(nfs_address_parse("127.0.0.1", &address));
    nfs_ping_start(&ping, &address, 1000, INT64_MAX);
    assert_int_equal(ping.state, NFS_PING_ENDED);
    assert_int_equal(ping.result, NFS_PING_LOOPBACK);
    assert_int_equal(ping.fd, -1);
}

/* As tshark would show it: RFC 5531, section 9. */
static void test_call(void **state)
{
    static const uint8_t expected[NFS_CALL_BYTES] = {0x80, 0, 0,    40,   0x12, 0x34, 0x56, 0x78,
                                                     0,    0, 0,    0,    0,    0,    0,    2,
                                                     0,    1, 0x86, 0xa3, 0,    0,    0,    4};
    uint8_t call[NFS_CALL_BYTES];
    nfs_call_encode(0x12345678, call);
    assert_memory_equal(call, expected, sizeof(call));
}

#define MARK(bytes) (0x80000000U | (bytes))

enum { XID = 0x01020304 };

static const struct {
    const char *what;
    size_t n;
    uint32_t words[12];
    const char *wrong; /* NULL: it is the answer */
} replies[] = {
    {"accepted, no verifier", 7, {MARK(24), XID, 1, 0, 0, 0, 0}, NULL},
    {"with a verifier of 5 bytes", 9, {MARK(32), XID, 1, 0, 1, 5, 0xffffffff, 0xff000000, 0}, NULL},
    {"no such program", 7, {MARK(24), XID, 1, 0, 0, 0, 1}, "not one of NFS"},
    {"NFS 2 to 3", 9, {MARK(32), XID, 1, 0, 0, 0, 2, 2, 3}, "does not speak version 4"},
    {"garbage arguments", 7, {MARK(24), XID, 1, 0, 0, 0, 4}, "with an error"},
    {"denied", 6, {MARK(20), XID, 1, 1, 1, 5}, "refuses the call"},
    {"another call's", 7, {MARK(24), XID + 1, 1, 0, 0, 0, 0}, "no RPC server"},
    {"a call", 7, {MARK(24), XID, 0, 0, 0, 0, 0}, "no RPC server"},
    {"not the last fragment", 7, {24, XID, 1, 0, 0, 0, 0}, "no RPC server"},
    {"shorter than any reply", 3, {MARK(8), XID, 1}, "no RPC server"},
    {"ends before the verifier does", 7, {MARK(24), XID, 1, 0, 0, 4, 0}, "no RPC server"},
    {"ends before its status", 6, {MARK(20), XID, 1, 0, 0, 0}, "no RPC server"},
    {"a verifier of 2^32-1 bytes", 7, {MARK(24), XID, 1, 0, 0, 0xffffffff, 0}, "no RPC server"},
    {"a record of 2 GiB", 7, {0xffffffff, XID, 1, 0, 0, 0, 0}, "no RPC server"},
};

static void test_replies(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(replies); i++) {
        uint8_t bytes[sizeof(replies[i].words)];
        bool more;
        for (size_t j = 0; j < replies[i].n; j++) {
            uint32_t word = htonl(replies[i].words[j]);
            memcpy(bytes + 4 * j, &word, sizeof(word));
        }
        const char *wrong = nfs_reply_check(XID, bytes, 4 * replies[i].n, &more);
        if (more || !wrong != !replies[i].wrong || (wrong && !strstr(wrong, replies[i].wrong)))
            fail_msg("%s: %s%s", replies[i].what, wrong ? wrong : "good", more ? ", more" : "");
        for (size_t n = 0; !replies[i].wrong && n < 4 * replies[i].n; n++) {
            assert_null(nfs_reply_check(XID, bytes, n, &more));
            assert_true(more);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_no_other_family),
        cmocka_unit_test(test_loopback_is_not_connected),
        cmocka_unit_test(test_call),
        cmocka_unit_test(test_replies),
    };
    return cmocka_run_group_tests_name("nfs_ping", tests, NULL, NULL);
}
