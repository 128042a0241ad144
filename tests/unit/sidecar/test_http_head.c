/* Heads and queries of requests, good and hostile. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/cleanup.h"
#include "sidecar/http_head.h"

static char text[HTTP_HEAD_MAX + 1];

static int parse(const char *head_text, struct http_head *ret_head, struct error *err)
{
    snprintf(text, sizeof(text), "%s", head_text);
    return http_head_parse(text, strlen(text), ret_head, err);
}

static void test_good(void **state)
{
    struct http_head head;
    struct error err;
    assert_int_equal(
        parse("GET /v1/changes?path=a%20b&x HTTP/1.1\r\nHost: x\r\nAccept:*/*\r\n", &head, &err),
        0);
    assert_string_equal(head.method, "GET");
    assert_string_equal(head.path, "/v1/changes");
    assert_string_equal(head.query, "path=a%20b&x");
    assert_true(head.keep_alive && head.chunked_reply);
    assert_int_equal(head.body_bytes, 0);

    assert_int_equal(
        parse("POST / HTTP/1.0\r\ncontent-length:  12 \r\nEXPECT: 100-continue\r\n", &head, &err),
        0);
    assert_string_equal(head.query, "");
    assert_false(head.keep_alive || head.chunked_reply);
    assert_true(head.expects_continue);
    assert_int_equal(head.body_bytes, 12);

    assert_int_equal(parse("GET / HTTP/1.1\r\nConnection: close\r\n", &head, &err), 0);
    assert_false(head.keep_alive);
}

static void test_bad(void **state)
{
    static const struct {
        const char *text;
        int r;
        const char *word; /* in the message */
    } cases[] = {
        {"\r\n", -EINVAL, "request line"},
        {"GET\r\n", -EINVAL, "request line"},
        {"GET /\r\n", -EINVAL, "request line"},
        {" GET / HTTP/1.1\r\n", -EINVAL, "request line"},
        {"G\x01T / HTTP/1.1\r\n", -EINVAL, "request line"},
        {"GET  / HTTP/1.1\r\n", -EINVAL, "version"},
        {"GET / HTTP/2\r\n", -EINVAL, "version"},
        {"GET / HTTP/1.1 \r\n", -EINVAL, "version"},
        {"GET / HTTP/1.1\nA: b\r\n", -EINVAL, "version"},
        {"GET http://x/ HTTP/1.1\r\n", -EINVAL, "path"},
        {"GET / HTTP/1.1\r\nNo colon\r\n", -EINVAL, "header line"},
        {"GET / HTTP/1.1\r\nA : b\r\n", -EINVAL, "header line"},
        {"GET / HTTP/1.1\r\n: b\r\n", -EINVAL, "header line"},
        {"GET / HTTP/1.1\r\nA: b\r\n folded\r\n", -EINVAL, "header line"},
        {"POST / HTTP/1.1\r\nContent-Length: 1x\r\n", -EINVAL, "Content-Length"},
        {"POST / HTTP/1.1\r\nContent-Length: -1\r\n", -EINVAL, "Content-Length"},
        {"POST / HTTP/1.1\r\nContent-Length:\r\n", -EINVAL, "Content-Length"},
        {"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n", -EINVAL,
         "Content-Length"},
        {"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n", -EINVAL,
         "Content-Length"},
        {"POST / HTTP/1.1\r\nContent-Length: 2097153\r\n", -EMSGSIZE, "2097153 bytes"},
        {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n", -EINVAL, "Transfer-Encoding"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct http_head head = {.body_bytes = 77};
        struct error err = {0};
        assert_int_equal(parse(cases[i].text, &head, &err), cases[i].r);
        assert_non_null(strstr(err.text, cases[i].word));
        assert_int_equal(head.body_bytes, 77);
    }
}

static void test_nul(void **state)
{
    static char with_nul[] = "GET / HTTP/1.1\r\nA: \0b\r\n";
    struct http_head head;
    struct error err;
    assert_int_equal(http_head_parse(with_nul, sizeof(with_nul) - 1, &head, &err), -EINVAL);
}

static const char *const names[] = {"path", "since", NULL};

static int query(const char *query_text, struct http_query *ret_query, struct error *err)
{
    snprintf(text, sizeof(text), "%s", query_text);
    return http_query_parse(text, names, ret_query, err);
}

static void test_query(void **state)
{
    struct http_query q;
    struct error err;
    assert_int_equal(query("path=a%2Fb+c%2B%c3%A4&since=1.2", &q, &err), 0);
    assert_string_equal(http_query_get(&q, "path"), "a/b c+\xc3\xa4");
    assert_string_equal(http_query_get(&q, "since"), "1.2");
    assert_int_equal(query("", &q, &err), 0);
    assert_null(http_query_get(&q, "path"));
    assert_int_equal(query("path=", &q, &err), 0);
    assert_string_equal(http_query_get(&q, "path"), "");
    assert_int_equal(query("path=a=b", &q, &err), 0);
    assert_string_equal(http_query_get(&q, "path"), "a=b");
}

static void test_query_bad(void **state)
{
    static const struct {
        const char *text, *word;
    } cases[] = {
        {"path=%", "path"},
        {"path=%4", "path"},
        {"path=%zz", "path"},
        {"path=%00", "NUL"},
        {"path=a&path=b", "more than once"},
        {"path", "missing"},
        {"since=1&path=%f\n", "path"},
        {"pfad=x", "pfad"},
        {"=x", "does not exist"},
        {"&path=x", "does not exist"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct http_query q = {.n = 5};
        struct error err = {0};
        assert_int_equal(query(cases[i].text, &q, &err), -EINVAL);
        assert_non_null(strstr(err.text, cases[i].word));
        assert_int_equal(q.n, 5);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),  cmocka_unit_test(test_bad),       cmocka_unit_test(test_nul),
        cmocka_unit_test(test_query), cmocka_unit_test(test_query_bad),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
