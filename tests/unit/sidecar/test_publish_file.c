#include "sidecar/publish_file.h"

#include <errno.h>
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

#include "lib/clock.h"

static char root[64];
static struct settings settings;
static struct place place;

static const char *at(const char *path)
{
    static char buffers[4][256];
    static unsigned next;
    char *buffer = buffers[next++ % 4];
    snprintf(buffer, sizeof(buffers[0]), "%s/%s", root, path);
    return buffer;
}

static void put_file(const char *path, const char *text)
{
    FILE *file = fopen(at(path), "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void assert_file(const char *path, const char *expected)
{
    char text[64] = "";
    FILE *file = fopen(at(path), "r");
    if (!file)
        fail_msg("%s is missing", path);
    assert_non_null(fgets(text, sizeof(text), file));
    fclose(file);
    assert_string_equal(text, expected);
}

static bool exists(const char *path)
{
    struct stat now;
    return lstat(at(path), &now) == 0;
}

static int set_up(void **state)
{
    snprintf(root, sizeof(root), "/tmp/test_publish_file.XXXXXX");
    if (!mkdtemp(root))
        return -1;
    static char state_dir[] = ".efs-sidecar", tasks_dir[] = "tasks", task_name[] = "web-1";
    settings = (struct settings){.state_dir = state_dir,
                                 .tasks_dir = tasks_dir,
                                 .task_name = task_name,
                                 .task_dir_mode = 02770,
                                 .state_gid = -1};
    place = (struct place){.settings = &settings, .path = root, .writable = true};
    return mkdir(at("in"), 0755);
}

static int tear_down(void **state)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -rf '%s'", root);
    return system(command); /* NOLINT(cert-env33-c): our own mkdtemp name */
}

static struct publish_file wanted(const char *from, const char *to)
{
    return (struct publish_file){
        .place = &place, .from = from, .to = to, .digest_most_bytes = 1024};
}

static struct publish_file under_lock(const char *from, const char *to)
{
    struct publish_file file = wanted(from, to);
    file.lock = "deploy/web";
    file.valid_until_ms = clock_now_ms() + 60 * 1000;
    snprintf(file.staged, sizeof(file.staged), "7.3-test-1");
    return file;
}

#define STAGED ".efs-stage/deploy%2Fweb/7.3-test-1"

static int publish(struct publish_file *file)
{
    int r = publish_file_prepare(file);
    return r == 0 ? publish_file_put(file) : r;
}

static void test_no_replace(void **state)
{
    put_file("new", "new");
    struct publish_file file = wanted("new", "in/a");
    assert_int_equal(publish(&file), 0);
    assert_true(file.published && file.has_digest);
    assert_int_equal(file.size, 3);
    assert_file("in/a", "new");
    assert_false(exists("new"));

    put_file("other", "other");
    file = wanted("other", "in/a");
    assert_int_equal(publish(&file), -EEXIST);
    assert_false(file.published);
    assert_file("in/a", "new");
    assert_file("other", "other"); /* nothing is lost */
}

static void test_replace(void **state)
{
    put_file("in/a", "old");
    put_file("new", "new");
    struct publish_file file = wanted("new", "in/a");
    file.replace = true;
    file.mode = 0640;
    assert_int_equal(publish(&file), 0);
    assert_file("in/a", "new");
    assert_false(exists("new"));
    struct stat now;
    assert_int_equal(stat(at("in/a"), &now), 0);
    assert_int_equal(now.st_mode & 07777, 0640);
}

/* After a crash, or a call that was answered late: the place has our file already. */
static void test_again(void **state)
{
    for (int how = 0; how < 4; how++) {
        put_file("new", "new");
        assert_int_equal(link(at("new"), at("in/a")), 0);
        struct publish_file file = how & 1 ? under_lock("new", "in/a") : wanted("new", "in/a");
        file.replace = how & 2;
        assert_int_equal(publish(&file), 0);
        assert_true(file.published);
        assert_file("in/a", "new");
        assert_false(exists("new"));
        assert_false(exists(STAGED));
        assert_int_equal(unlink(at("in/a")), 0);
    }
}

/* It was put in its place by a sidecar that died, and somebody took it from there. */
static void test_taken_since(void **state)
{
    (void)state;
    put_file("new", "new");
    assert_int_equal(link(at("new"), at("in/claimed")), 0);
    struct publish_file file = wanted("new", "in/a");
    assert_int_equal(publish(&file), -EEXIST);
    assert_non_null(strstr(file.err.text, "has a second name"));
    assert_false(exists("in/a"));
    assert_true(exists("new"));
}

static void test_under_lock(void **state)
{
    put_file("new", "new");
    struct publish_file file = under_lock("new", "in/a");
    assert_int_equal(publish(&file), 0);
    assert_file("in/a", "new");
    assert_false(exists("new") || exists(STAGED));

    put_file("newer", "newer");
    file = under_lock("newer", "in/a");
    assert_int_equal(publish(&file), -EEXIST);
    assert_false(exists(STAGED) || file.left_staged);
    assert_file("newer", "newer");

    file = under_lock("newer", "in/a");
    file.replace = true;
    assert_int_equal(publish(&file), 0);
    assert_file("in/a", "newer");
    assert_false(exists("newer") || exists(STAGED));
}

static void test_time_is_up(void **state)
{
    put_file("new", "new");
    struct publish_file file = under_lock("new", "in/a");
    file.valid_until_ms = clock_now_ms();
    assert_int_equal(publish(&file), -ESTALE);
    assert_false(exists("in/a") || exists(STAGED));
    assert_file("new", "new");
}

static void test_cancelled(void **state)
{
    put_file("new", "new");
    for (int locked = 0; locked < 2; locked++) {
        struct publish_file file = locked ? under_lock("new", "in/a") : wanted("new", "in/a");
        assert_int_equal(publish_file_prepare(&file), 0);
        assert_true(publish_file_cancel(&file));
        assert_int_equal(publish_file_put(&file), -ECANCELED);
        assert_false(exists("in/a") || exists(STAGED));
    }
    struct publish_file file = wanted("new", "in/a");
    assert_int_equal(publish(&file), 0);
    assert_false(publish_file_cancel(&file)); /* it is too late */
}

static void test_directories(void **state)
{
    put_file("new", "new");
    struct publish_file file = wanted("new", "in/deep/er/a");
    assert_int_equal(publish(&file), -ENOENT);
    assert_false(exists("in/deep"));
    file = wanted("new", "in/deep/er/a");
    file.mkdir = true;
    assert_int_equal(publish(&file), 0);
    assert_file("in/deep/er/a", "new");
}

static void test_planted_links(void **state)
{
    put_file("new", "new");
    assert_int_equal(symlink("/etc", at("out")), 0);
    assert_int_equal(symlink("/etc/passwd", at("file")), 0);
    assert_int_equal(symlink("..", at("in/up")), 0);
    static const struct {
        const char *from, *to;
    } cases[] = {
        {"out/passwd", "in/a"}, {"file", "in/a"}, {"new", "out/a"}, {"new", "in/up/../../a"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct publish_file file = wanted(cases[i].from, cases[i].to);
        file.mkdir = true;
        int r = publish_file_check(&file, &file.err);
        if (r == 0)
            r = publish(&file);
        if (r >= 0 || exists("in/a"))
            fail_msg("%s was published as %s", cases[i].from, cases[i].to);
        assert_true(exists("new"));
    }
    /* What has the place itself is replaced, not followed. */
    assert_int_equal(symlink("/etc/passwd", at("in/a")), 0);
    struct publish_file file = wanted("new", "in/a");
    assert_int_equal(publish(&file), -EEXIST);
    file = wanted("new", "in/a");
    file.replace = true;
    assert_int_equal(publish(&file), 0);
    assert_file("in/a", "new");
}

static void test_what_is_no_file(void **state)
{
    assert_int_equal(mkfifo(at("fifo"), 0600), 0);
    static const char *const names[] = {"fifo", "in"};
    for (size_t i = 0; i < 2; i++) {
        struct publish_file file = wanted(names[i], "in/a");
        assert_int_equal(publish(&file), -EINVAL);
    }
}

static void test_checked(void **state)
{
    static const char *const bad[] = {"/etc/passwd",  "",    "../a",           "a/../b",
                                      "a//b",         "a/",  ".efs-sidecar/x", "d/.efs-sidecar/x",
                                      ".efs-stage/x", "same"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct publish_file from = wanted(bad[i], "same"), to = wanted("same", bad[i]);
        assert_true(publish_file_check(&from, &from.err) < 0);
        assert_true(publish_file_check(&to, &to.err) < 0);
    }
    struct publish_file file = wanted("d/.efs-stages/x", "a b\n\xff");
    assert_int_equal(publish_file_check(&file, &file.err), 0);
}

static void test_large(void **state)
{
    put_file("new", "0123456789");
    struct publish_file file = wanted("new", "in/a");
    file.digest_most_bytes = 9;
    assert_int_equal(publish(&file), 0);
    assert_false(file.has_digest);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_no_replace),      TEST(test_replace),     TEST(test_again),
        TEST(test_taken_since),     TEST(test_under_lock),  TEST(test_time_is_up),
        TEST(test_cancelled),       TEST(test_directories), TEST(test_planted_links),
        TEST(test_what_is_no_file), TEST(test_checked),     TEST(test_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
