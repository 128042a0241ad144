/* What the probe's child finds in real directories: markers, directories to make, required paths,
 * databases; and what check_content says of it. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "init/check_content.h"
#include "lib/cleanup.h"

static char directory[32], data[] = "/data", no_id[] = "";
static int dir;
static struct expectations expect;
static struct probe_log log_of_probe;
static struct mount_report report;
static const struct mount_setting asked = {.path = data, .file_system_id = no_id};

static int set_up(void **state)
{
    strcpy(directory, "/tmp/content-XXXXXX");
    if (!mkdtemp(directory))
        return -1;
    dir = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    memset(&expect, 0, sizeof(expect));
    memset(&log_of_probe, 0, sizeof(log_of_probe));
    report = (struct mount_report){.asked = &asked};
    return 0;
}

static int remove_one(const char *path, const struct stat *attributes, int type, struct FTW *ftw)
{
    return remove(path);
}

static int tear_down(void **state)
{
    close(dir);
    return nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void write_bytes(const char *name, const void *bytes, size_t length)
{
    _cleanup_close_ int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, length), (ssize_t)length);
}

static void write_text(const char *name, const char *text)
{
    write_bytes(name, text, strlen(text));
}

static struct expectation *want(enum expect_kind kind, char *path)
{
    struct expectation *item = &expect.items[expect.n++];
    *item = (struct expectation){.kind = kind, .path = path, .relative = strrchr(path, ':') + 1};
    return item;
}

/* Its verdict on all of the kind: fails with this cause and these words, or with CAUSE_NONE not. */
static void look(enum expect_kind kind, enum cause cause, const char *words)
{
    struct content_wish wish = {.expect = &expect};
    struct content_question question = {.expect = &expect, .log = &log_of_probe};
    bool met = content_look_at(dir, kind, &wish, &log_of_probe.content);
    assert_int_equal(met, cause == CAUSE_NONE);
    check_content(&question, &report);
    assert_int_equal(report.n, 1);
    assert_int_equal(report.checks[0].cause, cause);
    assert_int_equal(report.checks[0].verdict, cause == CAUSE_NONE ? VERDICT_OK : VERDICT_FAIL);
    if (!strstr(report.checks[0].message, words))
        fail_msg("\"%s\" is not in: %s", words, report.checks[0].message);
    memset(&expect, 0, sizeof(expect));
    memset(&log_of_probe, 0, sizeof(log_of_probe));
    report.n = 0;
}

static void test_marker(void **state)
{
    char path[] = "/data/:id", prod[] = "prod", pro[] = "pro", empty[] = "";
    write_text("id", "prod\n");
    want(EXPECT_MARKER, path);
    look(EXPECT_MARKER, CAUSE_NONE, "1 as expected");
    want(EXPECT_MARKER, path)->content = prod;
    look(EXPECT_MARKER, CAUSE_NONE, "");
    want(EXPECT_MARKER, path)->content = pro;
    look(EXPECT_MARKER, CAUSE_MARKER_MISMATCH, "does not say \"pro\"");
    want(EXPECT_MARKER, path)->content = empty;
    look(EXPECT_MARKER, CAUSE_MARKER_MISMATCH, "does not say");

    char missing[] = "/data/:none", out[] = "/data/:out", pipe_name[] = "/data/:pipe";
    want(EXPECT_MARKER, missing);
    look(EXPECT_MARKER, CAUSE_MARKER_MISMATCH, "is missing");
    assert_int_equal(symlinkat("/etc/passwd", dir, "out"), 0); /* that proves another directory */
    want(EXPECT_MARKER, out);
    struct content_wish wish = {.expect = &expect};
    assert_false(content_look_at(dir, EXPECT_MARKER, &wish, &log_of_probe.content));
    memset(&expect, 0, sizeof(expect));
    assert_int_equal(mkfifoat(dir, "pipe", 0600), 0); /* does not block */
    want(EXPECT_MARKER, pipe_name)->content = prod;
    assert_false(content_look_at(dir, EXPECT_MARKER, &wish, &log_of_probe.content));
}

static void test_create(void **state)
{
    char path[] = "/data/:a/b", file[] = "/data/:file/b", itself[] = "/data:.";
    struct stat attributes;
    umask(077);
    want(EXPECT_CREATE, path)->mode = 02770;
    look(EXPECT_CREATE, CAUSE_NONE, "1 made, 0 existed");
    assert_int_equal(fstatat(dir, "a/b", &attributes, 0), 0);
    assert_int_equal(attributes.st_mode & 07777, 02770);
    assert_int_equal(fchmodat(dir, "a/b", 0700, 0), 0);
    want(EXPECT_CREATE, path)->mode = 02770;
    want(EXPECT_CREATE, itself);
    look(EXPECT_CREATE, CAUSE_NONE, "0 made, 2 existed");
    assert_int_equal(fstatat(dir, "a/b", &attributes, 0), 0);
    assert_int_equal(attributes.st_mode & 07777, 0700); /* left as it was */
    write_text("file", "");
    want(EXPECT_CREATE, file)->mode = 0755;
    look(EXPECT_CREATE, CAUSE_NOT_A_DIRECTORY, "/data/:file/b cannot be made (ENOTDIR)");
}

