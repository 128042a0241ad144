/* Probes of local directories: what they do, what they leave, what they remove, how they are
 * stopped. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "init/probe.h"
#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/ofd.h"

#define OLD_FREE ".efs-sidecar-probe.0123abcd.4711.0123456789abcdef"
#define OLD_HELD ".efs-sidecar-probe.0123abcd.4712.0123456789abcdef.moved"
#define OLD_DIR  ".efs-sidecar-probe.0123abcd.4713.0123456789abcdef.dir"
#define YOUNG    ".efs-sidecar-probe.0123abcd.4714.0123456789abcdef"
#define FOREIGN  ".efs-sidecar-probe.mine"

static char directory[32];

static int set_up(void **state)
{
    strcpy(directory, "/tmp/probe-XXXXXX");
    return mkdtemp(directory) ? 0 : -1;
}

static int tear_down(void **state)
{
    DIR *list = opendir(directory);
    const struct dirent *entry;
    while (list && (entry = readdir(list)) != NULL)
        if (unlinkat(dirfd(list), entry->d_name, 0) < 0)
            (void)unlinkat(dirfd(list), entry->d_name, AT_REMOVEDIR);
    closedir(list);
    return rmdir(directory);
}

static int count_names(void)
{
    _cleanup_closedir_ DIR *list = opendir(directory);
    int n = 0;
    while (readdir(list))
        n++;
    return n - 2;
}

static struct child start(struct probe_wish wish)
{
    struct child probe;
    struct error err = {0};
    wish.path = directory;
    if (probe_start(&wish, &probe, &err) < 0)
        fail_msg("%s", err.text);
    return probe;
}

static struct probe_log *log_of(const struct child *probe)
{
    return probe->shared;
}

static void wait_for_end(const struct child *probe)
{
    struct pollfd done = {.fd = probe->done_fd, .events = POLLIN};
    assert_int_equal(poll(&done, 1, 10000), 1);
}

static void test_whole(void **state)
{
    struct child probe = start((struct probe_wish){.allow_local = true, .hold_ms = 600});
    wait_for_end(&probe);
    assert_int_equal(log_of(&probe)->error, 0);
    assert_int_equal(atomic_load(&log_of(&probe)->step), PROBE_END);
    for (int step = 0; step < PROBE_END; step++)
        assert_int_equal(log_of(&probe)->took_us[step] >= 0, step != PROBE_LIST);
    assert_true(log_of(&probe)->proofs >= 2);
    assert_string_equal(log_of(&probe)->path, directory);
    assert_int_equal(log_of(&probe)->owner, getuid());
    assert_int_equal(log_of(&probe)->file_owner, getuid());
    assert_int_equal(count_names(), 0);
    child_close(&probe);
}

static void test_read_only_writes_nothing(void **state)
{
    assert_int_equal(chmod(directory, 0500), 0);
    struct child probe = start((struct probe_wish){.allow_local = true, .read_only = true});
    wait_for_end(&probe);
    assert_int_equal(log_of(&probe)->error, 0);
    assert_true(log_of(&probe)->took_us[PROBE_LIST] >= 0);
    assert_true(log_of(&probe)->took_us[PROBE_CREATE] < 0);
    assert_false(log_of(&probe)->made);
    child_close(&probe);
}

/* A directory that is not EFS must not be written to. */
static void test_not_nfs_stops(void **state)
{
    struct stat before, after;
    assert_int_equal(stat(directory, &before), 0);
    struct child probe = start((struct probe_wish){0});
    wait_for_end(&probe);
    assert_true(log_of(&probe)->not_nfs);
    assert_true(log_of(&probe)->mount_id > 0);
    assert_true(log_of(&probe)->took_us[PROBE_CREATE] < 0);
    assert_int_equal(stat(directory, &after), 0);
    assert_memory_equal(&before.st_mtim, &after.st_mtim, sizeof(before.st_mtim));
    child_close(&probe);
}

static void make(const char *name, bool is_dir, int age_s)
{
    char path[128];
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT},
                                {.tv_sec = clock_wall_ms() / 1000 - age_s}};
    snprintf(path, sizeof(path), "%s/%s", directory, name);
    if (is_dir) {
        assert_int_equal(mkdir(path, 0700), 0);
    } else {
        int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        close(fd);
    }
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static bool exists(const char *name)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", directory, name);
    return access(path, F_OK) == 0;
}

