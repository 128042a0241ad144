/* The files: where they lie, the room that they take, and what an earlier run left behind. */
#include <dirent.h>
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

#include <sys/stat.h>
#include <unistd.h>

#include "sidecar/cache_store.h"

static char dir[32], buf[256];
static struct settings settings;

static const char *at(const char *path)
{
    snprintf(buf, sizeof(buf), "%s/%s", dir, path);
    return buf;
}

static bool exists(const char *path)
{
    return access(at(path), F_OK) == 0;
}

static struct cache_store *open_store(void)
{
    const struct cache_store_options options = {.settings = &settings, .name = "data"};
    struct cache_store *store;
    struct error err = {0};
    if (cache_store_open(&options, &store, &err) < 0)
        fail_msg("%s", err.text);
    return store;
}

static void make_tmp(struct cache_store *store, const char *name, size_t bytes)
{
    int fd = openat(cache_store_tmp(store), name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(posix_fallocate(fd, 0, (off_t)bytes), 0);
    close(fd);
}

static int set_up(void **state)
{
    strcpy(dir, "/tmp/test-cache-store.XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    settings = (struct settings){.cache_dir = dir, .cache_size_bytes = 1024 * 1024};
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    return remove(path);
}

static int tear_down(void **state)
{
    return nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void test_place_and_remove(void **state)
{
    struct cache_store *store = open_store();
    make_tmp(store, "1", 10);
    make_tmp(store, "2", 10);
    assert_true(exists(".tmp/data/1"));
    assert_int_equal(cache_store_place(store, "1", CACHE_TREE_PATHS, "a/b/c"), 0);
    assert_int_equal(cache_store_place(store, "2", CACHE_TREE_VALIDATE, "a/b/c"), 0);
    assert_true(exists("data/a/b/c") && exists(".validate/data/a/b/c") && !exists(".tmp/data/1"));
    struct stat now;
    assert_int_equal(stat(at("data/a/b"), &now), 0);
    assert_int_equal(now.st_mode & 07777, 0755);
    make_tmp(store, "3", 10);
    assert_int_equal(cache_store_place(store, "3", CACHE_TREE_PATHS, "a/b/c/d"), -ENOTDIR);
    assert_int_equal(cache_store_place(store, "3", CACHE_TREE_PATHS, "a/b"), -EISDIR);
    cache_store_remove_tmp(store, "3");
    assert_false(exists(".tmp/data/3"));
    cache_store_remove(store, CACHE_TREE_PATHS, "a/b/c");
    assert_true(!exists("data/a/b/c") && exists(".validate/data/a/b/c"));
    cache_store_remove(store, CACHE_TREE_VALIDATE, "a/b/c");
    cache_store_remove_dir(store, "a/b");
    cache_store_remove_dir(store, "a");
    assert_true(!exists("data/a") && !exists(".validate/data/a"));
    cache_store_close(store);
}

static void test_room(void **state)
{
    struct cache_store *store = open_store();
    assert_false(cache_store_sweep(store, 1000));
    assert_int_equal(cache_store_reserve(store, 600 * 1024), 0);
    assert_int_equal(cache_store_reserve(store, 600 * 1024), -ENOSPC);
    assert_int_equal(cache_store_reserve(store, 1024 * 1024 + 1), -EFBIG);
    assert_int_equal(cache_store_reserve(store, 424 * 1024), 0);
    assert_int_equal(cache_store_used(store), 1024 * 1024);
    assert_int_equal(cache_store_reserve(store, 1), -ENOSPC);
    cache_store_settle(store, 424 * 1024, 0);
    settings.cache_min_free_percent = 101; /* more than anybody has */
    assert_int_equal(cache_store_reserve(store, 1), -EDQUOT);
    assert_true(cache_store_shortage(store) > 0);
    settings.cache_min_free_percent = 0;
    assert_int_equal(cache_store_shortage(store), 0);
    assert_true(cache_store_cost(0) > 0 && cache_store_cost(1) > 4096 &&
                cache_store_cost(4097) > 8192);
    cache_store_close(store);
}

static void test_second(void **state)
{
    const struct cache_store_options options = {.settings = &settings, .name = "data"};
    struct cache_store *store = open_store(), *other;
    struct error err;
    assert_int_equal(cache_store_open(&options, &other, &err), -EBUSY);
    assert_non_null(strstr(err.text, "another efs-sidecar uses"));
    cache_store_close(store);
    cache_store_close(open_store());
}

/* What is left counts until it is gone; other mounts' and files of others stay. */
static void test_left_behind(void **state)
{
    enum { FILES = 40, BYTES = 16 * 1024 };
    char path[64];
    struct cache_store *store = open_store();
    for (int i = 0; i < FILES; i++) {
        make_tmp(store, "t", BYTES);
        snprintf(path, sizeof(path), "d%d/e/f%d", i % 4, i);
        assert_int_equal(cache_store_place(store, "t", i % 2, path), 0);
    }
    make_tmp(store, "litter", BYTES);
    cache_store_close(store);
    mkdir(at(".old/data2.01234567"), 0700);
    store = open_store();
    assert_true(!exists("data/d0") && !exists(".validate/data/d1") && !exists(".tmp/data/litter"));
    assert_int_equal(cache_store_reserve(store, 4096), -EAGAIN); /* it could be full of the old */
    assert_true(cache_store_sweep(store, 0)); /* a step goes on where the last one ended */
    int steps = 1;
    while (cache_store_sweep(store, 0))
        assert_true(++steps < 200);
    assert_true(steps > FILES);
    assert_true(exists(".old/data2.01234567"));
    DIR *old = opendir(at(".old"));
    int n = 0;
    while (readdir(old))
        n++;
    closedir(old);
    assert_int_equal(n, 3);
    assert_int_equal(cache_store_reserve(store, 1024 * 1024), 0);
    cache_store_close(store);
}

static void test_bad_places(void **state)
{
    const struct cache_store_options options = {.settings = &settings, .name = "data"};
    struct cache_store *store;
    struct error err;
    static char file[] = "/proc/version/cache";
    settings.cache_dir = file;
    assert_true(cache_store_open(&options, &store, &err) < 0);
    assert_non_null(strstr(err.text, "cache.dir: /proc/version/cache cannot be made"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_place_and_remove, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_room, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_second, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_left_behind, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bad_places, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
