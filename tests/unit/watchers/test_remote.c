#include "watchers/remote.h"

#include <fcntl.h>
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
#include "watchers/scan.h"

static char root[64];
static struct tracker tracker;
static struct sink sink;
static struct tracker_options options;
static char told[8192];

static int take_change(struct sink *s, const struct change *change)
{
    size_t n = strlen(told);
    snprintf(told + n, sizeof(told) - n, "%s%s %s%s%s, ",
             change->source == CHANGE_SOURCE_PEER ? "" : "own ", change_op_name(change->op),
             change->path, change->op == CHANGE_RENAME ? "<" : "",
             change->op == CHANGE_RENAME ? change->from : "");
    return 0;
}

static int take_ready(struct sink *s, const char *path, const struct watch_status *status)
{
    return 0;
}

static ssize_t take_bytes(int fd, const void *data, size_t length)
{
    return (ssize_t)length;
}

static const struct sink_ops collect = {
    .change = take_change, .ready = take_ready, .write = take_bytes};

/* Until nothing is left to do. */
static void work(void)
{
    struct error err = {0};
    int64_t end_ms = clock_now_ms() + 10 * 1000;
    do {
        assert_int_equal(tracker_step(&tracker, &err), 0);
        assert_true(clock_now_ms() < end_ms);
    } while (!scan_is_idle(&tracker) || pending_first(&tracker.pending) ||
             !LIST_EMPTY(&tracker.dirs.dropped) || tracker.moves.count > 0 ||
             tracker.rest_until_ms > 0);
}

static void assert_told(const char *expected)
{
    work();
    assert_string_equal(told, expected);
    told[0] = '\0';
}

/* What was done until now was done on another host: no event tells of it here. */
static void elsewhere(void)
{
    const struct inotify_event *event;
    while (inotify_source_next(&tracker.source, &event) == 1)
        ;
}

static int setup(void **state)
{
    static const char *const excludes[] = {".efs-sidecar"};
    struct error err;
    strcpy(root, "/tmp/test_remote.XXXXXX");
    if (!mkdtemp(root) || chdir(root) < 0 || mkdir("d", 0755) < 0)
        return -1;
    options = (struct tracker_options){
        .root = root,
        .scope = {.excludes = excludes, .exclude_count = 1},
        .max_dirs = 100,
        .batch_ms = 1,
    };
    told[0] = '\0';
    if (sink_open(&sink, &collect, -1) < 0 || tracker_open(&tracker, &options, &sink, &err) < 0)
        return -1;
    work();
    return 0;
}

static int teardown(void **state)
{
    char command[128];
    tracker_close(&tracker);
    sink_release(&sink);
    snprintf(command, sizeof(command), "rm -rf %s", root);
    if (chdir("/") < 0)
        return -1;
    return system(command); /* NOLINT(cert-env33-c): our own mkdtemp name */
}

