#include "cli/watch_view.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka needs the four above */
#include <cmocka.h>

#include "lib/json.h"

static void check(const char *text, const char *expected)
{
    _cleanup_json_ json_t *root = NULL;
    _cleanup_free_ char *line = NULL;
    size_t size;
    assert_int_equal(json_parse(text, strlen(text), &root, NULL), 0);
    FILE *out = open_memstream(&line, &size);
    assert_non_null(out);
    watch_print(root, "10:55:54", out);
    fclose(out);
    assert_string_equal(line, expected);
}

static void test_lines(void **state)
{
    check("{\"op\":\"modify\",\"path\":\"in/a.csv\",\"size\":1200,\"mtime\":\"x\"}",
          "10:55:54 modify  in/a.csv  1.2 KiB\n");
    check("{\"op\":\"create\",\"path\":\"in\",\"mount\":\"/data\",\"dir\":true,\"size\":4096,"
          "\"observer\":\"web-1\"}",
          "10:55:54 create  /data/in/  by web-1\n");
    check("{\"op\":\"rename\",\"from\":\"a\",\"path\":\"b\",\"mount\":\"/data\"}",
          "10:55:54 rename  /data/a -> /data/b\n");
    check("{\"op\":\"resync\",\"path\":\"\",\"dir\":true,\"reason\":\"overflow\"}",
          "10:55:54 resync  .  look again here: overflow\n");
    check("{\"op\":\"resync\",\"path\":\"\",\"mount\":\"/data\",\"reason\":\"overflow\"}",
          "10:55:54 resync  /data  look again here: overflow\n");
    check("{\"ready\":true,\"mount\":\"/data\",\"cursor\":\"7.0\"}", "10:55:54 ready   /data\n");
    check("{\"op\":\"attrib\",\"path\":\"x\",\"mount\":\"/\"}", "10:55:54 attrib  /x\n");
}

static void test_names_cannot_drive_the_terminal(void **state)
{
    check("{\"op\":\"create\",\"path\":\"a\\u001b[31m\\nb\"}",
          "10:55:54 create  a\\x1b[31m\\x0ab\n");
}

static void test_find_mount(void **state)
{
    static const char status[] = "{\"mounts\":[{\"path\":\"/data\"},{\"path\":\"/data/deep\"},"
                                 "{\"path\":\"/srv\"},{\"path\":7}]}";
    static const struct {
        const char *path, *mount, *rest;
    } cases[] = {
        {"/data", "/data", ""},
        {"/data/", "/data", ""},
        {"/data/in/x", "/data", "in/x"},
        {"/data/deep/x", "/data/deep", "x"},
        {"/data/deeper", "/data", "deeper"},
        {"/srv//x", "/srv", "x"},
        {"/dat", NULL, NULL},
        {"/srvx", NULL, NULL},
    };
    _cleanup_json_ json_t *root = NULL;
    assert_int_equal(json_parse(status, strlen(status), &root, NULL), 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *mount = NULL, *rest = NULL;
        int r = watch_find_mount(root, cases[i].path, &mount, &rest);
        assert_int_equal(r, cases[i].mount ? 0 : -ENOENT);
        if (cases[i].mount) {
            assert_string_equal(mount, cases[i].mount);
            assert_string_equal(rest, cases[i].rest);
        } else {
            assert_null(mount);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_names_cannot_drive_the_terminal),
        cmocka_unit_test(test_find_mount),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
