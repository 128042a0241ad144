/* A cache of real files beside a share of real files, time by hand, and an application's view of
 * it. */
#ifndef TESTS_UNIT_SIDECAR_CACHE_FIXTURE_H
#define TESTS_UNIT_SIDECAR_CACHE_FIXTURE_H

#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
/* cmocka needs these */
#include <cmocka.h>

#include "lib/clock.h"
#include "sidecar/cache.h"
#include "sidecar/cache_map.h"

static char top[32], share[40], dir[40];
static struct settings settings;
static struct cache_rules rules;
static struct cache *cache;
static struct cache_view view;
static char path_buf[256];

static inline char *full(const char *at, const char *path)
{
    snprintf(path_buf, sizeof(path_buf), "%s/%s", at, path);
    return path_buf;
}

static inline void make_dirs(char *path)
{
    for (char *slash = path + strlen(share); (slash = strchr(slash + 1, '/'));) {
        *slash = '\0';
        if (mkdir(path, 0755) == 0)
            chmod(path, 0755);
        *slash = '/';
    }
}

static inline void put(const char *path, const char *text)
{
    make_dirs(full(share, path));
    int fd = open(path_buf, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    fchmod(fd, 0644);
    close(fd);
}

static inline void put_size(const char *path, off_t size)
{
    put(path, "");
    assert_int_equal(truncate(full(share, path), size), 0);
}

static inline void *map(const char *name, size_t bytes, int prot)
{
    int fd = open(full(dir, name), (prot & PROT_WRITE ? O_RDWR : O_RDONLY) | O_CLOEXEC);
    void *p = mmap(NULL, bytes, prot, MAP_SHARED, fd, 0);
    close(fd);
    assert_ptr_not_equal(p, MAP_FAILED);
    return p;
}

static inline void open_cache(const char *const texts[])
{
    struct name_list list = {0};
    struct error err = {0};
    for (; texts[list.n]; list.n++)
        list.names[list.n] = strdup(texts[list.n]);
    assert_int_equal(cache_rules_parse(&list, share, &rules, &err), 0);
    for (size_t i = 0; i < list.n; i++)
        free(list.names[i]);
    struct cache_options options = {
        .settings = &settings, .name = "data", .rules = &rules, .source = {.path = share}};
    assert_int_equal(cache_fetch_root(share, &options.source.root), 0);
    if (cache_open(&options, &cache, &err) < 0)
        fail_msg("%s", err.text);
    view.slots = cache_map_slots_for(settings.cache_files);
    view.map = map(".control/data.map", cache_map_bytes(view.slots), PROT_READ);
    view.app = map(".control/data.app", cache_app_bytes(view.slots), PROT_READ | PROT_WRITE);
    cache_turn(cache);
}

static inline int set_up(void **state)
{
    static char state_dir[] = ".efs-sidecar";
    strcpy(top, "/tmp/test-cache.XXXXXX");
    if (!mkdtemp(top))
        return -1;
    snprintf(share, sizeof(share), "%s/share", top);
    snprintf(dir, sizeof(dir), "%s/cache", top);
    mkdir(share, 0755);
    chmod(share, 0755);
    settings = (struct settings){
        .cache_dir = dir,
        .state_dir = state_dir,
        .cache_size_bytes = 1024 * 1024,
        .cache_files = 1000,
        .cache_file_max_bytes = 512 * 1024,
        .cache_bounded_rate = 1000,
    };
    clock_fake_set(1000000, 0);
    return 0;
}

static inline int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    return remove(path);
}

static inline int tear_down(void **state)
{
    void *map_pages = (void *)(uintptr_t)view.map;
    munmap(map_pages, cache_map_bytes(view.slots));
    munmap(view.app, cache_app_bytes(view.slots));
    cache_close(cache);
    cache = NULL;
    clock_fake_off();
    return nftw(top, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static inline uint64_t hash_of(const char *path)
{
    return cache_hash(path, strlen(path));
}

static inline void miss(const char *path)
{
    cache_miss_push(view.app, path, strlen(path), hash_of(path));
}

static inline void turn(void)
{
    struct cache_job *job;
    cache_turn(cache);
    while ((job = cache_take_job(cache))) {
        cache_job_run(job);
        cache_finish(cache, job);
    }
}

/* For so long, as the loop would. */
static inline void pass(int64_t ms)
{
    for (turn(); ms > 0; ms -= 100) {
        clock_fake_advance(100);
        turn();
    }
}

static inline enum cache_answer look(const char *path)
{
    struct cache_look found;
    enum cache_answer answer = cache_look(&view, hash_of(path), &found);
    if (answer == CACHE_FOUND && !cache_is_fresh(&found, (uint64_t)clock_now_ms()))
        return CACHE_ABSENT;
    return answer;
}

static inline void visit(const char *path)
{
    struct cache_look found;
    assert_int_equal(cache_look(&view, hash_of(path), &found), CACHE_FOUND);
    cache_visit(&view, found.slot);
}

static inline bool is_served(const char *path)
{
    return look(path) == CACHE_FOUND;
}

static inline void warm(const char *path)
{
    assert_int_equal(cache_warm(cache, path, false), 0);
    pass(2100);
    assert_true(is_served(path));
}

static inline struct cache_stats stats(void)
{
    struct cache_stats now;
    cache_stats(cache, &now);
    return now;
}

static inline bool in_tree(const char *path)
{
    return access(full(dir, path), F_OK) == 0;
}

static inline void change(enum change_op op, const char *path, uint32_t flags)
{
    cache_change(cache, &(struct change){.op = op, .path = path, .flags = flags});
}

static const char *const no_rules[] = {NULL};
static const char *const some_rules[] = {"i/**=immutable", "b/**=bounded:10s", "off/**=off", NULL};

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

#endif