static void test_leftovers(void **state)
{
    char path[128];
    make(OLD_FREE, false, 2 * PROBE_LEFTOVER_AGE_S);
    make(OLD_HELD, false, 2 * PROBE_LEFTOVER_AGE_S);
    make(OLD_DIR, true, 2 * PROBE_LEFTOVER_AGE_S);
    make(YOUNG, false, PROBE_LEFTOVER_AGE_S / 2);
    make(FOREIGN, false, 2 * PROBE_LEFTOVER_AGE_S);
    snprintf(path, sizeof(path), "%s/" OLD_HELD, directory);
    _cleanup_close_ int held = open(path, O_RDWR | O_CLOEXEC);
    assert_int_equal(ofd_lock(held, F_WRLCK, 0, 0), 0);

    struct child probe = start((struct probe_wish){.allow_local = true});
    wait_for_end(&probe);
    assert_int_equal(log_of(&probe)->error, 0);
    assert_int_equal(log_of(&probe)->leftovers, 2);
    assert_false(exists(OLD_FREE) || exists(OLD_DIR));
    assert_true(exists(OLD_HELD) && exists(YOUNG) && exists(FOREIGN));
    child_close(&probe);
}

static void test_names(void **state)
{
    static const char *const others[] = {
        "",
        ".efs-sidecar-probe.",
        FOREIGN,
        ".efs-sidecar-probe.0123abcd.4711.0123456789abcde",
        ".efs-sidecar-probe.0123abcd.4711.0123456789abcdef0",
        ".efs-sidecar-probe.0123ABCD.4711.0123456789abcdef",
        ".efs-sidecar-probe.0123abcd.x.0123456789abcdef",
        ".efs-sidecar-probe.0123abcd.4711.0123456789abcdef.txt",
        ".efs-sidecar-probe.0123abcd.12345678901.0123456789abcdef",
    };
    static const char *const ours[] = {OLD_FREE, OLD_HELD, OLD_DIR, OLD_FREE ".link"};
    for (size_t i = 0; i < ARRAY_LEN(ours); i++)
        assert_true(probe_is_leftover_name(ours[i]));
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        assert_false(probe_is_leftover_name(others[i]));
}

/* A child that no longer runs, as one in a hung system call: stopping it does not wait. */
static void test_stop(void **state)
{
    struct child probe = start((struct probe_wish){.allow_local = true, .hold_ms = 60000});
    int64_t give_up_ms = clock_now_ms() + 10000;
    while (atomic_load(&log_of(&probe)->step) != PROBE_HOLD && clock_now_ms() < give_up_ms)
        usleep(1000);
    assert_int_equal(atomic_load(&log_of(&probe)->step), PROBE_HOLD);
    assert_int_equal(kill(probe.pid, SIGSTOP), 0);
    int64_t start_ms = clock_now_ms();
    child_stop(&probe);
    assert_true(clock_now_ms() - start_ms < 1000);
    assert_true(count_names() > 0); /* left for a later one */
    child_close(&probe);
}

static void test_missing(void **state)
{
    struct child probe;
    struct error err = {0};
    char path[64];
    snprintf(path, sizeof(path), "%s/a/b", directory);
    assert_int_equal(probe_start(&(struct probe_wish){.path = path}, &probe, &err), 0);
    wait_for_end(&probe);
    assert_int_equal(log_of(&probe)->error, ENOENT);
    assert_int_equal(log_of(&probe)->failed, PROBE_OPEN);
    assert_string_equal(log_of(&probe)->path, directory);
    child_close(&probe);
}

static void test_other_ids(void **state)
{
    if (geteuid() != 0)
        skip();
    struct child probe = start(
        (struct probe_wish){.allow_local = true, .change_ids = true, .uid = 4711, .gid = 815});
    wait_for_end(&probe);
    assert_int_equal(log_of(&probe)->failed, PROBE_CREATE);
    assert_int_equal(log_of(&probe)->error, EACCES);
    assert_int_equal(log_of(&probe)->uid, 4711);
    assert_int_equal(log_of(&probe)->gid, 815);
    assert_int_equal(log_of(&probe)->groups, 0);
    assert_false(probe_may_write(log_of(&probe)));
    child_close(&probe);

    assert_int_equal(chown(directory, 4711, 815), 0);
    probe = start(
        (struct probe_wish){.allow_local = true, .change_ids = true, .uid = 4711, .gid = 815});
    wait_for_end(&probe);
    assert_int_equal(log_of(&probe)->error, 0);
    assert_int_equal(log_of(&probe)->file_owner, 4711);
    assert_int_equal(log_of(&probe)->file_group, 815);
    child_close(&probe);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test_setup_teardown(test_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_read_only_writes_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_not_nfs_stops, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_leftovers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_stop, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_missing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_other_ids, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("probe", tests, NULL, NULL);
}
