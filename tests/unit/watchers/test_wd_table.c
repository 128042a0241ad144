#include "watchers/wd_table.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka needs the four above */
#include <cmocka.h>

#include <stdio.h>

#include "lib/share/change.h"

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

static struct dir *add(struct dir *parent, const char *name)
{
    struct dir *dir = NULL;
    assert_int_equal(wd_table_add(&table, parent, name, &dir), 0);
    return dir;
}

static void assert_path(const struct dir *dir, const char *name, const char *expected)
{
    char buffer[CHANGE_PATH_MAX + 1];
    const char *path = wd_table_path(dir, name, buffer);
    assert_non_null(path);
    assert_string_equal(path, expected);
}

static void test_paths_follow_renames(void **state)
{
    struct dir *ab = add(root, "ab"), *abc = add(root, "abc"), *deep = add(add(ab, "x"), "y");
    assert_path(root, "", "");
    assert_path(root, "f", "f");
    assert_path(deep, "f", "ab/x/y/f");
    assert_path(deep, "", "ab/x/y");

    assert_int_equal(wd_table_move(&table, ab, abc, "moved"), 0);
    assert_path(deep, "f", "abc/moved/x/y/f");
    assert_path(abc, "", "abc");
    assert_null(wd_table_child(&table, root, "ab"));
    assert_ptr_equal(wd_table_child(&table, abc, "moved"), ab);
    assert_true(wd_table_is_under(deep, abc));
    assert_true(wd_table_is_under(abc, abc));
    assert_false(wd_table_is_under(abc, ab));
}

static void test_longest_path(void **state)
{
    char name[256], buffer[CHANGE_PATH_MAX + 1];
    struct dir *dir = root;
    memset(name, 'n', 255);
    name[255] = '\0';
    for (int i = 0; i < 15; i++) /* 15 names of 255 and their slashes: 3840 bytes */
        dir = add(dir, name);
    assert_non_null(wd_table_path(dir, name, buffer)); /* 4095: exactly */
    assert_int_equal(strlen(wd_table_path(dir, name, buffer)), CHANGE_PATH_MAX);
    dir = add(dir, name);
    assert_non_null(wd_table_path(dir, "", buffer));
    assert_null(wd_table_path(dir, "x", buffer));
    assert_null(wd_table_path(add(dir, name), "", buffer));
}

static void test_a_wd_has_one_owner(void **state)
{
    struct dir *a = add(root, "a"), *b = add(root, "b");
    assert_null(wd_table_bind(&table, a, 7));
    assert_null(wd_table_bind(&table, a, 7));
    assert_ptr_equal(wd_table_by_wd(&table, 7), a);
    assert_ptr_equal(wd_table_bind(&table, b, 7), a);
    assert_ptr_equal(wd_table_by_wd(&table, 7), b);
    assert_int_equal(a->wd, -1);
    assert_null(wd_table_bind(&table, b, 8));
    assert_null(wd_table_by_wd(&table, 7));
    assert_int_equal(table.watched, 1);
    wd_table_unbind(&table, b);
    wd_table_unbind(&table, b);
    assert_int_equal(table.watched, 0);
}

static void test_drop_and_reap(void **state)
{
    struct dir *a = add(root, "a"), *b = add(a, "b"), *c = add(b, "c"), *dir;
    wd_table_bind(&table, c, 3);
    assert_int_equal(wd_table_add(&table, a, "b", &dir), -EEXIST);
    wd_table_drop(&table, a);
    assert_null(wd_table_child(&table, root, "a"));
    assert_false(wd_table_is_live(&table, c));
    assert_ptr_equal(wd_table_by_wd(&table, 3), c); /* known, but not live */
    add(root, "a");                                 /* a new one of the same name */

    int reaped = 0;
    for (; (dir = wd_table_reap(&table)); reaped++)
        wd_table_free(&table, dir);
    assert_int_equal(reaped, 3);
    assert_null(wd_table_by_wd(&table, 3));
    assert_int_equal(table.count, 2);
    assert_true(wd_table_is_live(&table, wd_table_child(&table, root, "a")));
}

static void test_many(void **state)
{
    char name[32];
    for (int i = 0; i < 20000; i++) {
        snprintf(name, sizeof(name), "dir-%d", i);
        wd_table_bind(&table, add(root, name), i);
    }
    for (int i = 0; i < 20000; i += 2) {
        snprintf(name, sizeof(name), "dir-%d", i);
        wd_table_drop(&table, wd_table_child(&table, root, name));
    }
    for (struct dir *dir; (dir = wd_table_reap(&table));)
        wd_table_free(&table, dir);
    for (int i = 0; i < 20000; i++) {
        const struct dir *dir = wd_table_by_wd(&table, i);
        snprintf(name, sizeof(name), "dir-%d", i);
        if (i % 2)
            assert_string_equal(dir->name, name);
        else
            assert_null(dir);
    }
    assert_int_equal(table.count, 10001);
    assert_int_equal(table.watched, 10000);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_paths_follow_renames), TEST(test_longest_path), TEST(test_a_wd_has_one_owner),
        TEST(test_drop_and_reap),        TEST(test_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
