#include "cli/response.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka needs the four above */
#include <cmocka.h>
#include <stdio.h>

static int parse(const char *text, struct response *ret_response)
{
    struct error err = {0};
    int r = response_parse(text, strlen(text), ret_response, &err);
    assert_true((r == -EPROTO) == (err.text[0] != '\0'));
    return r;
}

static void test_heads(void **state)
{
    static const struct {
        const char *text;
        int status;
        int64_t body_bytes;
        size_t head_bytes;
    } cases[] = {
        {"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}", 200, 2, 38},
        {"HTTP/1.1 404 Not Found\r\n\r\n", 404, -1, 26},
        {"HTTP/1.0 503\n\nrest", 503, -1, 14},
        {"HTTP/1.0 200 OK\r\ncontent-length:  \t7 \r\nX: y\r\n\r\n", 200, 7, 47},
        {"HTTP/1.0 200 OK\r\nContent-Lengthy: x\r\nX-Content-Length: y\r\n\r\n", 200, -1, 60},
        {"HTTP/1.0 200 OK\r\nContent-Length: 7\r\nContent-Length: 7\r\n\r\n", 200, 7, 57},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct response response = {0};
        assert_int_equal(parse(cases[i].text, &response), 0);
        assert_int_equal(response.status, cases[i].status);
        assert_int_equal(response.body_bytes, cases[i].body_bytes);
        assert_int_equal(response.head_bytes, cases[i].head_bytes);
    }
}

static void test_not_http(void **state)
{
    static const char *const texts[] = {
        "SSH-2.0-OpenSSH\r\n",
        "x",
        "HTTP/2 200\r\n\r\n",
        "HTTP/1.0 2x0 OK\r\n\r\n",
        "HTTP/1.0 099 OK\r\n\r\n",
        "HTTP/1.0 600 OK\r\n\r\n",
        "HTTP/1.0 2000\r\n\r\n",
        "\r\n\r\n",
        "HTTP/1.0 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.0 200 OK\r\nContent-Length:\r\n\r\n",
        "HTTP/1.0 200 OK\r\nContent-Length: 7 7\r\n\r\n",
        "HTTP/1.0 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "HTTP/1.0 200 OK\r\nContent-Length: 7\r\nContent-Length: 8\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct response response = {.status = -1};
        if (parse(texts[i], &response) != -EPROTO)
            fail_msg("accepted: %s", texts[i]);
        assert_int_equal(response.status, -1);
    }
}

static void test_every_prefix_is_incomplete(void **state)
{
    static const char text[] = "HTTP/1.0 200 OK\r\nContent-Length: 2\r\nServer: x\r\n\r\n";
    for (size_t n = 0; n < sizeof(text) - 1; n++) {
        struct response response;
        assert_int_equal(response_parse(text, n, &response, NULL), -EAGAIN);
    }
}

static void test_endless_head(void **state)
{
    static char text[RESPONSE_HEAD_MAX];
    struct response response;
    int n = snprintf(text, sizeof(text), "HTTP/1.0 200 OK\r\n");
    memset(text + n, 'a', sizeof(text) - (size_t)n);
    assert_int_equal(response_parse(text, sizeof(text) - 1, &response, NULL), -EAGAIN);
    assert_int_equal(response_parse(text, sizeof(text), &response, NULL), -EPROTO);
}

static void test_query(void **state)
{
    char target[64] = "/v1/changes";
    assert_int_equal(response_add_query(target, sizeof(target), "path", "a b/\xff&?%"), 0);
    assert_string_equal(target, "/v1/changes?path=a%20b/%FF%26%3F%25");
    assert_int_equal(response_add_query(target, sizeof(target), "since", "1.2"), 0);
    assert_string_equal(target, "/v1/changes?path=a%20b/%FF%26%3F%25&since=1.2");
}

static void test_query_too_long(void **state)
{
    char exact[sizeof("/x?n=%25")] = "/x", tight[sizeof("/x?n=%25") - 1] = "/x";
    assert_int_equal(response_add_query(exact, sizeof(exact), "n", "%"), 0);
    assert_string_equal(exact, "/x?n=%25");
    assert_int_equal(response_add_query(tight, sizeof(tight), "n", "%"), -ENAMETOOLONG);
    assert_string_equal(tight, "/x");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_heads),
        cmocka_unit_test(test_not_http),
        cmocka_unit_test(test_every_prefix_is_incomplete),
        cmocka_unit_test(test_endless_head),
        cmocka_unit_test(test_query),
        cmocka_unit_test(test_query_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
