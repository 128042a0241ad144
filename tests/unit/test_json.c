/* What comes from outside is checked, and the error names the field. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/clock.h"
#include "lib/error.h"
#include "lib/json.h"

static void test_getters(void **state)
{
    static const char body[] = "{\"name\": \"x\", \"n\": 5, \"on\": true, \"f\": 1.5}";
    static const char *const known[] = {"name", "n", "on", NULL};
    _cleanup_json_ json_t *root = NULL;
    struct error err = {0};
    const char *text = "untouched";
    int64_t n = 42;
    bool on = false;
    assert_int_equal(json_parse(body, strlen(body), &root, &err), 0);
    assert_int_equal(json_get_string(root, "name", 1, &text, &err), 0);
    assert_string_equal(text, "x");
    assert_int_equal(json_get_i64(root, "n", 0, 5, &n, &err), 0);
    assert_int_equal(n, 5);
    assert_int_equal(json_get_bool(root, "on", &on, &err), 0);
    assert_true(on);
    assert_string_equal(err.text, "");

    assert_int_equal(json_get_string(root, "name", 0, &text, &err), -EINVAL);
    assert_string_equal(err.text, "field \"name\" is longer than 0 bytes");
    assert_int_equal(json_get_string(root, "n", 9, &text, &err), -EINVAL);
    assert_string_equal(err.text, "field \"n\" is not a string");
    assert_int_equal(json_get_string(root, "no", 9, &text, &err), -ENOENT);
    assert_string_equal(err.text, "field \"no\" is missing");
    assert_int_equal(json_get_i64(root, "n", 6, 9, &n, &err), -EINVAL);
    assert_string_equal(err.text, "field \"n\" is 5, allowed are 6 to 9");
    assert_int_equal(json_get_i64(root, "f", 0, 9, &n, &err), -EINVAL);
    assert_int_equal(json_get_bool(root, "n", &on, &err), -EINVAL);
    assert_int_equal(json_only_keys(root, known, &err), -EINVAL);
    assert_string_equal(err.text, "unknown field \"f\"");
    assert_int_equal(n, 5);
}

static void test_refused(void **state)
{
    static const char *const bad[] = {
        "", "[]", "\"x\"", "{", "{\"a\":1,\"a\":2}", "{} trailing", "{\"a\": \"\xff\"}"};
    struct error err;
    json_t *root = NULL;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(json_parse(bad[i], strlen(bad[i]), &root, &err), -EINVAL);
        assert_null(root);
    }
    enum { DEPTH = 100000 };
    char *deep = malloc(DEPTH);
    assert_non_null(deep);
    memset(deep, '[', DEPTH);
    assert_int_equal(json_parse(deep, DEPTH, &root, &err), -EINVAL);
    free(deep);
}

static void test_errors(void **state)
{
    struct error err;
    assert_int_equal(error_set_errno(&err, EROFS, "/data: cannot create a file"), -EROFS);
    assert_string_equal(err.text, "/data: cannot create a file: Read-only file system");
    error_prefix(&err, "probe");
    assert_string_equal(err.text, "probe: /data: cannot create a file: Read-only file system");
    assert_int_equal(err.code, EROFS);
    assert_string_equal(error_name(EROFS), "EROFS");
    assert_string_equal(error_name(99999), "errno 99999");
    assert_int_equal(error_set(NULL, EIO, "nobody asked"), -EIO);
    for (int i = 0; i < 100; i++)
        error_prefix(&err, "a prefix that makes the text longer and longer");
    assert_true(strlen(err.text) < sizeof(err.text));
}

static void test_clock(void **state)
{
    char buf[CLOCK_TEXT];
    clock_fake_set(5000, 0);
    assert_int_equal(clock_poll_timeout(5000), 0);
    assert_int_equal(clock_poll_timeout(4000), 0);
    assert_int_equal(clock_poll_timeout(5001), 1);
    assert_int_equal(clock_poll_timeout(CLOCK_NEVER), -1);
    assert_int_equal(clock_poll_timeout(CLOCK_NEVER - 1), INT32_MAX);
    assert_string_equal(clock_format(clock_wall_ms(), buf), "1970-01-01T00:00:00.000Z");
    clock_fake_advance(1500);
    assert_int_equal(clock_now_ms(), 6500);
    assert_string_equal(clock_format(clock_wall_ms(), buf), "1970-01-01T00:00:01.500Z");
    clock_fake_off();
    int64_t before_ms = clock_now_ms();
    assert_true(before_ms > 0 && clock_now_ms() >= before_ms);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_getters),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_clock),
    };
    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
