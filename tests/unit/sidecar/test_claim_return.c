#include "sidecar/claim_return.h"

#include <dirent.h>
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

#include "lib/fs.h"
#include "lib/share/layout.h"

static char root[64];
static struct settings settings;
static struct place place;
static const struct owner me = {
    .generation = 7, .slot = 17, .epoch = 5, .fence_ms = 30000, .task = "me"};

static int setup(void **state)
{
    static char tasks[] = "tasks", task[] = "me", none[] = "";
    strcpy(root, "/tmp/test_claim.XXXXXX");
    if (!mkdtemp(root) || chdir(root) < 0 || mkdir("tasks", 0755) < 0 ||
        mkdir("tasks/me", 0755) < 0 || mkdir("in", 0755) < 0)
        return -1;
    settings = (struct settings){.tasks_dir = tasks,
                                 .task_name = task,
                                 .state_mount = none,
                                 .state_gid = -1,
                                 .fence_ms = 20000,
                                 .claim_max_attempts = 3};
    place = (struct place){.settings = &settings, .path = root, .name = "t", .writable = true};
    return 0;
}

static int teardown(void **state)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -rf %s", root);
    if (chdir("/") < 0)
        return -1;
    return system(command); /* NOLINT(cert-env33-c): our own mkdtemp name */
}

static void touch(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);
    assert_true(fd >= 0);
    close(fd);
}

/* What a shell pattern finds, relative to root. */
static unsigned count(const char *pattern)
{
    char command[512];
    char number[16] = "";
    snprintf(command, sizeof(command), "ls -d %s 2>/dev/null | wc -l", pattern);
    FILE *p = popen(command, "r"); /* NOLINT(cert-env33-c) */
    assert_non_null(fgets(number, sizeof(number), p));
    pclose(p);
    return (unsigned)strtoul(number, NULL, 10);
}

static int open_dir(const char *path)
{
    int fd = open(path, O_PATH | O_DIRECTORY);
    assert_true(fd >= 0);
    return fd;
}

/* One's own directory with the item "a" of the queue "in", after so many failures. */
static int claim_one(uint64_t k, unsigned attempts, const char *name)
{
    struct error err;
    int own_fd, part_fd, queue_fd;
    char path[300];
    const struct claim_part part = {.k = k, .attempts = attempts};
    snprintf(path, sizeof(path), "in/%s", name);
    touch(path);
    assert_int_equal(claim_file_make_own(&place, &me, &own_fd, &err), 0);
    assert_int_equal(claim_file_make_queue(&place, own_fd, k, "in", &err), 0);
    assert_int_equal(claim_file_open_part(&place, own_fd, &part, true, &part_fd, &err), 0);
    assert_int_equal(claim_file_open_queue(&place, "in", false, &queue_fd, &err), 0);
    assert_int_equal(claim_file_take(queue_fd, name, part_fd), 0);
    assert_int_equal(claim_file_take(queue_fd, "missing", part_fd), -ENOENT);
    close(part_fd);
    close(queue_fd);
    return own_fd;
}

static void test_all_of_an_owner_goes_back(void **state)
{
    struct claim_returned returned = {0};
    struct error err;
    char name[NAME_MAX + 1] = "";
    memset(name, 'n', 255);
    close(claim_one(1, 0, "a"));
    close(claim_one(1, 1, "b"));
    close(claim_one(2, 2, "c"));
    close(claim_one(3, 0, name));
    touch("tasks/me/.claims/17-5/1.0/.nfs00000000000000010000002a");
    touch("tasks/me/.claims/17-5/.tmp-1");
    int claims_fd = open_dir("tasks/me/.claims");
    assert_int_equal(claim_return(&place, claims_fd, "17-5", true, &returned, &err), 0);
    assert_int_equal(returned.retried, 3);
    assert_int_equal(returned.dead, 1);
    assert_int_equal(count("in/.retry/1.*/a"), 1);
    assert_int_equal(count("in/.retry/2.*/b"), 1);
    assert_int_equal(count("in/.dead/3.*/c"), 1);
    assert_int_equal(count("in/.retry/1.*/nnn*"), 1);
    assert_int_equal(count("-A tasks/me/.claims/*"), 0);
    assert_int_equal(claim_return(&place, claims_fd, "17-5", true, &returned, &err), 0);
    close(claims_fd);
}

static void test_one_queue_goes_back_uncounted(void **state)
{
    struct error err;
    int other_fd = claim_one(2, 0, "b"), own_fd = claim_one(1, 2, "a");
    assert_int_equal(claim_return_queue(&place, own_fd, 1, &err), 0);
    assert_int_equal(count("in/.retry/2.*/a"), 1);
    assert_int_equal(count("tasks/me/.claims/17-5/1.*"), 0);
    assert_int_equal(count("tasks/me/.claims/17-5/2.*/b"), 1);
    assert_int_equal(count("tasks/me/.claims/17-5/2.queue"), 1);
    close(own_fd);
    close(other_fd);
}

