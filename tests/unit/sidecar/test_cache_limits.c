/* What time, the volume and the budgets allow the cache. */
#include "tests/unit/sidecar/cache_fixture.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_bounded),        TEST(test_bounded_idle), TEST(test_bounded_stalled),
        TEST(test_bounded_budget), TEST(test_size),         TEST(test_files),
        TEST(test_min_free),       TEST(test_fetch_rate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
