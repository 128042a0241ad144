#include "watchers/scope.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka needs the four above */
#include <cmocka.h>

static struct wd_table table;
static struct dir *root;

static int setup(void **state)
{
    return wd_table_init(&table, &root);
}

static int teardown(void **state)
{
    wd_table_release(&table);
    return 0;
}

static void test_paths_and_exclusions(void **state)
{
    const char *const excludes[] = {".efs-stage", "*.tmp"};
    const char *const paths[] = {"data/in", "data/in/deeper", "logs"};
    const struct scope scope = {excludes, 2, paths, 3};
    struct dir *data, *in;
    wd_table_add(&table, root, "data", &data);
    wd_table_add(&table, data, "in", &in);
    in->inside = true;
    assert_int_equal(scope_of(&scope, root, "data"), SCOPE_ON_THE_WAY);
    assert_int_equal(scope_of(&scope, root, "logs"), SCOPE_INSIDE);
    assert_int_equal(scope_of(&scope, root, "log"), SCOPE_OUT);
    assert_int_equal(scope_of(&scope, root, "logs2"), SCOPE_OUT);
    assert_int_equal(scope_of(&scope, data, "in"), SCOPE_INSIDE);
    assert_int_equal(scope_of(&scope, data, "in2"), SCOPE_OUT);
    assert_int_equal(scope_of(&scope, data, "logs"), SCOPE_OUT);
    assert_int_equal(scope_of(&scope, in, "anything"), SCOPE_INSIDE);
    assert_int_equal(scope_of(&scope, in, "x.tmp"), SCOPE_OUT);
    assert_int_equal(scope_of(&scope, in, ".efs-stage"), SCOPE_OUT);
    assert_int_equal(scope_of(&scope, in, ".efs-stage2"), SCOPE_INSIDE);
    assert_int_equal(scope_of(&scope, in, "*.tmpx"), SCOPE_INSIDE);
}

static void test_next_step(void **state)
{
    const char *const paths[] = {"data/in", "logs"};
    const struct scope scope = {NULL, 0, paths, 2};
    char name[NAME_MAX + 1];
    assert_string_equal(scope_next(&scope, 0, "", name), "data");
    assert_string_equal(scope_next(&scope, 0, "data", name), "in");
    assert_null(scope_next(&scope, 0, "data/in", name));
    assert_null(scope_next(&scope, 0, "dat", name));
    assert_string_equal(scope_next(&scope, 1, "", name), "logs");
    assert_null(scope_next(&scope, 1, "data", name));
}

static void test_silly_names(void **state)
{
    assert_true(scope_is_silly(".nfs000000000000002a00000001"));
    assert_true(scope_is_silly(".nfs0000002a"));
    assert_false(scope_is_silly(".nfs"));
    assert_false(scope_is_silly(".nfs-mounts"));
    assert_false(scope_is_silly(".nfs0000002a.conf"));
    assert_false(scope_is_silly("x.nfs000000000000002a00000001"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_paths_and_exclusions),
        TEST(test_next_step),
        TEST(test_silly_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
