#include "watchers/pending.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka needs the four above */
#include <cmocka.h>

#include <stdio.h>

static struct wd_table table;
static struct pending pending;
static struct dir *root;

static int setup(void **state)
{
    pending_init(&pending);
    return wd_table_init(&table, &root);
}

static int teardown(void **state)
{
    pending_release(&pending);
    wd_table_release(&table);
    assert_int_equal(pending.bytes, 0);
    return 0;
}

static struct dir *add(struct dir *parent, const char *name)
{
    struct dir *dir = NULL;
    assert_int_equal(wd_table_add(&table, parent, name, &dir), 0);
    return dir;
}

static void note(struct dir *dir, const char *name, enum change_op op, unsigned flags)
{
    assert_int_equal(pending_note(&pending, dir, name, op, flags), 0);
}

static void rename_file(struct dir *from_dir, const char *from, struct dir *dir, const char *name)
{
    assert_int_equal(pending_rename(&pending, from_dir, from, dir, name, NULL, 0), 0);
}

static void rename_dir(struct dir *moved, struct dir *dir, const char *name)
{
    assert_int_equal(
        pending_rename(&pending, moved->parent, moved->name, dir, name, moved, PENDING_IS_DIR), 0);
    assert_int_equal(wd_table_move(&table, moved, dir, name), 0);
}

/* Everything pending as "op path[<from]", in order, and nothing is pending any more. */
static void assert_told(const char *expected)
{
    char told[4096] = "", buffer[CHANGE_PATH_MAX + 1];
    struct pending_entry *e;
    while ((e = pending_first(&pending))) {
        size_t n = strlen(told);
        if (e->kind == PENDING_PONG)
            snprintf(told + n, sizeof(told) - n, "pong %d, ", (int)e->nonce);
        else
            snprintf(told + n, sizeof(told) - n, "%s %s%s%s, ", change_op_name(e->op),
                     e->kind == PENDING_NOTE ? wd_table_path(e->dir, e->text, buffer) : e->text,
                     e->from ? "<" : "", e->from ? e->text + e->from : "");
        pending_remove(&pending, e);
    }
    assert_string_equal(told, expected);
}

static void test_merging(void **state)
{
    note(root, "new", CHANGE_CREATE, PENDING_UNKNOWN);
    note(root, "new", CHANGE_MODIFY, 0);
    note(root, "new", CHANGE_ATTRIB, 0);
    note(root, "mod", CHANGE_ATTRIB, 0);
    note(root, "mod", CHANGE_MODIFY, 0);
    note(root, "mod", CHANGE_ATTRIB, 0);
    note(root, "gone", CHANGE_MODIFY, 0);
    note(root, "gone", CHANGE_DELETE, 0);
    note(root, "again", CHANGE_DELETE, 0);
    note(root, "again", CHANGE_CREATE, PENDING_UNKNOWN);
    assert_told("create new, modify mod, delete gone, create again, ");
}

static void test_came_and_went(void **state)
{
    note(root, "temporary", CHANGE_CREATE, PENDING_UNKNOWN);
    note(root, "temporary", CHANGE_MODIFY, 0);
    note(root, "temporary", CHANGE_DELETE, 0);
    /* The reader knows this one from before, so it has to hear of the end. */
    note(root, "known", CHANGE_DELETE, 0);
    note(root, "known", CHANGE_CREATE, PENDING_UNKNOWN);
    note(root, "known", CHANGE_DELETE, 0);
    assert_told("delete known, ");
}

/* A reader forgets all below a deleted directory, so a new one of the same name cannot stand for
 * both. */
static void test_directory_replaced(void **state)
{
    note(root, "d", CHANGE_DELETE, PENDING_IS_DIR);
    note(root, "d", CHANGE_CREATE, PENDING_IS_DIR | PENDING_UNKNOWN);
    note(root, "d", CHANGE_ATTRIB, PENDING_IS_DIR);
    note(root, "f", CHANGE_DELETE, 0);
    note(root, "f", CHANGE_CREATE, PENDING_IS_DIR | PENDING_UNKNOWN);
    assert_told("delete d, create d, delete f, create f, ");
}

static void test_file_renames(void **state)
{
    note(root, "tmp", CHANGE_CREATE, PENDING_UNKNOWN);
    note(root, "data", CHANGE_MODIFY, 0);
    rename_file(root, "tmp", root, "data");
    assert_told("create data, ");

    note(root, "a", CHANGE_MODIFY, 0);
    rename_file(root, "a", root, "b");
    note(root, "b", CHANGE_DELETE, 0);
    assert_told("rename b<a, delete b, ");

    /* a and b change places: each step has to be told */
    rename_file(root, "a", root, "t");
    rename_file(root, "b", root, "a");
    rename_file(root, "t", root, "b");
    assert_told("rename t<a, rename a<b, rename b<t, ");

    /* what was created over a known name may not vanish silently */
    note(root, "data", CHANGE_DELETE, 0);
    note(root, "tmp", CHANGE_CREATE, PENDING_UNKNOWN);
    rename_file(root, "tmp", root, "data");
    note(root, "data", CHANGE_DELETE, 0);
    assert_told("delete data, ");
}

static void test_directory_renames(void **state)
{
    struct dir *a = add(root, "a"), *sub = add(a, "sub"), *other = add(root, "other");
    note(root, "a", CHANGE_CREATE, PENDING_IS_DIR | PENDING_UNKNOWN);
    note(a, "f", CHANGE_CREATE, PENDING_UNKNOWN);
    note(other, "x", CHANGE_CREATE, PENDING_UNKNOWN);
    assert_int_equal(pending_pong(&pending, 5), 0);
    note(sub, "g", CHANGE_MODIFY, 0);
    rename_file(a, "old", other, "new");
    rename_dir(a, root, "b");
    note(a, "h", CHANGE_DELETE, 0);
    rename_dir(a, other, "c");
    assert_told("create a, create other/x, rename other/new<a/old, rename b<a, rename other/c<b, "
                "create other/c/f, pong 5, modify other/c/sub/g, delete other/c/h, ");
}

