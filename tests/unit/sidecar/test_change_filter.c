/* Which changes pass: path, operation, origin; and resyncs, whatever was asked for. */
#include "sidecar/change_filter.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
/* cmocka needs the four above */
#include <cmocka.h>

#include "lib/cleanup.h"

static bool passes(struct change_filter filter, struct change change)
{
    return change_filter_passes(&filter, &change);
}

static void test_path(void **state)
{
    const struct change_filter in = {.prefix = "in/x"};
    assert_true(passes(in, (struct change){.op = CHANGE_CREATE, .path = "in/x"}));
    assert_true(passes(in, (struct change){.op = CHANGE_CREATE, .path = "in/x/y"}));
    assert_false(passes(in, (struct change){.op = CHANGE_CREATE, .path = "in/xx"}));
    assert_false(passes(in, (struct change){.op = CHANGE_CREATE, .path = "in"}));
    assert_true(passes(in, (struct change){.op = CHANGE_DELETE, .path = "in"}));
    assert_true(passes(in, (struct change){.op = CHANGE_RENAME, .path = "out", .from = "in"}));
    assert_true(passes(in, (struct change){.op = CHANGE_RENAME, .path = "z", .from = "in/x/y"}));
    assert_false(passes(in, (struct change){.op = CHANGE_RENAME, .path = "z", .from = "y"}));
}

static void test_operations(void **state)
{
    struct change_filter filter = {.prefix = ""};
    struct error err;
    assert_int_equal(change_filter_ops("create,delete", &filter.ops, &err), 0);
    for (enum change_op op = CHANGE_CREATE; op < CHANGE_RESYNC; op++)
        assert_int_equal(passes(filter, (struct change){.op = op, .path = "a", .from = "b"}),
                         op == CHANGE_CREATE || op == CHANGE_DELETE);
    assert_int_equal(change_filter_ops("resync", &filter.ops, &err), 0);
    assert_false(passes(filter, (struct change){.op = CHANGE_CREATE, .path = "a"}));
}

static void test_operations_that_do_not_exist(void **state)
{
    static const char *const bad[] = {
        "",      "x",      "create,", ",create", "create,,delete", "Create", "create delete",
        "creat", "unknown"};
    unsigned ops = 7;
    struct error err;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(change_filter_ops(bad[i], &ops, &err), -EINVAL);
    assert_int_equal(ops, 7);
    assert_int_equal(change_filter_ops("create,remove", &ops, &err), -EINVAL);
    assert_non_null(strstr(err.text, "\"remove\" is none of create, modify"));
}

static void test_origin(void **state)
{
    const struct change_filter remote = {.prefix = "", .remote = true};
    struct change change = {.op = CHANGE_MODIFY, .path = "a", .source = CHANGE_SOURCE_LOCAL};
    assert_false(passes(remote, change));
    change.source = CHANGE_SOURCE_PEER;
    assert_true(passes(remote, change));
    change.source = CHANGE_SOURCE_SCAN;
    assert_true(passes(remote, change));
}

static void test_a_resync_passes(void **state)
{
    const struct change_filter filter = {
        .prefix = "in/x", .ops = 1U << CHANGE_DELETE, .remote = true};
    static const char *const paths[] = {"", "in", "in/x", "in/x/y"};
    for (size_t i = 0; i < ARRAY_LEN(paths); i++)
        assert_true(passes(filter, (struct change){.op = CHANGE_RESYNC, .path = paths[i]}));
    assert_false(passes(filter, (struct change){.op = CHANGE_RESYNC, .path = "out"}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_path),
        cmocka_unit_test(test_operations),
        cmocka_unit_test(test_operations_that_do_not_exist),
        cmocka_unit_test(test_origin),
        cmocka_unit_test(test_a_resync_passes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
