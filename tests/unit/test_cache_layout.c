/* What the sidecar and libefscache.so share: entries that come and go under readers, and files full
 * of garbage. */
#include "shim/cache_layout.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
/* cmocka needs the four above */
#include <cmocka.h>

#include "lib/cleanup.h"
#include "shim/cache_writer.h"

enum { SLOTS = 256 };

struct fixture {
    char dir[64];
    int fd;
    struct cache_map *map;
    struct cache_app *app;
    struct cache_view view;
};

static struct cache_app *map_app(int dir_fd, const char *name, uint32_t slots)
{
    struct stat st;
    _cleanup_close_ int fd = openat(dir_fd, name, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_size, cache_app_bytes(slots));
    assert_int_equal(st.st_mode & 07777, 0666);
    assert_true(st.st_blocks * 512 >= st.st_size);
    void *app = mmap(NULL, cache_app_bytes(slots), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_ptr_not_equal(app, MAP_FAILED);
    return app;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    strncpy(f->dir, "/tmp/test_cache_layout.XXXXXX", sizeof(f->dir) - 1);
    assert_non_null(mkdtemp(f->dir));
    f->fd = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(f->fd >= 0);
    assert_int_equal(cache_files_create(f->fd, "data", SLOTS, 7, 1, 2, &f->map), 0);
    f->app = map_app(f->fd, "data.app", SLOTS);
    f->view = (struct cache_view){.map = f->map, .app = f->app, .slots = SLOTS};
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    static const char *const names[] = {"data.map", "data.app", "mounts"};
    struct fixture *f = *state;
    munmap(f->app, cache_app_bytes(SLOTS));
    munmap(f->map, cache_map_bytes(SLOTS));
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        (void)unlinkat(f->fd, names[i], 0);
    close(f->fd);
    assert_int_equal(rmdir(f->dir), 0);
    free(f);
    return 0;
}

/* ---- mounts ---- */

static void test_mounts_written(void **state)
{
    struct fixture *f = *state;
    const char *names[CACHE_MOUNTS_MAX + 1], *paths[CACHE_MOUNTS_MAX + 1];
    char text[CACHE_MOUNTS_BYTES_MAX];
    struct cache_mount_name mounts[CACHE_MOUNTS_MAX];
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        names[i] = "data";
        paths[i] = "/data";
    }
    assert_int_equal(cache_mounts_write(f->fd, names, paths, CACHE_MOUNTS_MAX), 0);
    assert_int_equal(cache_mounts_write(f->fd, names, paths, CACHE_MOUNTS_MAX + 1), -EINVAL);
    paths[0] = "/da\nta";
    assert_int_equal(cache_mounts_write(f->fd, names, paths, 1), -EINVAL);
    _cleanup_close_ int fd = openat(f->fd, "mounts", O_RDONLY | O_CLOEXEC);
    ssize_t n = read(fd, text, sizeof(text));
    assert_int_equal(cache_mounts_parse(text, (size_t)n, mounts), CACHE_MOUNTS_MAX);
}

/* ---- entries ---- */

static void put(struct fixture *f, uint64_t hash, uint64_t inode)
{
    int slot = cache_slot_find(f->map, SLOTS, hash);
    assert_true(slot >= 0);
    cache_slot_put(f->map, (uint32_t)slot,
                   &(struct cache_values){.mode = CACHE_BOUNDED,
                                          .hash = hash,
                                          .inode = inode,
                                          .fresh_until_ms = 100,
                                          .mark = *cache_mark_of(f->app, hash)});
}

static void test_entry(void **state)
{
    struct fixture *f = *state;
    const uint64_t hash = cache_hash("a", 1);
    struct cache_look look;
    assert_int_equal(cache_look(&f->view, hash, &look), CACHE_ABSENT);
    put(f, hash, 5);
    assert_int_equal(cache_look(&f->view, hash, &look), CACHE_FOUND);
    assert_int_equal(look.inode, 5);
    assert_int_equal(look.mode, CACHE_BOUNDED);
    assert_true(cache_is_fresh(&look, 99));
    assert_false(cache_is_fresh(&look, 100));
    assert_true(cache_look_again(&f->view, hash, &look));

    cache_slot_renew(f->map, look.slot, CACHE_FOREVER, *cache_mark_of(f->app, hash));
    assert_true(cache_look_again(&f->view, hash, &look)); /* no new sequence, only longer */
    assert_true(cache_is_fresh(&look, UINT64_MAX));

    struct cache_look before = look;
    put(f, hash, 6); /* the same slot, another copy */
    assert_false(cache_look_again(&f->view, hash, &before));
    assert_int_equal(cache_look(&f->view, hash, &look), CACHE_FOUND);
    assert_int_equal(look.slot, before.slot);
    cache_slot_drop(f->map, look.slot);
    assert_false(cache_look_again(&f->view, hash, &look));
    assert_int_equal(cache_look(&f->view, hash, &look), CACHE_ABSENT);
}

