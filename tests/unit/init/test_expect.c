/* Expectations from settings: which mount they belong to, and every way to write them wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "init/expect.h"

static struct settings settings;
static struct expectations expect;
static struct config_report errors;

static int load(const char *name, const char *value)
{
    char mounts[] = "--mounts=/data:rw,/data/in:ro,/b=fs-0123456789abcdef0", option[512];
    char program[] = "x", *argv[] = {program, mounts, option, NULL};
    enum config_action action;
    int first;
    expect_release(&expect);
    config_release(&settings_table, &settings);
    memset(&errors, 0, sizeof(errors));
    memset(&expect, 0, sizeof(expect));
    snprintf(option, sizeof(option), "--%s=%s", name, value);
    assert_int_equal(
        config_load(&settings_table, PROGRAM_INIT, 3, argv, &settings, &action, &first, &errors),
        0);
    return expect_load(&settings, &expect, &errors);
}

static int clear(void **state)
{
    expect_release(&expect);
    config_release(&settings_table, &settings);
    return 0;
}

static void test_require(void **state)
{
    assert_int_equal(load("require", "/data,/data/in/x/,/data/inner:0:4294967294,/b/c:1:2:0750"),
                     0);
    assert_int_equal(expect.n, 4);
    static const struct {
        size_t mount;
        const char *path, *relative;
    } expected[] = {{0, "/data", "."},
                    {1, "/data/in/x", "x"}, /* the longest that fits */
                    {0, "/data/inner", "inner"},
                    {2, "/b/c", "c"}};
    for (size_t i = 0; i < expect.n; i++) {
        assert_int_equal(expect.items[i].kind, EXPECT_REQUIRE);
        assert_int_equal(expect.items[i].mount, expected[i].mount);
        assert_string_equal(expect.items[i].path, expected[i].path);
        assert_string_equal(expect.items[i].relative, expected[i].relative);
    }
    assert_false(expect.items[0].owner.set);
    assert_true(expect.items[2].owner.set && expect.items[2].owner.gid == 4294967294);
    assert_false(expect.items[2].mode_set);
    assert_true(expect.items[3].mode_set && expect.items[3].mode == 0750);
}

static void test_create_and_marker(void **state)
{
    assert_int_equal(load("create", "/data/a,/data/b:2770"), 0);
    assert_int_equal(expect.items[0].mode, EXPECT_CREATE_MODE);
    assert_int_equal(expect.items[1].mode, 02770);

    assert_int_equal(load("marker", "/b/.id,/data/in/.id=prod:a=b,/data/empty="), 0);
    assert_null(expect.items[0].content);
    assert_string_equal(expect.items[1].content, "prod:a=b");
    assert_string_equal(expect.items[2].content, "");
}

static void test_access_points(void **state)
{
    assert_int_equal(load("access-points", "/b=fsap-0123456789abcdef0,/data=fsap-01234567"), 0);
    assert_string_equal(expect.access_points[0], "fsap-01234567");
    assert_null(expect.access_points[1]);
    assert_string_equal(expect.access_points[2], "fsap-0123456789abcdef0");
}

static void test_wrong(void **state)
{
    static const struct {
        const char *name, *value, *words;
    } cases[] = {
        {"require", "/etc/passwd", "lies in none of the mounts"},
        {"require", "/database/x", "lies in none of the mounts"},
        {"require", "data/x", "lies in none of the mounts"},
        {"require", "", NULL},
        {"require", "/data/../etc", "\"..\""},
        {"require", "/data/x:root:root", "UID:GID"},
        {"require", "/data/x:1", "UID:GID"},
        {"require", "/data/x:1:2:8", "UID:GID:MODE"},
        {"require", "/data/x:1:2:7:7", "UID:GID:MODE"},
        {"create", "/data/x:rwx", "PATH:MODE"},
        {"create", "/data/in/x", "read-only"},
        {"marker", "=x", "lies in none of the mounts"},
        {"access-points", "/data=fs-0123456789abcdef0", "is not like /data=fsap-"},
        {"access-points", "/data=fsap-0123", "is not like"},
        {"access-points", "/data=fsap-0123456g", "is not like"},
        {"access-points", "/dat=fsap-01234567", "names none of the mounts"},
        {"access-points", "fsap-01234567", "is not like"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int r = load(cases[i].name, cases[i].value);
        if ((r < 0) != (cases[i].words != NULL))
            fail_msg("--%s=%s: %d %s", cases[i].name, cases[i].value, r, errors.text);
        if (cases[i].words &&
            (!strstr(errors.text, cases[i].words) || !strstr(errors.text, cases[i].name)))
            fail_msg("--%s=%s: %s", cases[i].name, cases[i].value, errors.text);
    }
    assert_int_equal(load("require", "/x,/y,/data/z:0"), -22); /* all at once */
    assert_int_equal(errors.n_errors, 3);
}

int main(void)
{
    clearenv();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_require, clear),
        cmocka_unit_test_teardown(test_create_and_marker, clear),
        cmocka_unit_test_teardown(test_access_points, clear),
        cmocka_unit_test_teardown(test_wrong, clear),
    };
    return cmocka_run_group_tests_name("expect", tests, NULL, NULL);
}