static void test_forget_and_clear(void **state)
{
    struct dir *a = add(root, "a");
    note(a, "f", CHANGE_CREATE, 0);
    note(a, "g", CHANGE_DELETE, PENDING_IS_DIR);
    note(a, "g", CHANGE_CREATE, 0); /* the note before is sealed */
    note(root, "h", CHANGE_CREATE, 0);
    pending_forget(&pending, a);
    assert_int_equal(pending.count, 1);
    assert_int_equal(pending_pong(&pending, 9), 0);
    assert_int_equal(pending_resync(&pending, "", CHANGE_REASON_OVERFLOW, 0), 0);
    pending_clear(&pending);
    assert_told("pong 9, ");
}

/* A resync makes forget what was told before it: what is found behind it is told again. */
static void test_resync(void **state)
{
    note(root, "f", CHANGE_CREATE, 0);
    assert_int_equal(pending_resync(&pending, "", CHANGE_REASON_RENAMED, 0), 0);
    note(root, "f", CHANGE_CREATE, 0);
    note(root, "f", CHANGE_MODIFY, 0);
    assert_told("create f, resync , create f, ");
}

static const struct change peer_modify = {
    .op = CHANGE_MODIFY,
    .flags = CHANGE_HAS_ATTRS,
    .size = 5,
    .ctime_ns = 7,
    .path = "f",
    .observer = "somebody",
};

/* Who has to be told of a note is the business of the nearest of its events. */
static void test_peers(void **state)
{
    assert_int_equal(pending_note_peer(&pending, root, "f", &peer_modify), 0);
    struct pending_entry *e = pending_first(&pending);
    assert_int_equal(e->origin, PENDING_FROM_PEER);
    assert_string_equal(e->peer->observer, "somebody");
    assert_int_equal(e->peer->size, 5);
    note(root, "f", CHANGE_CREATE, PENDING_QUIET);
    assert_int_equal(e->origin, PENDING_FROM_AGAIN);
    note(root, "f", CHANGE_MODIFY, PENDING_FOUND);
    assert_int_equal(e->origin, PENDING_FROM_FIND);
    note(root, "f", CHANGE_MODIFY, 0);
    struct change other = peer_modify;
    other.observer = "another with a longer name";
    other.size = 6;
    assert_int_equal(pending_note_peer(&pending, root, "f", &other), 0);
    assert_ptr_equal(e, pending_first(&pending));
    assert_int_equal(e->origin, PENDING_FROM_HERE);
    assert_int_equal(e->peer->size, 6);
    assert_string_equal(e->peer->observer, "another with a longer name");
    assert_told("create f, ");
    assert_int_equal(pending.bytes, 0);
}

/* What this host has to announce is still announced when another member renames the file. */
static void test_peer_renames(void **state)
{
    struct change change = peer_modify;
    change.op = CHANGE_RENAME;
    change.from = "f";
    change.path = "g";
    note(root, "f", CHANGE_MODIFY, 0);
    assert_int_equal(pending_rename_peer(&pending, root, "f", root, "g", NULL, &change), 0);
    struct pending_entry *e = pending_first(&pending);
    assert_int_equal(e->origin, PENDING_FROM_PEER);
    assert_int_equal(e->op, CHANGE_RENAME);
    e = TAILQ_NEXT(e, order);
    assert_int_equal(e->origin, PENDING_FROM_HERE);
    assert_null(e->peer);
    assert_told("rename g<f, modify g, ");
    note(root, "g", CHANGE_MODIFY, 0); /* written here after it was replaced elsewhere */
    assert_int_equal(pending_rename_peer(&pending, root, "f", root, "g", NULL, &change), 0);
    assert_told("rename g<f, modify g, ");
    note(root, "g", CHANGE_MODIFY, 0); /* replaced here */
    rename_file(root, "f", root, "g");
    assert_told("rename g<f, ");
    change.op = CHANGE_RESYNC;
    change.reason = CHANGE_REASON_PEER_DIED;
    assert_int_equal(pending_record_peer(&pending, &change), 0);
    e = pending_first(&pending);
    assert_int_equal(e->reason, CHANGE_REASON_PEER_DIED);
    assert_int_equal(e->from, 0);
    assert_told("resync g, ");
}

static void test_full(void **state)
{
    char name[200];
    memset(name, 'n', sizeof(name));
    for (int i = 0; !pending_is_full(&pending); i++) {
        snprintf(name, sizeof(name), "%0190d", i);
        note(root, name, CHANGE_CREATE, 0);
    }
    assert_true(pending.count <= PENDING_MAX);
    assert_true(pending.bytes < PENDING_BYTES_MAX + 1024);
    char path[CHANGE_PATH_MAX + 1];
    memset(path, 'p', sizeof(path) - 1);
    path[CHANGE_PATH_MAX] = '\0';
    pending_release(&pending);
    while (!pending_is_full(&pending))
        assert_int_equal(pending_resync(&pending, path, CHANGE_REASON_BLIND, 0), 0);
    assert_true(pending.count < PENDING_MAX / 2);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_merging),      TEST(test_came_and_went),     TEST(test_directory_replaced),
        TEST(test_file_renames), TEST(test_directory_renames), TEST(test_forget_and_clear),
        TEST(test_peers),        TEST(test_peer_renames),      TEST(test_full),
        TEST(test_resync),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