static void test_marks(void **state)
{
    struct fixture *f = *state;
    const uint64_t hash = cache_hash("a", 1);
    struct cache_look look;
    put(f, hash, 5);
    assert_int_equal(cache_look(&f->view, hash, &look), CACHE_FOUND);
    cache_mark(f->app, hash);
    assert_false(cache_look_again(&f->view, hash, &look));
    assert_int_equal(cache_look(&f->view, hash, &look), CACHE_MARKED);
    cache_slot_renew(f->map, look.slot, 100, *cache_mark_of(f->app, hash));
    assert_int_equal(cache_look(&f->view, hash, &look), CACHE_FOUND);
    cache_mark_all(f->app);
    assert_false(cache_look_again(&f->view, hash, &look));
    assert_int_equal(cache_look(&f->view, hash, &look), CACHE_MARKED);
    cache_store(&f->map->all_mark, f->app->all);
    assert_int_equal(cache_look(&f->view, hash, &look), CACHE_FOUND);
}

/* Sixteen hashes that want one slot: a seventeenth has no place, and one that leaves does not hide
 * those behind it. */
static void test_probes(void **state)
{
    struct fixture *f = *state;
    struct cache_look look;
    for (uint64_t i = 1; i <= CACHE_PROBES; i++)
        put(f, (i << 32) | (SLOTS - 3), i); /* they go on at the table's start */
    const uint64_t late = (UINT64_C(99) << 32) | (SLOTS - 3);
    assert_int_equal(cache_slot_find(f->map, SLOTS, late), -ENOSPC);
    assert_int_equal(cache_look(&f->view, late, &look), CACHE_ABSENT);
    assert_int_equal(cache_look(&f->view, (UINT64_C(2) << 32) | (SLOTS - 3), &look), CACHE_FOUND);
    cache_slot_drop(f->map, look.slot);
    assert_int_equal(cache_look(&f->view, ((uint64_t)CACHE_PROBES << 32) | (SLOTS - 3), &look),
                     CACHE_FOUND);
    assert_int_equal(look.inode, CACHE_PROBES);
    put(f, late, 99);
    assert_int_equal(cache_look(&f->view, late, &look), CACHE_FOUND);
}

static void test_sequence_wraps(void **state)
{
    struct fixture *f = *state;
    const uint64_t hash = cache_hash("a", 1);
    struct cache_look look;
    put(f, hash, 5);
    assert_int_equal(cache_look(&f->view, hash, &look), CACHE_FOUND);
    f->map->entries[look.slot].sequence = UINT32_MAX - 1;
    put(f, hash, 6);
    assert_int_equal(cache_look(&f->view, hash, &look), CACHE_FOUND);
    assert_int_equal(f->map->entries[look.slot].sequence, 2);
}

struct race {
    struct fixture *f;
    bool stop;
    unsigned found;
    unsigned torn;
};

/* All values of an entry are the same number. */
static void *read_entries(void *arg)
{
    struct race *race = arg;
    struct cache_look look = {0};
    while (!__atomic_load_n(&race->stop, __ATOMIC_RELAXED)) {
        if (cache_look(&race->f->view, 77, &look) != CACHE_FOUND)
            continue;
        race->found++;
        race->torn += look.inode != look.size_bytes || look.inode != (uint64_t)look.mtime_ns ||
                      look.inode != (uint64_t)look.ctime_ns || look.inode != look.fresh_until_ms;
    }
    return NULL;
}

static void test_readers_see_whole_entries(void **state)
{
    enum { WRITES_MIN = 20000, FOUND_MIN = 1000 };
    struct race race = {.f = *state};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, read_entries, &race), 0);
    for (uint64_t i = 0;
         i < WRITES_MIN || __atomic_load_n(&race.found, __ATOMIC_RELAXED) < FOUND_MIN; i++) {
        cache_slot_put(race.f->map, 77,
                       &(struct cache_values){.mode = CACHE_IMMUTABLE,
                                              .hash = 77,
                                              .inode = i,
                                              .size_bytes = i,
                                              .mtime_ns = (int64_t)i,
                                              .ctime_ns = (int64_t)i,
                                              .fresh_until_ms = i});
        if (i % 3 == 0)
            cache_slot_drop(race.f->map, 77);
    }
    __atomic_store_n(&race.stop, true, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
    assert_int_equal(race.torn, 0);
}

/* ---- files ---- */

