/* VERSION on a real directory: made once whoever is first, whole, and only under its lock. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/clock.h"
#include "lib/fs.h"
#include "lib/share/layout.h"
#include "lib/share/version.h"

enum { THREADS = 8 };

static char dir_name[32];
static int dir_fd;
static const struct version_root root = {.file_system = "fs-0abc", .inode = 4711};

static int set_up(void **state)
{
    snprintf(dir_name, sizeof(dir_name), "/tmp/version-XXXXXX");
    if (!mkdtemp(dir_name))
        return -1;
    dir_fd = open(dir_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return dir_fd < 0;
}

static int tear_down(void **state)
{
    unlinkat(dir_fd, LAYOUT_VERSION, 0);
    unlinkat(dir_fd, LAYOUT_VERSION ".new", 0);
    unlinkat(dir_fd, LAYOUT_VERSION ".lock", 0);
    close(dir_fd);
    return rmdir(dir_name);
}

static void put_file(const char *name, const char *text)
{
    assert_int_equal(fs_write_atomic(dir_fd, name, text, strlen(text), 0660), 0);
}

static void test_create_then_read(void **state)
{
    struct version made, got;
    struct error err = {0};
    time_t before = time(NULL);
    assert_int_equal(version_read(dir_fd, &got, &err), -ENOENT);
    put_file(LAYOUT_VERSION ".new", "left by one that was killed");
    assert_int_equal(version_create(dir_fd, &root, false, -1, &made, &err), 0);
    assert_int_equal(made.format, 1);
    assert_in_range(made.generation, before - 1, time(NULL));
    assert_int_equal(version_read(dir_fd, &got, &err), 0);
    assert_memory_equal(&got, &made, sizeof(got));
    assert_int_equal(faccessat(dir_fd, LAYOUT_VERSION ".new", F_OK, 0), -1);

    /* whoever comes later gets what is there */
    struct version_root other = {.file_system = "fs-0def", .inode = 1};
    assert_int_equal(version_create(dir_fd, &other, false, -1, &got, &err), 0);
    assert_memory_equal(&got, &made, sizeof(got));
}

static void *create(void *arg)
{
    struct version *version = arg;
    struct version_root mine = {.inode = (uint64_t)(uintptr_t)arg};
    struct error err = {0};
    return version_create(dir_fd, &mine, false, -1, version, &err) == 0 ? arg : NULL;
}

static void test_many_make_it_at_once(void **state)
{
    pthread_t threads[THREADS];
    static struct version versions[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, create, &versions[i]), 0);
    for (int i = 0; i < THREADS; i++) {
        void *result;
        pthread_join(threads[i], &result);
        assert_non_null(result);
    }
    for (int i = 1; i < THREADS; i++)
        assert_memory_equal(&versions[i], &versions[0], sizeof(versions[0]));
}

static void test_what_is_no_version(void **state)
{
    static const char *const bad[] = {
        "",
        "{",
        "[]",
        "{}",
        "{\"format\":0,\"generation\":1,\"file_system\":\"\",\"root_inode\":1}",
        "{\"format\":1,\"generation\":0,\"file_system\":\"\",\"root_inode\":1}",
        "{\"format\":1,\"generation\":1,\"root_inode\":1}",
        "{\"format\":1,\"generation\":1,\"file_system\":7,\"root_inode\":1}",
        "{\"format\":1,\"generation\":1,\"file_system\":\"\",\"root_inode\":\"1\"}",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        struct version got = {.format = 99};
        struct error err = {0};
        put_file(LAYOUT_VERSION, bad[i]);
        assert_int_equal(version_read(dir_fd, &got, &err), -EBADMSG);
        assert_non_null(strstr(err.text, "damaged"));
        assert_int_equal(version_create(dir_fd, &root, false, -1, &got, &err), -EBADMSG);
        assert_int_equal(got.format, 99);
    }
    char large[5000];
    memset(large, ' ', sizeof(large) - 1);
    large[sizeof(large) - 1] = '\0';
    struct version got;
    struct error err = {0};
    put_file(LAYOUT_VERSION, large);
    assert_int_equal(version_read(dir_fd, &got, &err), -EBADMSG);
}

/* A later version may say more than we know. */
static void test_unknown_fields(void **state)
{
    struct version got;
    struct error err = {0};
    put_file(LAYOUT_VERSION,
             "{\"format\":2,\"generation\":5,\"file_system\":\"\",\"root_inode\":-1,"
             "\"x\":{}}\n");
    assert_int_equal(version_read(dir_fd, &got, &err), 0);
    assert_int_equal(got.format, 2);
    assert_true(got.root.inode == UINT64_MAX);
}

static void test_check(void **state)
{
    struct version version = {.format = 1, .generation = 1, .root = root};
    struct version_root mine = root;
    struct error err = {0};
    assert_int_equal(version_check(&version, &mine, &err), 0);
    mine.file_system[0] = '\0'; /* not known here */
    assert_int_equal(version_check(&version, &mine, &err), 0);
    mine.inode++;
    assert_int_equal(version_check(&version, &mine, &err), -EXDEV);
    assert_non_null(strstr(err.text, "inode 4711 of fs-0abc"));
    assert_non_null(strstr(err.text, "inode 4712 of an unnamed file system"));
    assert_non_null(strstr(err.text, "efsctl state reset"));
    mine = (struct version_root){.file_system = "fs-0def", .inode = root.inode};
    assert_int_equal(version_check(&version, &mine, &err), -EXDEV);
    version.root.file_system[0] = '\0';
    assert_int_equal(version_check(&version, &mine, &err), 0);
    version.format = VERSION_READS_TO + 1;
    assert_int_equal(version_check(&version, &mine, &err), -EPROTONOSUPPORT);
    assert_non_null(strstr(err.text, "format 2"));
}

static void test_replace_needs_the_lock(void **state)
{
    struct version version, got;
    struct error err = {0};
    int lock_fd, second_fd;
    assert_int_equal(version_create(dir_fd, &root, false, -1, &version, &err), 0);
    assert_int_equal(version_lock(dir_fd, false, -1, 0, &lock_fd, &err), 0);
    assert_int_equal(version_lock(dir_fd, false, -1, clock_now_ms() + 200, &second_fd, &err),
                     -ETIMEDOUT);
    version.generation = 7;
    assert_int_equal(version_replace(dir_fd, lock_fd, &version, false, -1, &err), 0);
    assert_int_equal(version_read(dir_fd, &got, &err), 0);
    assert_int_equal(got.generation, 7);
    assert_int_equal(version_replace(dir_fd, lock_fd, &version, true, -1, &err), 0);
    assert_in_range(version.generation, time(NULL) - 2, time(NULL));
    version.generation = INT64_MAX / 2; /* the server's clock went back since */
    assert_int_equal(version_replace(dir_fd, lock_fd, &version, true, -1, &err), 0);
    assert_true(version.generation == INT64_MAX / 2 + 1);
    assert_int_equal(version_read(dir_fd, &got, &err), 0);
    assert_memory_equal(&got, &version, sizeof(got));

    /* a lock file that was removed protects nothing */
    assert_int_equal(unlinkat(dir_fd, LAYOUT_VERSION ".lock", 0), 0);
    assert_int_equal(version_replace(dir_fd, lock_fd, &version, true, -1, &err), -ENOENT);
    close(lock_fd);
    assert_int_equal(version_read(dir_fd, &got, &err), 0);
    assert_true(got.generation == INT64_MAX / 2 + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_create_then_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_many_make_it_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_no_version, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_unknown_fields, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_check, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_replace_needs_the_lock, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
