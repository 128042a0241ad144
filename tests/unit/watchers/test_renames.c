#include "watchers/renames.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
/* cmocka needs the four above */
#include <cmocka.h>

/* All that path may be now, as far as teller may not know of it. */
static const char *follow(const struct renames *renames, const char *path, const char *teller,
                          int64_t since_ms)
{
    static char all[1024];
    char buffer[CHANGE_PATH_MAX + 1];
    const char *found;
    struct renames_walk walk = {.path = path, .teller = teller, .since_ms = since_ms};
    all[0] = '\0';
    while ((found = renames_next(renames, &walk, buffer))) {
        assert_ptr_equal(found, buffer);
        snprintf(all + strlen(all), sizeof(all) - strlen(all), "%.100s ", found);
    }
    return all;
}

static void test_follow(void **state)
{
    struct renames renames = {0};
    assert_string_equal(follow(&renames, "a/f", NULL, 5), "");
    renames_note(&renames, "a", "b/c", NULL, 5);
    assert_string_equal(follow(&renames, "a/f", NULL, 5), "b/c/f ");
    assert_string_equal(follow(&renames, "a", NULL, 5), "b/c ");
    assert_string_equal(follow(&renames, "ab/f", NULL, 5), "");
    assert_string_equal(follow(&renames, "b/c/f", NULL, 5), "");
    renames_note(&renames, "b", "d", NULL, 5);
    assert_string_equal(follow(&renames, "a/f", NULL, 5), "d/c/f ");
    /* later than the first: what was in x did not pass there */
    renames_note(&renames, "x", "a", NULL, 5);
    assert_string_equal(follow(&renames, "x/f", NULL, 5), "a/f ");
    assert_string_equal(follow(&renames, "x/f", NULL, 6), "");
    renames_release(&renames);
}

static void test_names_used_again(void **state)
{
    struct renames renames = {0};
    renames_note(&renames, "d", "a", NULL, 5);
    renames_note(&renames, "x", "d", NULL, 5);
    renames_note(&renames, "d", "b", "peer", 5);
    assert_string_equal(follow(&renames, "d/f", NULL, 5), "b/f a/f ");
    assert_string_equal(follow(&renames, "d/f", "peer", 5), "a/f ");
    assert_string_equal(follow(&renames, "d/f", "another", 5), "b/f a/f ");
    assert_string_equal(follow(&renames, "x/f", "peer", 5), "b/f ");
    renames_note(&renames, "b", "d", NULL, 5); /* and back */
    assert_string_equal(follow(&renames, "d/f", NULL, 5), "a/f ");
    for (int i = 0; i < 10; i++) {
        renames_note(&renames, "y", "z", NULL, 5);
        renames_note(&renames, "z", "y", NULL, 5);
    }
    renames_note(&renames, "y", "z", NULL, 5);
    assert_string_equal(follow(&renames, "y/f", NULL, 5), "z/f ");
    renames_release(&renames);
}

static void test_bounds(void **state)
{
    struct renames renames = {0};
    char from[16], long_path[CHANGE_PATH_MAX + 1], buffer[CHANGE_PATH_MAX + 1];
    for (int i = 0; i < 3 * RENAMES_MAX; i++) {
        snprintf(from, sizeof(from), "d%d", i);
        renames_note(&renames, from, "to", NULL, 5);
    }
    assert_string_equal(follow(&renames, "d127/f", NULL, 5), "");
    assert_string_equal(follow(&renames, "d128/f", NULL, 5), "to/f ");
    memset(long_path, 'x', sizeof(long_path) - 1);
    long_path[CHANGE_PATH_MAX] = '\0';
    renames_note(&renames, "s", long_path, NULL, 5);
    struct renames_walk walk = {.path = "s", .since_ms = 5};
    assert_string_equal(renames_next(&renames, &walk, buffer), long_path);
    assert_string_equal(follow(&renames, "s/f", NULL, 5), "");
    renames_release(&renames);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_follow),
                                       cmocka_unit_test(test_names_used_again),
                                       cmocka_unit_test(test_bounds)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
