#include "watchers/names.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka needs the four above */
#include <cmocka.h>

#include <stdio.h>

static struct wd_table table;
static struct names names;
static struct dir *root, *other;

static int setup(void **state)
{
    return wd_table_init(&table, &root) | wd_table_add(&table, root, "other", &other) |
           names_enable(&names);
}

static int teardown(void **state)
{
    names_forget(&names, root);
    names_forget(&names, other);
    assert_int_equal(names.count, 0);
    names_release(&names);
    wd_table_release(&table);
    return 0;
}

static void test_what_a_second_scan_misses(void **state)
{
    names_begin_scan(&names, root);
    assert_true(root->names_known);
    names_add(&names, root, "a");
    names_add(&names, root, "b");
    names_add(&names, root, "c");
    assert_null(names_unseen(&names, root));

    names_begin_scan(&names, root);
    names_add(&names, root, "a");
    names_remove(&names, root, "c");     /* an event told */
    names_add(&names, root, "made now"); /* an event told, the scan was past it */
    assert_string_equal(names_unseen(&names, root), "b");
    names_remove(&names, root, "b");
    assert_null(names_unseen(&names, root));
    assert_null(names_unseen(&names, other));
}

static void test_not_enough_room(void **state)
{
    char name[32];
    names.max = 100;
    names_begin_scan(&names, other);
    names_add(&names, other, "mine");
    names_begin_scan(&names, root);
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof(name), "%d", i);
        names_add(&names, root, name);
    }
    assert_false(root->names_known); /* all or nothing */
    assert_true(other->names_known);
    assert_int_equal(names.count, 1);
    names_begin_scan(&names, root); /* when there is room again */
    names_add(&names, root, "few");
    assert_true(root->names_known);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_a_second_scan_misses),
        TEST(test_not_enough_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
