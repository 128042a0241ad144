/* The whole: what becomes a copy, when applications may use it, and when no longer. Real files,
 * time by hand. */
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
#include <sys/stat.h>
#include <unistd.h>

#include "lib/clock.h"
#include "sidecar/cache.h"
#include "sidecar/cache_map.h"

static char top[32], share[40], dir[40];
static struct settings settings;
static struct cache_rules rules;
static struct cache *cache;
static struct cache_view view;
static char path_buf[256];

static char *full(const char *at, const char *path)
{
    snprintf(path_buf, sizeof(path_buf), "%s/%s", at, path);
    return path_buf;
}

static void make_dirs(char *path)
{
    for (char *slash = path + strlen(share); (slash = strchr(slash + 1, '/'));) {
        *slash = '\0';
        if (mkdir(path, 0755) == 0)
            chmod(path, 0755);
        *slash = '/';
    }
}

static void put(const char *path, const char *text)
{
    make_dirs(full(share, path));
    int fd = open(path_buf, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    fchmod(fd, 0644);
    close(fd);
}

static void put_size(const char *path, off_t size)
{
    put(path, "");
    assert_int_equal(truncate(full(share, path), size), 0);
}

static void *map(const char *name, size_t bytes, int prot)
{
    int fd = open(full(dir, name), (prot & PROT_WRITE ? O_RDWR : O_RDONLY) | O_CLOEXEC);
    void *p = mmap(NULL, bytes, prot, MAP_SHARED, fd, 0);
    close(fd);
    assert_ptr_not_equal(p, MAP_FAILED);
    return p;
}

static void open_cache(const char *const texts[])
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

static int set_up(void **state)
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

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    return remove(path);
}

