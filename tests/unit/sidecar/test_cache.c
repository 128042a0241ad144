/* What becomes a copy, when applications may use it, and when no longer. */
#include "tests/unit/sidecar/cache_fixture.h"

#include <errno.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_second_miss), TEST(test_excluded), TEST(test_written_meanwhile),
        TEST(test_poisoned),    TEST(test_changes),  TEST(test_known_change),
        TEST(test_resync),      TEST(test_marks),    TEST(test_mark_all),
        TEST(test_conflict),    TEST(test_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
