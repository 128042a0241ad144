#include "lib/share/change.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka needs the four above */
#include <cmocka.h>

#include "lib/cleanup.h"
#include "lib/share/change_line.h"

static const uint8_t sha256[CHANGE_DIGEST_BYTES] = {0x00, 0x9f, [31] = 0xff};

static const struct change full = {
    .op = CHANGE_RENAME,
    .flags = CHANGE_HAS_ATTRS | CHANGE_IS_DIR | CHANGE_HAS_DIGEST,
    .sha256 = sha256,
    .epoch = 7,
    .sequence = UINT64_MAX,
    .size = 1ull << 40,
    .mtime_ns = 1763891754123456789,
    .ctime_ns = -1,
    .path = "a/b\xff/..c",
    .from = "old name",
    .observer = "task-1",
    .source = CHANGE_SOURCE_SCAN,
};

static void test_round_trip(void **state)
{
    uint8_t bytes[CHANGE_ENCODED_MAX];
    struct change got;
    int n = change_encode(&full, bytes, sizeof(bytes));
    assert_true(n > 0);
    assert_int_equal(change_decode(bytes, (size_t)n, &got), 0);
    assert_int_equal(got.op, full.op);
    assert_int_equal(got.flags, full.flags);
    assert_int_equal(got.source, full.source);
    assert_int_equal(got.epoch, full.epoch);
    assert_true(got.sequence == full.sequence);
    assert_true(got.size == full.size);
    assert_true(got.mtime_ns == full.mtime_ns && got.ctime_ns == full.ctime_ns);
    assert_string_equal(got.path, full.path);
    assert_string_equal(got.from, full.from);
    assert_string_equal(got.observer, full.observer);
    assert_memory_equal(got.sha256, sha256, sizeof(sha256));
}

/* The format lies on disks one day: these bytes must never change for version 1. */
static void test_layout(void **state)
{
    static const uint8_t expected[] = {
        1, 7, 1, 1, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0,   0,   0, 0, 0,   0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 'x', 'y', 0, 0, 'o', 0,
    };
    struct change c = {.op = CHANGE_RESYNC,
                       .reason = CHANGE_REASON_OVERFLOW,
                       .flags = CHANGE_IS_DIR,
                       .epoch = 2,
                       .sequence = 3,
                       .path = "xy",
                       .observer = "o"};
    uint8_t bytes[CHANGE_ENCODED_MAX];
    assert_int_equal(change_encode(&c, bytes, sizeof(bytes)), sizeof(expected));
    assert_memory_equal(bytes, expected, sizeof(expected));
}

static void test_longest(void **state)
{
    char path[CHANGE_PATH_MAX + 2], observer[CHANGE_OBSERVER_MAX + 2];
    memset(path, 'p', sizeof(path));
    memset(observer, 'o', sizeof(observer));
    path[CHANGE_PATH_MAX] = observer[CHANGE_OBSERVER_MAX] = '\0';
    struct change c = {.op = CHANGE_RENAME,
                       .flags = CHANGE_HAS_DIGEST,
                       .path = path,
                       .from = path,
                       .observer = observer,
                       .sha256 = sha256};
    struct change got;
    uint8_t bytes[CHANGE_ENCODED_MAX];
    assert_int_equal(change_encode(&c, bytes, sizeof(bytes)), CHANGE_ENCODED_MAX);
    assert_int_equal(change_decode(bytes, CHANGE_ENCODED_MAX, &got), 0);
    assert_string_equal(got.observer, observer);
    assert_int_equal(change_encode(&c, bytes, sizeof(bytes) - 1), -EMSGSIZE);
    path[CHANGE_PATH_MAX] = 'p';
    path[CHANGE_PATH_MAX + 1] = '\0';
    assert_int_equal(change_encode(&c, bytes, sizeof(bytes)), -EINVAL);
}

static void test_digest_must_be_there(void **state)
{
    uint8_t bytes[CHANGE_ENCODED_MAX];
    struct change c = {.op = CHANGE_PUBLISH, .path = "a", .sha256 = sha256}, got;
    int without = change_encode(&c, bytes, sizeof(bytes));
    assert_int_equal(change_decode(bytes, (size_t)without, &got), 0);
    assert_null(got.sha256); /* the flag decides */
    c.flags = CHANGE_HAS_DIGEST;
    assert_int_equal(change_encode(&c, bytes, sizeof(bytes)), without + CHANGE_DIGEST_BYTES);
    assert_int_equal(change_decode(bytes, (size_t)without, &got), -EBADMSG);
    c.sha256 = NULL;
    assert_int_equal(change_encode(&c, bytes, sizeof(bytes)), -EINVAL);
}