/* Somebody removed the directory: what was claimed from it is not lost. */
static void test_a_queue_that_is_gone_is_made_again(void **state)
{
    struct claim_returned returned = {0};
    struct error err;
    close(claim_one(1, 0, "a"));
    assert_int_equal(rmdir("in"), 0);
    int claims_fd = open_dir("tasks/me/.claims");
    assert_int_equal(claim_return(&place, claims_fd, "17-5", true, &returned, &err), 0);
    assert_int_equal(count("in/.retry/1.*/a"), 1);
    close(claims_fd);
}

/* What says where an item belongs is missing, or leads elsewhere: nothing is removed. */
static void test_what_cannot_be_given_back_stays(void **state)
{
    static const char *const paths[] = {"../out", "/etc", "in/../../x", ""};
    struct claim_returned returned = {0};
    struct error err;
    close(claim_one(1, 0, "a"));
    int claims_fd = open_dir("tasks/me/.claims");
    int own_fd = open_dir("tasks/me/.claims/17-5");
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        assert_int_equal(fs_write_atomic(own_fd, "1.queue", paths[i], strlen(paths[i]), 0644), 0);
        assert_int_equal(claim_return(&place, claims_fd, "17-5", true, &returned, &err), -EBADMSG);
        assert_int_equal(count("tasks/me/.claims/17-5/1.0/a"), 1);
    }
    unlink("tasks/me/.claims/17-5/1.queue");
    assert_true(claim_return(&place, claims_fd, "17-5", true, &returned, &err) < 0);
    assert_int_equal(count("tasks/me/.claims/17-5/1.0/a"), 1);
    close(claims_fd);
    close(own_fd);
}

/* A symbolic link in the place of a queue or of a directory of claims leads nowhere. */
static void test_symbolic_links_are_not_followed_out(void **state)
{
    struct claim_returned returned = {0};
    struct error err;
    close(claim_one(1, 0, "a"));
    int claims_fd = open_dir("tasks/me/.claims");
    assert_int_equal(rmdir("in") | symlink("/tmp", "in"), 0);
    assert_true(claim_return(&place, claims_fd, "17-5", true, &returned, &err) < 0);
    assert_int_equal(count("tasks/me/.claims/17-5/1.0/a"), 1);
    assert_int_equal(symlink("/tmp", "tasks/me/.claims/18-1"), 0);
    assert_true(claim_return(&place, claims_fd, "18-1", true, &returned, &err) < 0);
    close(claims_fd);
}

static void test_whose_it_is(void **state)
{
    struct owner owner;
    close(claim_one(1, 0, "a"));
    int claims_fd = open_dir("tasks/me/.claims");
    assert_int_equal(claim_return_owner(&place, claims_fd, "17-5", 9, &owner), 0);
    assert_true(owner_equal(&owner, &me));
    assert_int_equal(mkdir("tasks/me/.claims/3-2", 0755), 0);
    assert_int_equal(claim_return_owner(&place, claims_fd, "3-2", 9, &owner), 0);
    assert_true(owner.generation == 9 && owner.slot == 3 && owner.epoch == 2);
    assert_int_equal(owner.fence_ms, 20000);
    static const char *const others[] = {"", "-", "3-", "x-1", "3-0", "3-2x", ".3-2"};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        assert_int_equal(claim_return_owner(&place, claims_fd, others[i], 9, &owner), -EINVAL);
    assert_int_equal(rename("tasks/me/.claims/17-5", "tasks/me/.claims/17-6"), 0);
    assert_int_equal(claim_return_owner(&place, claims_fd, "17-6", 9, &owner), -EBADMSG);
    close(claims_fd);
}

static void test_names(void **state)
{
    struct claim_part part;
    unsigned attempts;
    uint64_t k;
    char buf[CLAIM_DIR_TEXT];
    assert_int_equal(claim_file_parse_part("12.3", &part), 0);
    assert_true(part.k == 12 && part.attempts == 3);
    assert_string_equal(claim_file_part_name(&part, buf), "12.3");
    assert_string_equal(claim_file_owner_name(&me, buf), "17-5");
    assert_int_equal(claim_file_parse_queue("12.queue", &k), 0);
    assert_int_equal(claim_file_parse_retry("4.00aa", &attempts), 0);
    assert_int_equal(attempts, 4);
    static const char *const bad[] = {"", ".", "1", "1.", ".1", "a.1", "1.x.2", "-1.2", "1.1001"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(claim_file_parse_part(bad[i], &part), -EINVAL);
        assert_int_equal(claim_file_parse_queue(bad[i], &k), -EINVAL);
    }
    assert_int_equal(claim_file_parse_retry("1001.x", &attempts), -EINVAL);
    assert_true(claim_file_is_item("a") && !claim_file_is_item(".a"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_all_of_an_owner_goes_back),
        TEST(test_one_queue_goes_back_uncounted),
        TEST(test_a_queue_that_is_gone_is_made_again),
        TEST(test_what_cannot_be_given_back_stays),
        TEST(test_symbolic_links_are_not_followed_out),
        TEST(test_whose_it_is),
        TEST(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