static void test_require(void **state)
{
    char path[] = "/data/:x", missing[] = "/data/:y";
    write_text("x", "");
    assert_int_equal(fchmodat(dir, "x", 0640, 0), 0);
    want(EXPECT_REQUIRE, path);
    look(EXPECT_REQUIRE, CAUSE_NONE, "1 as required");
    struct expectation *item = want(EXPECT_REQUIRE, path);
    item->owner = (struct ids_setting){.set = true, .uid = getuid(), .gid = getgid()};
    item->mode = 0640;
    item->mode_set = true;
    look(EXPECT_REQUIRE, CAUSE_NONE, "");
    item = want(EXPECT_REQUIRE, path);
    item->owner = (struct ids_setting){.set = true, .uid = 4711, .gid = 815};
    look(EXPECT_REQUIRE, CAUSE_REQUIRED_PATH_DIFFERS, ", required is 4711:815");
    item = want(EXPECT_REQUIRE, path);
    item->owner = (struct ids_setting){.set = true, .uid = getuid(), .gid = getgid()};
    item->mode = 0644;
    item->mode_set = true;
    look(EXPECT_REQUIRE, CAUSE_REQUIRED_PATH_DIFFERS, "with mode 0640, required is");
    want(EXPECT_REQUIRE, missing);
    look(EXPECT_REQUIRE, CAUSE_REQUIRED_PATH_MISSING, "/data/:y does not exist");
}

static void test_only_its_own_mount(void **state)
{
    char missing[] = "/data/:y";
    want(EXPECT_REQUIRE, missing)->mount = 1;
    struct content_wish wish = {.expect = &expect};
    assert_true(content_look_at(dir, EXPECT_REQUIRE, &wish, &log_of_probe.content));
    assert_false(log_of_probe.content.results[0].done);
}

static void test_many_failures(void **state)
{
    char missing[] = "/data/:y";
    for (int i = 0; i < CONFIG_NAMES_MAX; i++)
        want(EXPECT_REQUIRE, missing);
    struct content_wish wish = {.expect = &expect};
    struct content_question question = {.expect = &expect, .log = &log_of_probe};
    assert_false(content_look_at(dir, EXPECT_REQUIRE, &wish, &log_of_probe.content));
    check_content(&question, &report);
    assert_int_equal(report.n, 4);
    assert_string_equal(report.checks[3].detail, "28 more like it");
}

/* An SQLite header with these version bytes. */
static void write_database(const char *name, char version)
{
    char header[100] = "SQLite format 3";
    header[18] = header[19] = version;
    write_bytes(name, header, sizeof(header));
}

static void test_databases(void **state)
{
    const struct content_log *content = &log_of_probe.content;
    write_database("rollback.db", 1);
    write_text("notes.db", "SQLite format 3 is what this is about");
    write_text("plain-wal", "");
    write_text("empty.db", "");
    assert_int_equal(mkdirat(dir, "sub", 0755), 0);
    assert_int_equal(mkdirat(dir, ".hidden", 0755), 0);
    write_database(".hidden/x.db", 2);
    assert_int_equal(symlinkat("/etc/passwd", dir, "link.db"), 0);
    assert_int_equal(mkfifoat(dir, "pipe.db", 0600), 0);
    content_find_databases(dir, &log_of_probe.content);
    assert_int_equal(content->n_databases, 0);

    for (const char *const *name = (const char *const[]){"rollback.db", "notes.db", "empty.db",
                                                         "link.db", "pipe.db", NULL};
         *name; name++)
        assert_int_equal(unlinkat(dir, *name, 0), 0);
    write_database("sub/app.sqlite3", 2); /* named by itself, */
    write_text("sub/app.sqlite3-wal", "");
    write_database("data", 2); /* and by its companions, once */
    write_text("data-wal", "");
    write_text("data-shm", "");
    write_text("lock.mdb", "");
    content_find_databases(dir, &log_of_probe.content);
    assert_int_equal(content->n_databases, 3);

    struct content_question question = {.expect = &expect, .log = &log_of_probe};
    check_content(&question, &report);
    char all[4096] = "";
    size_t used = 0;
    for (size_t i = 0; i < report.n; i++) {
        assert_int_equal(report.checks[i].verdict, VERDICT_WARN);
        used += (size_t)snprintf(all + used, sizeof(all) - used, "%s\n", report.checks[i].message);
    }
    assert_non_null(strstr(all, "/data/sub/app.sqlite3 is an SQLite database in WAL mode"));
    assert_non_null(strstr(all, "/data/data is an SQLite database in WAL mode"));
    assert_non_null(strstr(all, "/data/lock.mdb is the lock table of an LMDB database"));
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_marker),        TEST(test_create),
        TEST(test_require),       TEST(test_only_its_own_mount),
        TEST(test_many_failures), TEST(test_databases),
    };
    return cmocka_run_group_tests_name("content", tests, NULL, NULL);
}
