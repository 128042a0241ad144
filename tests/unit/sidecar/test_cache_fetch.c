/* Looks and copies: whole, only of the file that was expected, without leaving anything behind. */
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

#include <cmocka.h>

#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/fs.h"
#include "sidecar/cache_fetch.h"

static char share[40], tmp[32];
static int tmp_fd;
static struct cache_source source;
static const atomic_bool no_stop;

static int set_up(void **state)
{
    strcpy(tmp, "/tmp/test-cache-fetch.XXXXXX");
    if (!mkdtemp(tmp))
        return -1;
    snprintf(share, sizeof(share), "%s/share", tmp);
    mkdir(share, 0755);
    chmod(share, 0755);
    tmp_fd = open(tmp, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    source = (struct cache_source){.path = share};
    return cache_fetch_root(share, &source.root);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    return remove(path);
}

static int tear_down(void **state)
{
    close(tmp_fd);
    return nftw(tmp, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void put(const char *path, const void *data, size_t length)
{
    char full[128];
    snprintf(full, sizeof(full), "%s/%s", share, path);
    for (char *slash = full + strlen(share); (slash = strchr(slash + 1, '/'));) {
        *slash = '\0';
        if (mkdir(full, 0755) == 0)
            chmod(full, 0755);
        *slash = '/';
    }
    int fd = open(full, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_int_equal(write(fd, data, length), length);
    fchmod(fd, 0644);
    close(fd);
}

static int look_and_copy(const char *path, struct cache_sight *ret_sight)
{
    int r = cache_fetch_look(&source, path, ret_sight);
    return r < 0 ? r
                 : cache_fetch_copy(&source, path, &ret_sight->identity, tmp_fd, "copy", &no_stop,
                                    ret_sight);
}

static bool has_copy(void)
{
    return faccessat(tmp_fd, "copy", F_OK, 0) == 0;
}

static void set_mtime(const char *path, time_t seconds)
{
    char full[128];
    const struct timespec times[] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = seconds, .tv_nsec = 5000}};
    snprintf(full, sizeof(full), "%s/%s", share, path);
    assert_int_equal(utimensat(AT_FDCWD, full, times, 0), 0);
}

static void test_sizes(void **state)
{
    static const size_t sizes[] = {0, 1, 4095, 4096, 4097, 1048576, 1048577, 3000000};
    char *data = malloc(3000000);
    for (size_t i = 0; i < 3000000; i++)
        data[i] = (char)(i * 7 + i / 4096);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct cache_sight sight;
        char *got = NULL;
        size_t length;
        struct stat now;
        put("a/b", data, sizes[i]);
        set_mtime("a/b", i == 0 ? -1 : 1000000000 + (time_t)i);
        assert_int_equal(look_and_copy("a/b", &sight), 0);
        assert_int_equal(sight.identity.size, sizes[i]);
        assert_int_equal(fs_read_file(tmp_fd, "copy", 4000000, &got, &length), 0);
        assert_int_equal(length, sizes[i]);
        assert_memory_equal(got, data, length);
        assert_int_equal(fstatat(tmp_fd, "copy", &now, 0), 0);
        assert_int_equal(now.st_mode & 07777, 0444);
        assert_int_equal(now.st_mtim.tv_sec * 1000000000 + now.st_mtim.tv_nsec,
                         sight.identity.mtime_ns);
        free(got);
        unlinkat(tmp_fd, "copy", 0);
    }
    free(data);
}

static void test_changed(void **state)
{
    struct cache_sight sight, after;
    put("f", "one", 3);
    assert_int_equal(cache_fetch_look(&source, "f", &sight), 0);
    put("f", "three", 5);
    assert_int_equal(
        cache_fetch_copy(&source, "f", &sight.identity, tmp_fd, "copy", &no_stop, &after), -ESTALE);
    assert_false(has_copy());
    put("g", "two", 3);
    char from[64], to[64];
    snprintf(from, sizeof(from), "%s/g", share);
    snprintf(to, sizeof(to), "%s/f", share);
    assert_int_equal(cache_fetch_look(&source, "f", &sight), 0);
    assert_int_equal(rename(from, to), 0);
    assert_int_equal(
        cache_fetch_copy(&source, "f", &sight.identity, tmp_fd, "copy", &no_stop, &after), -ESTALE);
    assert_false(has_copy());
    const atomic_bool stop = true;
    assert_int_equal(cache_fetch_look(&source, "f", &sight), 0);
    assert_int_equal(cache_fetch_copy(&source, "f", &sight.identity, tmp_fd, "copy", &stop, &after),
                     -ECANCELED);
    assert_false(has_copy());
}

static void test_refused(void **state)
{
    struct cache_sight sight;
    char path[64];
    put("d/f", "x", 1);
    put("secret/f", "x", 1);
    put("private", "x", 1);
    snprintf(path, sizeof(path), "%s/secret", share);
    chmod(path, 0750);
    snprintf(path, sizeof(path), "%s/private", share);
    chmod(path, 0600);
    snprintf(path, sizeof(path), "%s/link", share);
    assert_int_equal(symlink("d/f", path), 0);
    snprintf(path, sizeof(path), "%s/dirlink", share);
    assert_int_equal(symlink("d", path), 0);
    snprintf(path, sizeof(path), "%s/fifo", share);
    assert_int_equal(mkfifo(path, 0666), 0);
    assert_int_equal(cache_fetch_look(&source, "secret/f", &sight), -EACCES);
    assert_int_equal(cache_fetch_look(&source, "private", &sight), -EACCES);
    assert_int_equal(cache_fetch_look(&source, "link", &sight), -EMEDIUMTYPE);
    assert_int_equal(cache_fetch_look(&source, "dirlink/f", &sight), -ENOTDIR);
    assert_int_equal(cache_fetch_look(&source, "fifo", &sight), -EMEDIUMTYPE);
    assert_int_equal(cache_fetch_look(&source, "d", &sight), -EMEDIUMTYPE);
    assert_int_equal(cache_fetch_look(&source, "d/none", &sight), -ENOENT);
    assert_int_equal(cache_fetch_look(&source, "../share/d/f", &sight), -EINVAL);
    source.root.inode++;
    assert_int_equal(cache_fetch_look(&source, "d/f", &sight), -EXDEV);
}

static void test_for_the_app(void **state)
{
    struct cache_sight sight;
    struct stat now;
    char path[64];
    put("private", "x", 1);
    snprintf(path, sizeof(path), "%s/private", share);
    chmod(path, 0600);
    source.as = (struct ids_setting){.set = true, .uid = geteuid(), .gid = getegid()};
    assert_int_equal(look_and_copy("private", &sight), 0);
    assert_int_equal(sight.rights.readers, CACHE_OWNER);
    assert_int_equal(fstatat(tmp_fd, "copy", &now, 0), 0);
    assert_int_equal(now.st_mode & 07777, 0400);
    assert_int_equal(now.st_uid, geteuid());
    unlinkat(tmp_fd, "copy", 0);
    chmod(path, 0640);
    source.as.uid++; /* not the owner, but of the group */
    assert_int_equal(look_and_copy("private", &sight), 0);
    assert_int_equal(fstatat(tmp_fd, "copy", &now, 0), 0);
    assert_int_equal(now.st_mode & 07777, 0440);
}

/* A writer that rewrites the file again and again, a version in each 512 bytes: what was looked at
 * longer ago than a tick of the time stamps and is copied then is no mixture. */
enum { BLOCKS = 2048, TICK_US = 20 * 1000 };

static atomic_bool enough;

static void *rewrite(void *arg)
{
    static uint32_t data[BLOCKS * 128];
    char path[64];
    bool failed = false;
    snprintf(path, sizeof(path), "%s/f", share);
    for (uint32_t version = 1; !atomic_load(&enough); version++) {
        for (size_t i = 0; i < BLOCKS; i++)
            data[i * 128] = version;
        int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        failed |= pwrite(fd, data, sizeof(data), 0) != sizeof(data);
        close(fd);
        usleep(version % 8 == 0 ? 4 * TICK_US : 100);
    }
    return failed ? arg : NULL;
}

static void check_whole(size_t size)
{
    _cleanup_free_ char *text = NULL;
    size_t length;
    assert_int_equal(fs_read_file(tmp_fd, "copy", BLOCKS * 512, &text, &length), 0);
    assert_int_equal(length, size);
    for (size_t i = 512; i < length; i += 512)
        assert_memory_equal(text, text + i, sizeof(uint32_t));
}

static void test_mixture(void **state)
{
    pthread_t writer;
    void *failed;
    unsigned copies = 0, refused = 0;
    put("f", "", 0);
    pthread_create(&writer, NULL, rewrite, share);
    for (int i = 0; (copies < 5 || refused < 5) && i < 1000; i++) {
        struct cache_sight sight;
        assert_int_equal(cache_fetch_look(&source, "f", &sight), 0);
        usleep(TICK_US);
        int r = cache_fetch_copy(&source, "f", &sight.identity, tmp_fd, "copy", &no_stop, &sight);
        assert_true(r == 0 || r == -ESTALE);
        assert_int_equal(has_copy(), r == 0);
        if (r == 0)
            check_whole(sight.identity.size);
        copies += r == 0;
        refused += r < 0;
        unlinkat(tmp_fd, "copy", 0);
    }
    atomic_store(&enough, true);
    pthread_join(writer, &failed);
    assert_null(failed);
    assert_true(copies >= 5 && refused >= 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_sizes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_changed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_for_the_app, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_mixture, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