static void test_every_cut_is_refused(void **state)
{
    uint8_t bytes[CHANGE_ENCODED_MAX + 1] = {0};
    int n = change_encode(&full, bytes, sizeof(bytes));
    struct change got = {.epoch = 99};
    for (int cut = 0; cut < n; cut++) {
        /* a copy of just that size, so that a sanitizer sees a read behind it */
        uint8_t *exact = malloc((size_t)cut + 1);
        memcpy(exact, bytes, (size_t)cut);
        assert_int_equal(change_decode(exact, (size_t)cut, &got), -EBADMSG);
        free(exact);
    }
    assert_int_equal(change_decode(bytes, (size_t)n + 1, &got), -EBADMSG);
    assert_int_equal(got.epoch, 99);
}

static void test_hostile_bytes(void **state)
{
    uint8_t good[CHANGE_ENCODED_MAX], bytes[CHANGE_ENCODED_MAX];
    size_t n = (size_t)change_encode(&full, good, sizeof(good));
    struct change got;
    srand(1);
    for (int i = 0; i < 20000; i++) {
        memcpy(bytes, good, n);
        for (int flips = rand() % 4; flips >= 0; flips--)
            bytes[(size_t)rand() % n] = (uint8_t)rand();
        if (change_decode(bytes, n, &got) == 0) { /* then all of it is usable */
            static char line[CHANGE_LINE_MAX];
            assert_int_not_equal(change_line(&got, NULL, line, sizeof(line)), 0);
        }
    }
}

static void test_paths_that_leave_the_root(void **state)
{
    static const char *const bad[] = {"/",    "/etc", ".",    "..",  "a/../b",
                                      "a/..", "a/",   "a//b", "./a", "../a"};
    uint8_t bytes[CHANGE_ENCODED_MAX];
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct change c = {.op = CHANGE_CREATE, .path = bad[i]};
        assert_int_equal(change_encode(&c, bytes, sizeof(bytes)), -EINVAL);
        /* the same from a peer that does not check */
        char same_length[16];
        memset(same_length, 'x', sizeof(same_length));
        same_length[strlen(bad[i])] = '\0';
        c.path = same_length;
        int n = change_encode(&c, bytes, sizeof(bytes));
        assert_true(n > 0);
        memcpy(bytes + CHANGE_HEADER_BYTES, bad[i], strlen(bad[i]));
        assert_int_equal(change_decode(bytes, (size_t)n, &c), -EBADMSG);
    }
    struct change fine = {.op = CHANGE_CREATE, .path = "..a/b../.c/..."};
    assert_true(change_encode(&fine, bytes, sizeof(bytes)) > 0);
}

static void test_fields_that_do_not_fit_together(void **state)
{
    uint8_t bytes[CHANGE_ENCODED_MAX];
    const struct change bad[] = {
        {.op = 0, .path = "a"},
        {.op = 8, .path = "a"},
        {.op = CHANGE_RENAME, .path = "a"},
        {.op = CHANGE_CREATE, .path = "a", .from = "b"},
        {.op = CHANGE_RESYNC, .path = "a"},
        {.op = CHANGE_CREATE, .path = "a", .reason = CHANGE_REASON_OVERFLOW},
        {.op = CHANGE_RESYNC, .path = "a", .reason = CHANGE_REASON_SCAN + 1},
        {.op = CHANGE_CREATE, .path = "a", .source = CHANGE_SOURCE_SCAN + 1},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(change_encode(&bad[i], bytes, sizeof(bytes)), -EINVAL);
}

static void test_cursor(void **state)
{
    char text[CHANGE_CURSOR_TEXT];
    uint32_t epoch = 1;
    uint64_t sequence = 1;
    assert_string_equal(change_cursor_format(UINT32_MAX, UINT64_MAX, text),
                        "4294967295.18446744073709551615");
    assert_int_equal(change_cursor_parse(text, &epoch, &sequence), 0);
    assert_true(epoch == UINT32_MAX && sequence == UINT64_MAX);
    static const char *const bad[] = {"",     ".",    "1",    "1.",   ".1",  "1.2.3",
                                      "1.2 ", " 1.2", "-1.2", "+1.2", "1,2", "x"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(change_cursor_parse(bad[i], &epoch, &sequence), -EINVAL);
    assert_int_equal(change_cursor_parse("4294967296.1", &epoch, &sequence), -ERANGE);
    assert_int_equal(change_cursor_parse("1.18446744073709551616", &epoch, &sequence), -ERANGE);
    assert_true(epoch == UINT32_MAX && sequence == UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_layout),
        cmocka_unit_test(test_longest),
        cmocka_unit_test(test_digest_must_be_there),
        cmocka_unit_test(test_every_cut_is_refused),
        cmocka_unit_test(test_hostile_bytes),
        cmocka_unit_test(test_paths_that_leave_the_root),
        cmocka_unit_test(test_fields_that_do_not_fit_together),
        cmocka_unit_test(test_cursor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
