#include "watchers/census.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
/* cmocka needs the four above */
#include <cmocka.h>

#include "lib/cleanup.h"
#include "lib/clock.h"

/* A real tree, and a census of it whose clock is the test's. */
static char root[64];
static struct scope scope;
static struct census_options options;
static struct census census;

static const char *const excludes[] = {".efs-sidecar"};

static int setup(void **state)
{
    strcpy(root, "/tmp/test_census.XXXXXX");
    if (!mkdtemp(root) || chdir(root) < 0)
        return -1;
    clock_fake_set(1000 * 1000, 0);
    scope = (struct scope){.excludes = excludes, .exclude_count = ARRAY_LEN(excludes)};
    options = (struct census_options){
        .root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC),
        .scope = &scope,
        .max_entries = 1000,
    };
    return options.root_fd < 0;
}

static int teardown(void **state)
{
    char command[128];
    census_close(&census);
    close(options.root_fd);
    clock_fake_off();
    snprintf(command, sizeof(command), "rm -rf %s", root);
    if (chdir("/") < 0)
        return -1;
    return system(command); /* NOLINT(cert-env33-c): our own mkdtemp name */
}

static void put(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static void pass(void)
{
    clock_fake_advance(10 * 1000);
    census_begin(&census);
    int r;
    while ((r = census_step(&census)) > 0) {}
    assert_int_equal(r, 0);
}

/* All passes until nothing can be unsettled any more. */
static void settle(void)
{
    for (int i = 0; i < 3; i++)
        pass();
}

static void begin(void)
{
    assert_int_equal(census_open(&census, &options), 0);
    settle();
    assert_int_equal(census.findings.count, 0);
}

/* The next finding is this one: "create a/b". */
static void expect(const char *text)
{
    char path[PATH_MAX], line[PATH_MAX + 16];
    struct change change;
    struct finding *finding = findings_due(&census.findings, CLOCK_NEVER);
    assert_non_null(finding);
    assert_true(census_take(&census, finding, path, &change));
    snprintf(line, sizeof(line), "%s %s%s", change_op_name(change.op), change.path,
             change.flags & CHANGE_IS_DIR ? "/" : "");
    assert_string_equal(line, text);
    assert_int_equal(change.source, CHANGE_SOURCE_SCAN);
}

static void expect_nothing(void)
{
    assert_int_equal(census.findings.count, 0);
}

static void test_what_others_make_change_and_remove(void **state)
{
    mkdir("a", 0755);
    mkdir("a/b", 0755);
    put("a/b/file", "one");
    put("gone", "x");
    begin();
    put("a/b/new", "new");
    pass();
    expect("create a/b/new");
    put("a/b/file", "three");
    pass();
    expect("modify a/b/file");
    unlink("gone");
    pass();
    expect("delete gone");
    settle();
    expect_nothing();
}

static void test_a_new_tree_and_its_end(void **state)
{
    begin();
    mkdir("t", 0755);
    mkdir("t/u", 0755);
    put("t/u/f", "f");
    pass();
    expect("create t/");
    expect("create t/u/");
    expect("create t/u/f");
    settle();
    assert_int_equal(rename("t", "v"), 0);
    pass();
    expect("create v/");
    expect("delete t/");
    expect("create v/u/");
    expect("create v/u/f");
    settle();
    expect_nothing();
}

static void test_a_file_that_was_replaced(void **state)
{
    put("f", "same");
    begin();
    put("other", "same");
    assert_int_equal(rename("other", "f"), 0);
    pass();
    expect("modify f");
    unlink("f");
    mkdir("f", 0755);
    pass();
    expect("create f/");
    rmdir("f");
    put("f", "");
    pass();
    expect("create f");
    settle();
    expect_nothing();
}

static void test_excluded_and_silly_names(void **state)
{
    begin();
    mkdir(".efs-sidecar", 0755);
    put(".efs-sidecar/board", "");
    put(".nfs000000000000abcd00000001", "");
    assert_int_equal(symlink("/etc", "link"), 0);
    pass();
    expect("create link");
    settle();
    expect_nothing();
}

static void test_only_some_paths(void **state)
{
    const char *paths[] = {"in/side"};
    scope.paths = paths;
    scope.path_count = 1;
    mkdir("in", 0755);
    mkdir("out", 0755);
    begin();
    put("in/not", "");
    put("out/not", "");
    mkdir("in/side", 0755);
    put("in/side/yes", "");
    pass();
    expect("create in/side/yes");
    settle();
    expect_nothing();
}

static void test_what_members_tell_is_no_finding(void **state)
{
    struct stat st;
    begin();
    put("told", "hello");
    stat("told", &st);
    struct change change = {
        .op = CHANGE_CREATE,
        .flags = CHANGE_HAS_ATTRS,
        .path = "told",
        .size = (uint64_t)st.st_size,
        .mtime_ns = st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec,
        .ctime_ns = st.st_ctim.tv_sec * 1000000000 + st.st_ctim.tv_nsec,
    };
    assert_int_equal(census_note(&census, &change), 0);
    settle();
    expect_nothing();

    put("late", "told after it was found");
    pass();
    assert_int_equal(census.findings.count, 1);
    assert_int_equal(census_note(&census, &(struct change){.op = CHANGE_CREATE, .path = "late"}),
                     0);
    expect_nothing();

    mkdir("d", 0755);
    assert_int_equal(
        census_note(&census,
                    &(struct change){.op = CHANGE_CREATE, .flags = CHANGE_IS_DIR, .path = "d"}),
        0);
    assert_int_equal(rename("late", "d/moved"), 0);
    assert_int_equal(
        census_note(&census,
                    &(struct change){.op = CHANGE_RENAME, .from = "late", .path = "d/moved"}),
        0);
    unlink("told");
    assert_int_equal(census_note(&census, &(struct change){.op = CHANGE_DELETE, .path = "told"}),
                     0);
    settle();
    expect_nothing();
}

/* A member's word that comes late must not hide what happened since. */
static void test_an_old_word_hides_nothing(void **state)
{
    put("f", "old");
    begin();
    unlink("f");
    pass();
    assert_int_equal(census.findings.count, 1);
    assert_int_equal(census_note(&census, &(struct change){.op = CHANGE_MODIFY, .path = "f"}), 0);
    expect_nothing();
    pass();
    expect("delete f");

    put("g", "one");
    pass();
    expect("create g");
    settle();
    struct change change = {.op = CHANGE_MODIFY, .flags = CHANGE_HAS_ATTRS, .path = "g", .size = 1};
    assert_int_equal(census_note(&census, &change), 0);
    settle();
    expect("modify g");
}

/* Two changes within a tick of the server's clock have one time stamp: it is not trusted before it
 * has stood still for a while. */
static void test_a_young_time_stamp_is_not_trusted(void **state)
{
    begin();
    struct snapshot_dir *dir = snapshot_root(census.snapshot);
    assert_true(dir->settled);
    put("a", "");
    pass();
    expect("create a");
    assert_false(dir->settled);
    clock_fake_advance(1999 - 10 * 1000);
    pass();
    assert_false(dir->settled);
    pass();
    assert_true(dir->settled);
}

static void test_the_limit(void **state)
{
    char name[32];
    options.max_entries = 5;
    for (int i = 0; i < 9; i++) {
        snprintf(name, sizeof(name), "f%d", i);
        put(name, "");
    }
    begin();
    assert_int_equal(snapshot_count(census.snapshot), 5);
    assert_true(census.left_out > 0);
    expect_nothing();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_others_make_change_and_remove, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_new_tree_and_its_end, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_file_that_was_replaced, setup, teardown),
        cmocka_unit_test_setup_teardown(test_excluded_and_silly_names, setup, teardown),
        cmocka_unit_test_setup_teardown(test_only_some_paths, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_members_tell_is_no_finding, setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_old_word_hides_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_young_time_stamp_is_not_trusted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_limit, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