static void put(const char *name, const char *text)
{
    _cleanup_close_ int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static void apply(enum change_op op, const char *path, unsigned flags)
{
    struct change change = {.op = op,
                            .flags = flags,
                            .path = path,
                            .observer = "peer",
                            .reason = op == CHANGE_RESYNC ? CHANGE_REASON_PEER_DIED : 0};
    assert_int_equal(remote_apply(&tracker, &change), 0);
}

static void apply_rename(const char *from, const char *path, unsigned flags)
{
    struct change change = {
        .op = CHANGE_RENAME, .flags = flags, .path = path, .from = from, .observer = "peer"};
    assert_int_equal(remote_apply(&tracker, &change), 0);
}

static void test_files(void **state)
{
    put("f", "x");
    put("d/g", "x");
    elsewhere();
    apply(CHANGE_CREATE, "f", 0);
    apply(CHANGE_CREATE, "d/g", 0);
    apply(CHANGE_MODIFY, "d/g", 0);
    assert_told("create f, create d/g, ");
    assert_int_equal(rename("f", "d/f"), 0);
    assert_int_equal(unlink("d/g"), 0);
    elsewhere();
    apply_rename("f", "d/f", 0);
    apply(CHANGE_DELETE, "d/g", 0);
    assert_told("rename d/f<f, delete d/g, ");
}

/* What is told is what is there, whatever the record says. */
static void test_late_records(void **state)
{
    apply(CHANGE_CREATE, "gone", 0);
    put("here", "");
    put("moved-and-made-again", "");
    put("target", "");
    elsewhere();
    apply(CHANGE_DELETE, "here", 0);
    apply_rename("moved-and-made-again", "target", 0);
    apply_rename("neither", "nor", 0);
    assert_told("delete gone, create here, create moved-and-made-again, create target, "
                "delete neither, delete nor, ");
}

static void test_out_of_scope(void **state)
{
    assert_int_equal(mkdir("d/.efs-sidecar", 0755), 0);
    put("d/f", "");
    elsewhere();
    apply(CHANGE_CREATE, "d/.efs-sidecar", CHANGE_IS_DIR);
    apply(CHANGE_CREATE, "d/.efs-sidecar/f", 0);
    apply(CHANGE_CREATE, "d/.nfs0000000012345678", 0);
    apply(CHANGE_MODIFY, "", CHANGE_IS_DIR);
    apply(CHANGE_RESYNC, ".efs-sidecar/x", CHANGE_IS_DIR);
    apply_rename("d/.efs-sidecar/f", "d/f", 0);
    assert_told("create d/f, ");
}

static void test_directory_is_watched(void **state)
{
    assert_int_equal(mkdir("new", 0755), 0);
    assert_int_equal(mkdir("new/below", 0755), 0);
    put("new/below/f", "");
    elsewhere();
    apply(CHANGE_CREATE, "new", CHANGE_IS_DIR);
    assert_told("create new, own create new/below, own create new/below/f, ");
    put("new/below/mine", "");
    assert_told("own create new/below/mine, ");
}

/* Records of a directory's contents may come before that of the directory. */
static void test_directory_unknown(void **state)
{
    assert_int_equal(mkdir("new", 0755), 0);
    assert_int_equal(mkdir("new/below", 0755), 0);
    put("new/below/f", "");
    elsewhere();
    apply(CHANGE_CREATE, "new/below/f", 0);
    assert_told("create new/below/f, own create new/below, own create new/below/f, ");
    put("new/below/mine", "");
    assert_told("own create new/below/mine, ");
}

static void test_directory_renamed(void **state)
{
    assert_int_equal(rename("d", "e"), 0);
    elsewhere();
    apply_rename("d", "e", CHANGE_IS_DIR);
    assert_told("rename e<d, ");
    put("e/mine", "");
    assert_told("own create e/mine, ");
}

/* An application goes on in a directory that was renamed elsewhere, before we hear of it. */
static void test_written_behind_a_rename(void **state)
{
    assert_int_equal(rename("d", "e"), 0);
    elsewhere();
    put("e/mine", "");
    assert_told("own create d/mine, ");
    apply_rename("d", "e", CHANGE_IS_DIR);
    assert_told("rename e<d, own create e/mine, ");
}

/* Records that come when a directory above has been renamed, here or elsewhere. */
static void test_overtaken_by_a_rename(void **state)
{
    assert_int_equal(mkdir("d/e", 0755), 0);
    apply(CHANGE_MODIFY, "nothing", 0);
    assert_told("delete nothing, own create d/e, ");
    put("d/e/f", "");
    elsewhere();
    assert_int_equal(rename("d", "here"), 0);
    assert_told("own rename here<d, ");
    apply(CHANGE_CREATE, "d/e/f", 0);
    assert_told("delete d/e/f, create here/e/f, ");

    put("here/e/g", "");
    assert_int_equal(rename("here", "there"), 0);
    elsewhere();
    apply(CHANGE_CREATE, "here/e/g", 0);
    apply_rename("here", "there", CHANGE_IS_DIR);
    work();
    assert_true(strncmp(told, "rename there<here, ", 19) == 0);
    assert_non_null(strstr(told, "create there/e/g, "));
    assert_null(strstr(told, "delete"));
}

/* The old directory of a name has moved, and there is another one of that name. */
static void test_name_in_use_again(void **state)
{
    put("d/old", "");
    apply(CHANGE_MODIFY, "nothing", 0);
    assert_told("delete nothing, own create d/old, ");
    assert_int_equal(rename("d", "e"), 0);
    elsewhere();
    assert_int_equal(mkdir("d", 0755), 0);
    assert_told("own delete d, own create d, ");
    apply_rename("d", "e", CHANGE_IS_DIR);
    assert_told("create d, create e, own create e/old, ");
    put("d/mine", "");
    put("e/mine", "");
    assert_told("own create d/mine, own create e/mine, ");

    assert_int_equal(rename("e", "g"), 0); /* and all of it elsewhere */
    assert_int_equal(mkdir("e", 0755), 0);
    put("e/new", "");
    elsewhere();
    apply_rename("e", "g", CHANGE_IS_DIR);
    apply(CHANGE_CREATE, "e", CHANGE_IS_DIR);
    work();
    assert_non_null(strstr(told, "delete e, "));
    assert_non_null(strstr(strstr(told, "delete e, "), "create e/new, "));
    assert_non_null(strstr(told, "create g/old, "));
    assert_int_equal(tracker.resyncs, 0);
}

static void test_directory_removed(void **state)
{
    assert_int_equal(rmdir("d"), 0);
    elsewhere();
    apply(CHANGE_DELETE, "d", CHANGE_IS_DIR);
    assert_told("delete d, ");
    assert_int_equal(tracker.dirs.count, 1);
    assert_int_equal(tracker.dirs.watched, 1);
}

/* Removed elsewhere, and made here before we hear of it. */
static void test_directory_made_again_here(void **state)
{
    apply(CHANGE_MODIFY, "nothing", 0);
    assert_told("delete nothing, ");
    assert_int_equal(rmdir("d"), 0);
    elsewhere();
    assert_int_equal(mkdir("d", 0755), 0);
    put("d/first", "");
    work();
    told[0] = '\0';
    apply(CHANGE_DELETE, "d", CHANGE_IS_DIR);
    assert_told("create d, ");
    put("d/second", "");
    assert_told("own create d/second, ");
    assert_int_equal(tracker.resyncs, 0);
}

static void test_directory_gone_again(void **state)
{
    apply(CHANGE_CREATE, "short", CHANGE_IS_DIR);
    assert_told("delete short, ");
    assert_int_equal(mkdir("short", 0755), 0);
    elsewhere();
    apply(CHANGE_CREATE, "short", CHANGE_IS_DIR);
    assert_int_equal(rmdir("short"), 0);
    elsewhere();
    work();
    assert_int_equal(tracker.dirs.count, 2);
    assert_true(TAILQ_EMPTY(&tracker.scan_waiting));
}

/* Everything that is watched there is read and reported again, and what is gone is forgotten. */
static void test_resync(void **state)
{
    assert_int_equal(mkdir("d/old", 0755), 0);
    put("d/f", "");
    work();
    told[0] = '\0';
    assert_int_equal(rmdir("d/old"), 0);
    assert_int_equal(mkdir("d/new", 0755), 0);
    put("d/new/g", "");
    put("elsewhere", "");
    elsewhere();
    apply(CHANGE_RESYNC, "d", CHANGE_IS_DIR);
    work();
    assert_true(strncmp(told, "resync d, ", 10) == 0);
    assert_non_null(strstr(told, "own create d/f, "));
    assert_non_null(strstr(told, "own create d/new, "));
    assert_non_null(strstr(told, "own create d/new/g, "));
    assert_null(strstr(told, "elsewhere"));
    assert_int_equal(tracker.dirs.count, 3);
    told[0] = '\0';
    put("d/new/mine", "");
    assert_told("own create d/new/mine, ");
    apply(CHANGE_RESYNC, "d/f", 0);
    apply(CHANGE_RESYNC, "not/there", 0);
    assert_told("resync d/f, create d/f, resync not/there, ");
}

static void test_too_many_directories(void **state)
{
    char name[32];
    options.max_dirs = 2;
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof(name), "too-many-%d", i);
        assert_int_equal(mkdir(name, 0755), 0);
        elsewhere();
        apply(CHANGE_CREATE, name, CHANGE_IS_DIR);
    }
    assert_told("create too-many-0, own resync too-many-0, create too-many-1, create too-many-2, ");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_files),
        TEST(test_late_records),
        TEST(test_out_of_scope),
        TEST(test_directory_is_watched),
        TEST(test_directory_unknown),
        TEST(test_directory_renamed),
        TEST(test_written_behind_a_rename),
        TEST(test_overtaken_by_a_rename),
        TEST(test_name_in_use_again),
        TEST(test_directory_removed),
        TEST(test_directory_made_again_here),
        TEST(test_directory_gone_again),
        TEST(test_resync),
        TEST(test_too_many_directories),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
