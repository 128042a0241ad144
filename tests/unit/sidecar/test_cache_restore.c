/* Which of the files that an earlier sidecar left are offered, and that nothing else stays. */
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

#include "lib/clock.h"
#include "sidecar/cache_record.h"
#include "sidecar/cache_restore.h"

enum { SIZE = 5000, MAX_DIRS = 8 };

static char dir[32], buf[600], kept[1024];
static struct settings settings;
static struct cache_store *store;
static struct cache_source source = {.path = "/data", .root = {.inode = 2}};
static const char *refused; /* by keep() */

static const char *at(const char *path)
{
    snprintf(buf, sizeof(buf), "%s/data/%s", dir, path);
    return buf;
}

static bool exists(const char *path)
{
    struct stat st;
    return lstat(at(path), &st) == 0;
}

static void open_store(void)
{
    const struct cache_store_options options = {.settings = &settings, .name = "data"};
    struct error err = {0};
    cache_store_close(store);
    if (cache_store_open(&options, &store, &err) < 0)
        fail_msg("%s", err.text);
}

static int set_up(void **state)
{
    static char pin[] = "/**";
    strcpy(dir, "/tmp/test-cache-restore.XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    settings = (struct settings){
        .cache_dir = dir, .cache_size_bytes = 1024 * 1024, .cache_pin = {.n = 1, .names = {pin}}};
    source.as = (struct ids_setting){0};
    refused = NULL;
    open_store();
    assert_false(cache_store_has_left(store)); /* the first one finds nothing */
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    return remove(path);
}

static int tear_down(void **state)
{
    clock_fake_off();
    cache_store_close(store);
    store = NULL;
    return nftw(dir, remove_one, 64, FTW_DEPTH | FTW_PHYS);
}

/* As a copy is left. */
static void leave(const char *path)
{
    const struct cache_origin origin = {
        .place = cache_record_place(&source, path, SIZE, 1500000000000000001), .inode = 7};
    const struct timespec times[] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 1500000000, .tv_nsec = 1}};
    int fd = openat(cache_store_tmp(store), "1", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(posix_fallocate(fd, 0, SIZE), 0);
    cache_origin_keep(fd, &origin);
    fchmod(fd, 0444);
    futimens(fd, times);
    close(fd);
    assert_int_equal(cache_store_place(store, "1", CACHE_TREE_PATHS, path), 0);
}

static bool keep(void *arg, const char *path, const struct cache_identity *identity,
                 enum cache_readers readers)
{
    if (refused && strcmp(path, refused) == 0)
        return false;
    assert_true(identity->inode == 7 && identity->size == SIZE && readers != CACHE_OWNER);
    size_t length = strlen(kept);
    snprintf(kept + length, sizeof(kept) - length, "%s ", path);
    return true;
}

static void restore(void)
{
    struct cache_restore *work;
    open_store();
    assert_true(cache_store_has_left(store));
    kept[0] = '\0';
    assert_int_equal(cache_restore_new(store, &source, MAX_DIRS, &work), 0);
    while (cache_restore_turn(work, 1000, keep, NULL))
        ;
    cache_restore_free(work);
    while (cache_store_sweep(store, 1000))
        ;
}

static void test_whole(void **state)
{
    leave("a");
    leave("b/c/d");
    restore();
    assert_string_equal(kept, "a b/c/d ");
    assert_true(exists("a") && exists("b/c/d"));
    refused = "b/c/d";
    restore();
    assert_string_equal(kept, "a ");
    assert_true(exists("a") && !exists("b"));
    assert_int_equal(cache_store_swept_files(store), 1);
}

static void test_spoilt(void **state)
{
    static const char *const names[] = {"mode", "time", "size", "name.was", "as/f"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        leave(names[i]);
    leave("good");
    leave("open/f");
    chmod(at("mode"), 0644);
    utimensat(AT_FDCWD, at("time"), NULL, 0);
    chmod(at("size"), 0644);
    assert_int_equal(truncate(at("size"), SIZE - 1), 0);
    chmod(at("size"), 0444);
    char from[sizeof(buf)];
    memcpy(from, at("name.was"), sizeof(buf));
    assert_int_equal(rename(from, at("name")), 0);
    chmod(at("as/f"), 0440); /* for a group, and there is none */
    chmod(at("open"), 0777);
    assert_int_equal(symlink("good", at("link")), 0);
    assert_int_equal(mkfifo(at("pipe"), 0444), 0);
    assert_int_equal(mkdir(at("empty"), 0755), 0);
    restore();
    assert_string_equal(kept, "good ");
    assert_int_equal(unlink(at("good")), 0);
    assert_int_equal(rmdir(at("")), 0); /* nothing else is there */
}

static void test_group(void **state)
{
    leave("f");
    chmod(at("f"), 0440);
    source.as = (struct ids_setting){.set = true, .uid = 12345, .gid = getegid()};
    restore();
    assert_string_equal(kept, "f ");
    source.as.gid++;
    restore();
    assert_string_equal(kept, "");
}

/* A tree that others may write is none of ours. */
static void test_tree(void **state)
{
    leave("f");
    chmod(at(""), 0777);
    open_store();
    assert_false(cache_store_has_left(store) || exists("f"));
    leave("f");
    settings.cache_pin.n = 0;
    open_store();
    assert_false(cache_store_has_left(store) || exists("f"));
}

static void test_too_many_dirs(void **state)
{
    char path[16];
    for (unsigned i = 0; i < MAX_DIRS + 2; i++) {
        snprintf(path, sizeof(path), "d%u/f", i);
        leave(path);
    }
    restore();
    assert_int_equal(strlen(kept), MAX_DIRS * strlen("d0/f "));
    DIR *tree = opendir(at(""));
    unsigned n = 0;
    while (readdir(tree))
        n++;
    closedir(tree);
    assert_int_equal(n, MAX_DIRS + 2); /* with . and .. */
}

/* What is kept and what is removed makes room, and nothing else does. */
static void test_room(void **state)
{
    leave("a");
    leave("b");
    open_store();
    uint64_t cost = cache_store_cost(SIZE);
    assert_int_equal(cache_store_reserve(store, 1), -EAGAIN);
    assert_int_equal(cache_store_keep(store, cost), 0);
    assert_int_equal(cache_store_used(store), cost);
    assert_int_equal(cache_store_reserve(store, 1), -EAGAIN);
    struct stat st;
    assert_int_equal(stat(at("b"), &st), 0);
    cache_store_remove_left(store, cache_store_tree(store, CACHE_TREE_PATHS), "b", &st);
    assert_int_equal(cache_store_reserve(store, SIZE), 0);
    assert_int_equal(cache_store_keep(store, 1024 * 1024), -ENOSPC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_spoilt, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_group, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_tree, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_too_many_dirs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_room, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
