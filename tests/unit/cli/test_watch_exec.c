/* What --exec gets: the exact path. The rest is tested with real commands, in test_watch_exec.py.
 */
#include "cli/watch_exec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka needs the four above */
#include <cmocka.h>

#include "lib/cleanup.h"
#include "lib/json.h"
#include "lib/share/change_line.h"

static void check(const char *path, const char *mount, const char *expected)
{
    char line[CHANGE_LINE_MAX];
    _cleanup_json_ json_t *json = NULL;
    const struct change change = {.op = CHANGE_CREATE, .path = path};
    size_t n = change_line(&change, mount, line, sizeof(line));
    assert_int_equal(json_parse(line, n, &json, NULL), 0);
    _cleanup_free_ char *whole = watch_exec_path(json);
    assert_non_null(whole);
    assert_string_equal(whole, expected);
}

static void test_path(void **state)
{
    check("a/b", "/data", "/data/a/b");
    check("", "/data", "/data");
    check("a", "/", "/a");
    check("", "/", "/");
}

static void test_bytes_that_are_no_text(void **state)
{
    char path[300] = "", expected[310];
    for (size_t length = 0; length < 250; length++) { /* every byte, at every place of a group */
        path[length] = (char)(0xff - length);
        path[length + 1] = '\0';
        if (path[length] == '/')
            path[length] = '.';
        snprintf(expected, sizeof(expected), "/data/%s", path);
        check(path, "/data", expected);
    }
}

static void test_not_base64(void **state)
{
    static const char *const bad[] = {"*", "YQ*=", " YQ==", "\xc3\xa9"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        _cleanup_json_ json_t *json = json_pack("{s:s, s:s}", "path", "a", "path_base64", bad[i]);
        assert_null(watch_exec_path(json));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_path),
        cmocka_unit_test(test_bytes_that_are_no_text),
        cmocka_unit_test(test_not_base64),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