static void test_map_slots(void **state)
{
    struct fixture *f = *state;
    const uint64_t bytes = cache_map_bytes(SLOTS);
    struct cache_map copy = *f->map;
    assert_int_equal(cache_map_slots(&copy, bytes), SLOTS);
    assert_int_equal(cache_map_slots(&copy, bytes - 1), 0);
    assert_int_equal(cache_map_slots(&copy, bytes + 1), 0);
    assert_int_equal(cache_map_slots(&copy, 0), 0);
    copy.slots = SLOTS * 2;
    assert_int_equal(cache_map_slots(&copy, bytes), 0);
    copy.slots = SLOTS - 1;
    copy.size_bytes = cache_map_bytes(copy.slots);
    assert_int_equal(cache_map_slots(&copy, copy.size_bytes), 0);
    copy.slots = 0;
    assert_int_equal(cache_map_slots(&copy, sizeof(copy)), 0);
    copy = *f->map;
    copy.magic++; /* another version */
    assert_int_equal(cache_map_slots(&copy, bytes), 0);
}

static void test_new_files_retire_the_old_ones(void **state)
{
    struct fixture *f = *state;
    struct cache_look look;
    struct cache_map *newer = NULL;
    put(f, 9, 1);
    assert_int_equal(cache_files_create(f->fd, "data", SLOTS, 8, 1, 2, &newer), 0);
    assert_int_equal(cache_look(&f->view, 9, &look), CACHE_RETIRED);
    struct cache_view view = {.map = newer, .app = f->app, .slots = SLOTS};
    assert_int_equal(cache_look(&view, 9, &look), CACHE_ABSENT);
    assert_int_equal(newer ? newer->serial : 0, 8);
    munmap(newer, cache_map_bytes(SLOTS));
    assert_int_equal(cache_files_create(f->fd, ".data", SLOTS, 8, 1, 2, &newer), -EINVAL);
    assert_int_equal(cache_files_create(f->fd, "data", SLOTS + 1, 8, 1, 2, &newer), -EINVAL);
}

static void fill_with_garbage(void *area, size_t bytes, unsigned *seed)
{
    for (size_t i = 0; i < bytes; i++)
        ((uint8_t *)area)[i] = (uint8_t)rand_r(seed);
}

/* Looks end, and nothing outside the two mappings is touched (both end at a page's end or are
 * followed by what the sanitizer guards). */
static void test_garbage(void **state)
{
    struct fixture *f = *state;
    unsigned seed = 4711;
    struct cache_look look = {0};
    for (int round = 0; round < 50; round++) {
        fill_with_garbage(f->map, cache_map_bytes(SLOTS), &seed);
        fill_with_garbage(f->app, sizeof(*f->app) - sizeof(f->app->ring), &seed);
        f->map->retired = 0;
        f->map->all_mark = f->app->all;
        for (uint64_t i = 0; i < SLOTS; i++) {
            const uint64_t hash = f->map->entries[i].hash;
            enum cache_answer answer = cache_look(&f->view, hash, &look);
            assert_int_not_equal(answer, CACHE_RETIRED);
            look.slot = (uint32_t)rand_r(&seed);
            (void)cache_look_again(&f->view, hash, &look);
            cache_visit(&f->view, look.slot);
            cache_miss_push(f->app, "a", 1, hash);
        }
    }
}

/* ---- misses ---- */

static void test_misses(void **state)
{
    struct fixture *f = *state;
    const uint64_t hash = cache_hash("a/b", 3);
    cache_miss_push(f->app, "a/b", 3, hash);
    struct cache_miss miss = f->app->ring[0];
    assert_true(cache_miss_valid(&miss, 0));
    assert_false(cache_miss_valid(&miss, CACHE_RING)); /* a round later it is an old one */
    miss.path[0] = 'c';                                /* torn */
    assert_false(cache_miss_valid(&miss, 0));
    memset(&miss, 0xff, sizeof(miss));
    assert_false(cache_miss_valid(&miss, UINT32_MAX - 1));
    f->app->ring_next = UINT32_MAX;
    for (int i = 0; i < 3; i++)
        cache_miss_push(f->app, "a/b", 3, hash);
    assert_int_equal(f->app->ring_next, 2);
    assert_true(cache_miss_valid(&f->app->ring[1], 1));
    cache_miss_push(f->app, "../x", 4, cache_hash("../x", 4)); /* who may write, may write that */
    assert_false(cache_miss_valid(&f->app->ring[2], 2));
}

static void test_counters(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 0; i < 100; i++)
        cache_count(f->app->counters, i * 7, CACHE_RACED_COUNT);
    assert_int_equal(cache_counted(f->app->counters, CACHE_RACED_COUNT), 100);
    assert_int_equal(cache_counted(f->app->counters, CACHE_HITS), 0);
    for (int i = 0; i < CACHE_COUNTS; i++)
        assert_true(strlen(cache_count_name((enum cache_count)i)) > 0);
}

#define WITH_FILES(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FILES(test_mounts_written), WITH_FILES(test_entry),
        WITH_FILES(test_marks),          WITH_FILES(test_probes),
        WITH_FILES(test_sequence_wraps), WITH_FILES(test_readers_see_whole_entries),
        WITH_FILES(test_map_slots),      WITH_FILES(test_new_files_retire_the_old_ones),
        WITH_FILES(test_garbage),        WITH_FILES(test_misses),
        WITH_FILES(test_counters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