static int tear_down(void **state)
{
    void *map_pages = (void *)(uintptr_t)view.map;
    munmap(map_pages, cache_map_bytes(view.slots));
    munmap(view.app, cache_app_bytes(view.slots));
    cache_close(cache);
    cache = NULL;
    clock_fake_off();
    return nftw(top, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static uint64_t hash_of(const char *path)
{
    return cache_hash(path, strlen(path));
}

static void miss(const char *path)
{
    cache_miss_push(view.app, path, strlen(path), hash_of(path));
}

static void turn(void)
{
    struct cache_job *job;
    cache_turn(cache);
    while ((job = cache_take_job(cache))) {
        cache_job_run(job);
        cache_finish(cache, job);
    }
}

/* For so long, as the loop would. */
static void pass(int64_t ms)
{
    for (turn(); ms > 0; ms -= 100) {
        clock_fake_advance(100);
        turn();
    }
}

static enum cache_answer look(const char *path)
{
    struct cache_look found;
    enum cache_answer answer = cache_look(&view, hash_of(path), &found);
    if (answer == CACHE_FOUND && !cache_is_fresh(&found, (uint64_t)clock_now_ms()))
        return CACHE_ABSENT;
    return answer;
}

static void visit(const char *path)
{
    struct cache_look found;
    assert_int_equal(cache_look(&view, hash_of(path), &found), CACHE_FOUND);
    cache_visit(&view, found.slot);
}

static bool is_served(const char *path)
{
    return look(path) == CACHE_FOUND;
}

static void warm(const char *path)
{
    assert_int_equal(cache_warm(cache, path, false), 0);
    pass(2100);
    assert_true(is_served(path));
}

static struct cache_stats stats(void)
{
    struct cache_stats now;
    cache_stats(cache, &now);
    return now;
}

static bool in_tree(const char *path)
{
    return access(full(dir, path), F_OK) == 0;
}

static void change(enum change_op op, const char *path, uint32_t flags)
{
    cache_change(cache, &(struct change){.op = op, .path = path, .flags = flags});
}

static const char *const no_rules[] = {NULL};
static const char *const some_rules[] = {"i/**=immutable", "b/**=bounded:10s", "off/**=off", NULL};

/* ---- */

static void test_second_miss(void **state)
{
    open_cache(some_rules);
    put("a/f", "hello");
    put("i/f", "hello");
    put("off/f", "hello");
    miss("a/f");
    miss("i/f");
    pass(5000);
    assert_int_equal(stats().looks, 0); /* once is not enough */
    for (int i = 0; i < 16; i++) {
        miss("a/f");
        miss("i/f");
        miss("off/f");
    }
    pass(1900);
    assert_false(is_served("a/f")); /* not before it stood still for two seconds */
    pass(200);
    assert_true(is_served("a/f") && is_served("i/f") && !is_served("off/f"));
    assert_int_equal(stats().fetches, 2); /* whoever asked */
    assert_true(in_tree(".validate/data/a/f") && in_tree("data/i/f") && !in_tree("data/a"));
    assert_int_equal(stats().files, 2);
    assert_int_equal(stats().jobs, 0);
}

static void test_excluded(void **state)
{
    open_cache(no_rules);
    put(".efs-sidecar/board", "x");
    put("d/.efs-stage/f", "x");
    for (int i = 0; i < 4; i++) {
        miss(".efs-sidecar/board");
        miss("d/.efs-stage/f");
        miss("d/none");
    }
    pass(3000);
    assert_int_equal(stats().files, 0);
    assert_int_equal(stats().looks, 1);
    assert_int_equal(stats().failed[CACHE_FAILED_GONE], 1);
    assert_int_equal(cache_warm(cache, ".efs-sidecar/board", false), -EINVAL);
    assert_int_equal(cache_warm(cache, "../f", false), -EINVAL);
}

/* It is written to while it is waited for: later, and then what it is then. */
static void test_written_meanwhile(void **state)
{
    open_cache(no_rules);
    put("f", "one");
    assert_int_equal(cache_warm(cache, "f", false), 0);
    pass(1000);
    put("f", "second");
    pass(1200);
    assert_false(is_served("f"));
    assert_int_equal(stats().failed[CACHE_FAILED_CHANGED], 1);
    assert_false(in_tree(".validate/data/f"));
    miss("f"); /* it is known to be hot */
    pass(2100);
    assert_true(is_served("f"));
}

/* The feed says that it changed: the job begins anew. */
static void test_poisoned(void **state)
{
    open_cache(no_rules);
    put("f", "one");
    assert_int_equal(cache_warm(cache, "f", false), 0);
    pass(1000);
    change(CHANGE_MODIFY, "f", 0);
    pass(1500);
    assert_false(is_served("f"));
    pass(2000);
    assert_true(is_served("f"));
    assert_int_equal(stats().looks, 3); /* the first: is it a directory? */
}

static void test_changes(void **state)
{
    open_cache(some_rules);
    static const char *const paths[] = {"d/a", "d/b", "d/e/c", "i/x", "z"};
    for (size_t i = 0; i < 5; i++) {
        put(paths[i], "x");
        warm(paths[i]);
    }
    change(CHANGE_MODIFY, "d/a", 0);
    assert_true(!is_served("d/a") && !in_tree(".validate/data/d/a") && is_served("d/b"));
    change(CHANGE_DELETE, "d", CHANGE_IS_DIR);
    assert_true(!is_served("d/b") && !is_served("d/e/c") && !in_tree(".validate/data/d"));
    assert_true(is_served("i/x") && is_served("z"));
    cache_change(cache, &(struct change){.op = CHANGE_RENAME, .from = "z", .path = "y"});
    assert_false(is_served("z"));
    change(CHANGE_PUBLISH, "i/x", 0);
    assert_false(is_served("i/x"));
    assert_int_equal(stats().files, 0);
    assert_int_equal(stats().invalidations, 5);
    miss("i/x"); /* what was hot is fetched at the first miss */
    pass(2200);
    assert_true(is_served("i/x"));
}

/* A report of the state that was copied is no news. */
static void test_known_change(void **state)
{
    open_cache(no_rules);
    put("f", "x");
    warm("f");
    struct cache_look found;
    assert_int_equal(cache_look(&view, hash_of("f"), &found), CACHE_FOUND);
    struct change same = {
        .op = CHANGE_CREATE,
        .path = "f",
        .flags = CHANGE_HAS_ATTRS,
        .size = found.size_bytes,
        .mtime_ns = found.mtime_ns,
        .ctime_ns = found.ctime_ns,
    };
    cache_change(cache, &same);
    assert_true(is_served("f"));
    same.ctime_ns++;
    cache_change(cache, &same);
    assert_false(is_served("f"));
}

/* Something was lost: nothing is served before it was asked for, and nothing is fetched again. */
static void test_resync(void **state)
{
    open_cache(some_rules);
    put("i/same", "x");
    put("i/other", "x");
    put("b/same", "x");
    warm("i/same");
    warm("i/other");
    warm("b/same");
    put("i/other", "changed");
    change(CHANGE_RESYNC, "", 0);
    assert_true(!is_served("i/same") && !is_served("i/other") && !is_served("b/same"));
    assert_true(in_tree("data/i/same"));
    miss("i/same");
    miss("i/other");
    pass(200);
    assert_true(is_served("i/same") && !is_served("i/other"));
    assert_int_equal(stats().fetches, 3);
    pass(2000);
    assert_true(is_served("i/other"));
    assert_int_equal(stats().fetches, 4);
    pass(8000);
    assert_true(is_served("b/same")); /* by its own proofs */
    assert_int_equal(stats().fetches, 4);
}

/* An application of this task opened it for writing. */
static void test_marks(void **state)
{
    open_cache(some_rules);
    put("i/f", "x");
    warm("i/f");
    cache_mark(view.app, hash_of("i/f"));
    assert_int_equal(look("i/f"), CACHE_MARKED);
    miss("i/f");
    pass(200);
    assert_true(is_served("i/f")); /* it had not written */
    pass(1000);
    cache_mark(view.app, hash_of("i/f"));
    put("i/f", "longer");
    miss("i/f");
    pass(1500);
    assert_false(is_served("i/f"));
    pass(1000);
    assert_true(is_served("i/f"));
    put("i/g", "x"); /* while it is being fetched */
    assert_int_equal(cache_warm(cache, "i/g", false), 0);
    pass(1000);
    cache_mark(view.app, hash_of("i/g"));
    pass(1200);
    assert_int_not_equal(look("i/g"), CACHE_FOUND);
    pass(2000);
    assert_true(is_served("i/g"));
}

static void test_mark_all(void **state)
{
    open_cache(some_rules);
    put("i/f", "x");
    put("v", "x");
    warm("i/f");
    warm("v");
    cache_mark_all(view.app);
    assert_int_equal(look("i/f"), CACHE_MARKED);
    assert_int_equal(look("v"), CACHE_MARKED);
    turn();
    assert_true(is_served("v")); /* each open asks about it anyway */
    assert_false(is_served("i/f"));
    miss("i/f");
    pass(200);
    assert_true(is_served("i/f"));
}

static void test_bounded(void **state)
{
    open_cache(some_rules);
    put("b/f", "x");
    warm("b/f");
    uint64_t looks = stats().looks;
    for (int i = 0; i < 600; i++) { /* a minute in which it is used */
        pass(100);
        assert_true(is_served("b/f"));
        visit("b/f");
    }
    assert_in_range(stats().looks - looks, 7, 9); /* each 7.5 s */
    put("b/f", "changed");
    int served_ms = 0;
    for (; is_served("b/f"); served_ms += 100)
        pass(100);
    assert_true(served_ms <= 10000);
    assert_false(in_tree("data/b/f")); /* nor by its path */
}

/* Nobody turns it: the bound runs out by itself. */
static void test_bounded_stalled(void **state)
{
    open_cache(some_rules);
    put("b/f", "x");
    warm("b/f");
    clock_fake_advance(9500);
    assert_true(is_served("b/f"));
    clock_fake_advance(500);
    assert_false(is_served("b/f"));
}

static void test_bounded_idle(void **state)
{
    open_cache(some_rules);
    put("b/f", "x");
    warm("b/f");
    pass(40000);
    assert_int_equal(stats().files, 0); /* it is not kept fresh for nobody */
}

/* More than the budget can keep fresh: those that it cannot go, the rest stay. */
static void test_bounded_budget(void **state)
{
    char path[32];
    settings.cache_bounded_rate = 2;
    open_cache(some_rules);
    for (int i = 0; i < 60; i++) {
        snprintf(path, sizeof(path), "b/%d", i);
        put(path, "x");
        assert_int_equal(cache_warm(cache, path, false), 0);
    }
    pass(2200);
    assert_int_equal(stats().files, 60);
    uint64_t looks = stats().looks;
    for (int s = 0; s < 20; s++) {
        for (int i = 0; i < 60; i++) {
            snprintf(path, sizeof(path), "b/%d", i);
            if (is_served(path))
                visit(path);
        }
        pass(1000);
    }
    assert_in_range(stats().files, 4, 30);
    assert_in_range(stats().looks - looks, 5, 44);
}

static void test_size(void **state)
{
    char path[32];
    open_cache(no_rules);
    put_size("large", 600 * 1024);
    put("hot", "x");
    warm("hot");
    assert_int_equal(cache_warm(cache, "large", false), 0);
    pass(100);
    assert_int_equal(stats().failed[CACHE_FAILED_TOO_LARGE], 1);
    for (int i = 0; i < 30; i++) {
        snprintf(path, sizeof(path), "f%d", i);
        put_size(path, 200 * 1024);
        assert_int_equal(cache_warm(cache, path, false), 0);
        pass(2200);
        assert_true(is_served(path) && is_served("hot"));
        visit("hot");
        assert_true(stats().bytes <= 1024 * 1024);
    }
    assert_true(stats().files >= 5 && stats().evictions >= 25);
}

static void test_files(void **state)
{
    char path[32];
    settings.cache_files = 10;
    open_cache(no_rules);
    for (int i = 0; i < 30; i++) {
        snprintf(path, sizeof(path), "d%d/f", i);
        put(path, "x");
        assert_int_equal(cache_warm(cache, path, false), 0);
    }
    pass(2200);
    assert_int_equal(stats().files, 10);
    assert_true(cache_evict(cache, "") == 10);
    assert_int_equal(stats().files, 0);
    assert_int_equal(stats().bytes, 0); /* directories too */
}

/* What others need of the volume, they get. */
static void test_min_free(void **state)
{
    open_cache(no_rules);
    put("f", "x");
    put("g", "x");
    warm("f");
    settings.cache_min_free_percent = 101;
    pass(1100);
    assert_int_equal(stats().files, 0);
    assert_true(stats().short_of_space);
    assert_int_equal(cache_warm(cache, "g", false), 0);
    pass(2200);
    assert_int_equal(stats().failed[CACHE_FAILED_NO_ROOM], 1);
    settings.cache_min_free_percent = 0;
    pass(1100);
    assert_false(stats().short_of_space);
    warm("g");
}

/* A file where a directory was, and the other way round, without a word of the feed. */
static void test_conflict(void **state)
{
    open_cache(some_rules);
    put("i/x/y", "x");
    warm("i/x/y");
    unlink(full(share, "i/x/y"));
    rmdir(full(share, "i/x"));
    put("i/x", "x");
    warm("i/x");
    assert_false(is_served("i/x/y"));
    unlink(full(share, "i/x"));
    put("i/x/y", "x");
    warm("i/x/y");
    assert_false(is_served("i/x"));
    assert_int_equal(stats().files, 1);
}

static void test_fetch_rate(void **state)
{
    char path[32];
    settings.cache_fetch_rate_bytes = 100 * 1024;
    open_cache(no_rules);
    for (int i = 0; i < 9; i++) {
        snprintf(path, sizeof(path), "f%d", i);
        put_size(path, 100 * 1024);
        assert_int_equal(cache_warm(cache, path, false), 0);
    }
    pass(4000);
    assert_in_range(stats().files, 1, 4);
    pass(20000);
    assert_int_equal(stats().files, 9);
}

/* One that ended before: its copies are not used, and its map says that it is over. */
static void test_restart(void **state)
{
    struct cache_look found;
    open_cache(no_rules);
    put("f", "x");
    warm("f");
    const struct cache_map *old_map = view.map;
    struct cache_app *old_app = view.app;
    cache_close(cache);
    open_cache(no_rules);
    const struct cache_view old = {.map = old_map, .app = old_app, .slots = view.slots};
    assert_int_equal(cache_look(&old, hash_of("f"), &found), CACHE_RETIRED);
    assert_false(is_served("f"));
    assert_false(in_tree(".validate/data/f"));
    warm("f");
    void *pages = (void *)(uintptr_t)old_map;
    munmap(pages, cache_map_bytes(view.slots));
    munmap(old_app, cache_app_bytes(view.slots));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_second_miss),    TEST(test_excluded),     TEST(test_written_meanwhile),
        TEST(test_poisoned),       TEST(test_changes),      TEST(test_known_change),
        TEST(test_resync),         TEST(test_marks),        TEST(test_mark_all),
        TEST(test_bounded),        TEST(test_bounded_idle), TEST(test_bounded_stalled),
        TEST(test_bounded_budget), TEST(test_size),         TEST(test_files),
        TEST(test_min_free),       TEST(test_conflict),     TEST(test_fetch_rate),
        TEST(test_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
