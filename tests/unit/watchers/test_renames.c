#include "watchers/renames.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
/* cmocka needs the four above */
#include <cmocka.h>

static char buffer[CHANGE_PATH_MAX + 1];

static void test_follow(void **state)
{
    struct renames renames = {0};
    assert_null(renames_follow(&renames, "a/f", 5, buffer));
    renames_note(&renames, "a", "b/c", 5);
    assert_string_equal(renames_follow(&renames, "a/f", 5, buffer), "b/c/f");
    assert_string_equal(renames_follow(&renames, "a", 5, buffer), "b/c");
    assert_null(renames_follow(&renames, "ab/f", 5, buffer));
    assert_null(renames_follow(&renames, "b/c/f", 5, buffer));
    renames_note(&renames, "b", "d", 5);
    assert_string_equal(renames_follow(&renames, "a/f", 5, buffer), "d/c/f");
    renames_note(&renames, "x", "a",
                 5); /* later than the first: what was in x did not pass there */
    assert_string_equal(renames_follow(&renames, "x/f", 5, buffer), "a/f");
    assert_null(renames_follow(&renames, "x/f", 6, buffer));
    renames_release(&renames);
}

static void test_bounds(void **state)
{
    struct renames renames = {0};
    char from[16], long_path[CHANGE_PATH_MAX + 1];
    for (int i = 0; i < 3 * RENAMES_MAX; i++) {
        snprintf(from, sizeof(from), "d%d", i);
        renames_note(&renames, from, "to", 5);
    }
    assert_null(renames_follow(&renames, "d127/f", 5, buffer));
    assert_string_equal(renames_follow(&renames, "d128/f", 5, buffer), "to/f");
    memset(long_path, 'x', sizeof(long_path) - 1);
    long_path[CHANGE_PATH_MAX] = '\0';
    renames_note(&renames, "s", long_path, 5);
    assert_string_equal(renames_follow(&renames, "s", 5, buffer), long_path);
    assert_null(renames_follow(&renames, "s/f", 5, buffer));
    renames_release(&renames);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_follow),
                                       cmocka_unit_test(test_bounds)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
