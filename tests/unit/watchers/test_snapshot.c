#include "watchers/snapshot.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka needs the four above */
#include <cmocka.h>

#include "lib/cleanup.h"

static struct snapshot *snapshot;
static struct snapshot_dir *root;

static int setup(void **state)
{
    int r = snapshot_new(1000 * 1000, &snapshot);
    root = snapshot_root(snapshot);
    return r;
}

static int teardown(void **state)
{
    snapshot_free(snapshot);
    return 0;
}

static void test_files_and_directories(void **state)
{
    struct snapshot_dir *a, *b, *again;
    struct snapshot_entry entry;
    char buffer[64];
    assert_int_equal(snapshot_put_dir(snapshot, root, "a", &a), 0);
    assert_int_equal(snapshot_put_dir(snapshot, a, "b", &b), 0);
    assert_int_equal(snapshot_put_dir(snapshot, a, "b", &again), 0);
    assert_ptr_equal(b, again);
    assert_int_equal(snapshot_put_file(snapshot, b, "file", 7, 8), 0);
    assert_ptr_equal(snapshot_walk(snapshot, "a/b"), b);
    assert_null(snapshot_walk(snapshot, "a/b/file"));
    assert_null(snapshot_walk(snapshot, "a/c"));
    assert_true(snapshot_find(b, "file", &entry));
    assert_int_equal(entry.inode, 7);
    assert_int_equal(entry.stamp, 8);
    assert_string_equal(snapshot_path(b, "file", buffer, sizeof(buffer)), "a/b/file");
    assert_string_equal(snapshot_path(root, "", buffer, sizeof(buffer)), "");
    assert_null(snapshot_path(b, "file", buffer, 8));
    assert_int_equal(snapshot_count(snapshot), 3);
    snapshot_remove(snapshot, root, "a");
    assert_int_equal(snapshot_count(snapshot), 0);
    assert_ptr_equal(TAILQ_FIRST(snapshot_order(snapshot)), root);
    assert_null(TAILQ_NEXT(root, order));
}

static void test_types_replace_each_other(void **state)
{
    struct snapshot_dir *dir;
    struct snapshot_entry entry;
    assert_int_equal(snapshot_put_dir(snapshot, root, "x", &dir), 0);
    assert_int_equal(snapshot_put_file(snapshot, dir, "below", 1, 1), 0);
    assert_int_equal(snapshot_put_file(snapshot, root, "x", 1, 1), 0);
    assert_int_equal(snapshot_count(snapshot), 1);
    assert_int_equal(snapshot_put_dir(snapshot, root, "x", &dir), 0);
    assert_true(snapshot_find(root, "x", &entry));
    assert_ptr_equal(entry.dir, dir);
    assert_int_equal(snapshot_count(snapshot), 1);
}

static void test_a_read_finds_what_is_gone(void **state)
{
    struct snapshot_entry entry;
    const char *gone[] = {"b", "d"};
    for (const char *name = "abcde"; *name; name++)
        snapshot_put_file(snapshot, root, (char[]){*name, 0}, 1, 1);
    snapshot_begin_read(root);
    for (const char *name = "acexz"; *name; name++)
        snapshot_put_file(snapshot, root, (char[]){*name, 0}, 1, 1);
    char name[NAME_MAX + 1] = "";
    for (size_t i = 0; i < ARRAY_LEN(gone); i++) {
        assert_true(snapshot_unseen(root, name, &entry));
        assert_string_equal(entry.name, gone[i]);
        memcpy(name, entry.name, sizeof(name));
        snapshot_remove(snapshot, root, name);
    }
    assert_false(snapshot_unseen(root, name, &entry));
    assert_int_equal(snapshot_count(snapshot), 5);
}

static void test_a_walk_survives_changes(void **state)
{
    struct snapshot_entry entry = {.name = ""};
    for (const char *name = "dbca"; *name; name++)
        snapshot_put_file(snapshot, root, (char[]){*name, 0}, 1, 1);
    for (const char *name = "abd"; *name; name++) {
        assert_true(snapshot_after(root, entry.name, &entry));
        assert_string_equal(entry.name, ((char[]){*name, 0}));
        if (*name == 'b') {
            snapshot_remove(snapshot, root, "b");
            snapshot_remove(snapshot, root, "c");
        }
    }
    assert_false(snapshot_after(root, entry.name, &entry));
}

static void test_moves(void **state)
{
    struct snapshot_dir *a, *b;
    struct snapshot_entry entry;
    snapshot_put_dir(snapshot, root, "a", &a);
    snapshot_put_dir(snapshot, a, "b", &b);
    snapshot_put_file(snapshot, b, "f", 3, 4);
    assert_int_equal(snapshot_move(snapshot, root, "a", b, "into-itself"), -EINVAL);
    assert_int_equal(snapshot_move(snapshot, b, "f", root, "a"), -EINVAL);
    assert_int_equal(snapshot_move(snapshot, b, "nothing", root, "x"), -ENOENT);
    assert_int_equal(snapshot_move(snapshot, b, "f", root, "g"), 0);
    assert_true(snapshot_find(root, "g", &entry));
    assert_int_equal(entry.stamp, 4);
    assert_false(snapshot_find(b, "f", &entry));
    assert_int_equal(snapshot_move(snapshot, a, "b", root, "longer-name"), 0);
    assert_ptr_equal(snapshot_walk(snapshot, "longer-name"), b);
    assert_int_equal(snapshot_move(snapshot, root, "g", root, "longer-name"), 0);
    assert_null(snapshot_walk(snapshot, "longer-name"));
    assert_int_equal(snapshot_count(snapshot), 2);
}

static void test_the_cap(void **state)
{
    struct snapshot *small;
    struct snapshot_dir *dir;
    assert_int_equal(snapshot_new(2, &small), 0);
    assert_int_equal(snapshot_put_file(small, snapshot_root(small), "a", 0, 0), 0);
    assert_int_equal(snapshot_put_dir(small, snapshot_root(small), "b", &dir), 0);
    assert_int_equal(snapshot_put_file(small, dir, "c", 0, 0), -EDQUOT);
    assert_int_equal(snapshot_put_file(small, snapshot_root(small), "a", 0, 1), 0);
    assert_int_equal(snapshot_move(small, snapshot_root(small), "a", dir, "moved"), 0);
    char name[NAME_MAX + 2];
    memset(name, 'n', sizeof(name) - 1);
    name[NAME_MAX + 1] = '\0';
    snapshot_remove(small, dir, "moved");
    assert_int_equal(snapshot_put_file(small, dir, name, 0, 0), -ENAMETOOLONG);
    snapshot_free(small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_files_and_directories, setup, teardown),
        cmocka_unit_test_setup_teardown(test_types_replace_each_other, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_read_finds_what_is_gone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_walk_survives_changes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_moves, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_cap, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
