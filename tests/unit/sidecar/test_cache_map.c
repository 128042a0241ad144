/* The two files: what applications see of a copy, and that nothing they write is believed. */
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

#include <sys/mman.h>
#include <unistd.h>

#include "sidecar/cache_map.h"

enum { SLOTS = 64 };

static char dir[32], app_path[64];
static int dir_fd;
static struct cache_link *link_;
static struct cache_view view;

static void *map(const char *name, size_t bytes, int prot)
{
    char path[64];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    int fd = open(path, (prot & PROT_WRITE ? O_RDWR : O_RDONLY) | O_CLOEXEC);
    void *p = mmap(NULL, bytes, prot, MAP_SHARED, fd, 0);
    close(fd);
    assert_ptr_not_equal(p, MAP_FAILED);
    return p;
}

static int set_up(void **state)
{
    const struct cache_root root = {.device = 1, .inode = 2};
    strcpy(dir, "/tmp/test-cache-map.XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    snprintf(app_path, sizeof(app_path), "%s/data.app", dir);
    dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (cache_map_open(dir_fd, "data", SLOTS, &root, &link_) < 0)
        return -1;
    view = (struct cache_view){
        .map = map("data.map", cache_map_bytes(SLOTS), PROT_READ),
        .app = map("data.app", cache_app_bytes(SLOTS), PROT_READ | PROT_WRITE),
        .slots = SLOTS,
    };
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    return remove(path);
}

static int tear_down(void **state)
{
    void *map_pages = (void *)(uintptr_t)view.map;
    cache_map_close(link_);
    munmap(map_pages, cache_map_bytes(SLOTS));
    munmap(view.app, cache_app_bytes(SLOTS));
    close(dir_fd);
    return nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static const struct cache_identity identity = {
    .inode = 7, .size = 8, .mtime_ns = 9, .ctime_ns = 10};

static void test_put_and_drop(void **state)
{
    const uint64_t hash = cache_hash("a/b", 3);
    const uint32_t slot = (uint32_t)hash & (SLOTS - 1);
    struct cache_look look;
    assert_int_equal(cache_look(&view, hash, &look), CACHE_ABSENT);
    cache_mark(view.app, hash);
    uint32_t mark = cache_map_mark(link_, hash);
    assert_int_equal(mark, 1);
    cache_map_put(link_, slot, hash, CACHE_BOUNDED, &identity, 5000, mark);
    assert_int_equal(cache_look(&view, hash, &look), CACHE_FOUND);
    assert_true(look.inode == 7 && look.size_bytes == 8 && look.mtime_ns == 9 &&
                look.ctime_ns == 10);
    assert_true(cache_is_fresh(&look, 4999) && !cache_is_fresh(&look, 5000));
    cache_map_renew(link_, slot, 6000, mark);
    assert_true(cache_look_again(&view, hash, &look) && cache_is_fresh(&look, 5999));
    cache_mark(view.app, hash);
    assert_false(cache_look_again(&view, hash, &look));
    assert_int_equal(cache_look(&view, hash, &look), CACHE_MARKED);
    cache_map_renew(link_, slot, 6000, cache_map_mark(link_, hash));
    assert_int_equal(cache_look(&view, hash, &look), CACHE_FOUND);
    cache_mark_all(view.app);
    assert_int_equal(cache_look(&view, hash, &look), CACHE_MARKED);
    cache_map_caught_up(link_, cache_map_all(link_));
    assert_int_equal(cache_look(&view, hash, &look), CACHE_FOUND);
    cache_visit(&view, slot);
    assert_true(cache_map_take_visit(link_, slot) && !cache_map_take_visit(link_, slot));
    cache_map_drop(link_, slot);
    assert_int_equal(cache_look(&view, hash, &look), CACHE_ABSENT);
}

static unsigned drain(char *last)
{
    char path[CACHE_PATH_MAX + 1];
    uint64_t hash;
    unsigned n = 0;
    for (; cache_map_next_miss(link_, path, &hash); n++) {
        assert_true(hash == cache_hash(path, strlen(path)));
        snprintf(last, CACHE_PATH_MAX + 1, "%s", path);
    }
    return n;
}

static void miss(const char *path)
{
    cache_miss_push(view.app, path, strlen(path), cache_hash(path, strlen(path)));
}

static void test_misses(void **state)
{
    char last[CACHE_PATH_MAX + 1] = "", path[CACHE_PATH_MAX + 1];
    assert_int_equal(drain(last), 0);
    miss("a");
    miss("b/c");
    assert_int_equal(drain(last), 2);
    assert_string_equal(last, "b/c");
    for (int i = 0; i < 3 * CACHE_RING; i++) {
        snprintf(path, sizeof(path), "f%d", i);
        miss(path);
    }
    assert_int_equal(drain(last), CACHE_RING); /* those before were written over */
    assert_string_equal(last, path);
    memset(path, 'x', CACHE_PATH_MAX);
    path[CACHE_PATH_MAX] = '\0';
    miss(path);
    assert_int_equal(drain(last), 1);
    assert_string_equal(last, path);
}

/* Torn, long, wild: passed over. */
static void test_garbage(void **state)
{
    char last[CACHE_PATH_MAX + 1];
    srand(1);
    for (int round = 0; round < 200; round++) {
        uint8_t *p = (uint8_t *)view.app->ring;
        for (size_t i = 0; i < 20000; i++)
            p[(size_t)rand() % sizeof(view.app->ring)] = (uint8_t)rand();
        view.app->ring_next += (uint32_t)rand();
        drain(last);
    }
    miss("../../etc/passwd");
    assert_int_equal(drain(last), 0);
    for (unsigned i = 0; i < CACHE_RING; i++)
        miss("good");
    assert_int_equal(drain(last), CACHE_RING);
}

/* Made shorter by an application: everything is 0, and nothing crashes. */
static void test_shortened(void **state)
{
    char last[CACHE_PATH_MAX + 1];
    uint64_t counts[CACHE_COUNTS], hash = cache_hash("a", 1);
    cache_mark(view.app, hash);
    cache_count(view.app->counters, 3, CACHE_HITS);
    cache_map_counts(link_, counts);
    assert_int_equal(counts[CACHE_HITS], 1);
    assert_int_equal(truncate(app_path, 0), 0);
    cache_map_counts(link_, counts);
    assert_int_equal(counts[CACHE_HITS], 0);
    assert_int_equal(cache_map_mark(link_, hash), 0);
    assert_int_equal(cache_map_all(link_), 0);
    assert_false(cache_map_take_visit(link_, 3));
    assert_int_equal(drain(last), 0);
}

static void test_slots(void **state)
{
    assert_int_equal(cache_map_slots_for(1), CACHE_SLOTS_MIN);
    assert_int_equal(cache_map_slots_for(32), 64);
    assert_int_equal(cache_map_slots_for(33), 128);
    assert_int_equal(cache_map_slots_for(100000), 262144);
}

/* A newer sidecar's map: the old one says so. */
static void test_retired(void **state)
{
    const struct cache_root root = {.device = 1, .inode = 2};
    struct cache_link *newer;
    struct cache_look look;
    assert_int_equal(cache_look(&view, 5, &look), CACHE_ABSENT);
    assert_int_equal(cache_map_open(dir_fd, "data", SLOTS, &root, &newer), 0);
    assert_int_equal(cache_look(&view, 5, &look), CACHE_RETIRED);
    cache_map_close(newer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_put_and_drop, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_misses, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_garbage, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_shortened, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_retired, set_up, tear_down),
        cmocka_unit_test(test_slots),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
