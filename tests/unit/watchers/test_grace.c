#include "watchers/grace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
/* cmocka needs the four above */
#include <cmocka.h>

static struct grace grace;

static int setup(void **state)
{
    grace_init(&grace);
    return 0;
}

static int teardown(void **state)
{
    grace_release(&grace);
    return 0;
}

static void find(const char *path, int64_t ctime_ns)
{
    const struct change found = {.op = CHANGE_CREATE, .path = path, .ctime_ns = ctime_ns};
    assert_true(grace_found(&grace, &found, 1));
}

/* The next one to be looked at again is this. */
static void expect(const char *path)
{
    struct finding *finding = grace_due(&grace, 1);
    assert_non_null(finding);
    assert_string_equal(finding->path, path);
    grace_remove(&grace, finding);
}

static void test_told(void **state)
{
    grace_heard(&grace, "f", 7);
    find("f", 7);
    assert_int_equal(grace.found.count, 0);
    assert_true(grace_is_told(&grace, "f", 7) && grace_is_told(&grace, "f", 5));
    assert_false(grace_is_told(&grace, "f", 8));
    assert_false(grace_is_told(&grace, "g", 7));
    find("f", 8);
    expect("f");
}

/* What was moved to the name has an older time than what members told of the one before. */
static void test_another_of_that_name(void **state)
{
    grace_heard(&grace, "f", 7);
    find("f", 5);
    expect("f");
}

static void test_renamed(void **state)
{
    find("d/a", 1);
    find("dd/a", 1);
    find("d", 1);
    find("d/b", 1);
    find("e/b", 1);
    assert_int_equal(grace_renamed(&grace, "d", "e"), 0);
    expect("e/a");
    expect("dd/a");
    expect("e");
    expect("e/b");
    assert_int_equal(grace.found.count, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_told), TEST(test_another_of_that_name),
                                       TEST(test_renamed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
