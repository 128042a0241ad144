/* The index: found by path, all below a directory, none lost and no directory left over. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sidecar/cache_index.h"

enum { SLOTS = 1024 };

static char emptied[4096];

static void dir_emptied(void *arg, const char *path)
{
    strncat(emptied, path, sizeof(emptied) - strlen(emptied) - 2);
    strncat(emptied, " ", 2);
}

static uint64_t hash_of(const char *path)
{
    return cache_hash(path, strlen(path));
}

static struct cache_copy *add(struct cache_index *index, const char *path)
{
    struct cache_copy *copy;
    assert_int_equal(cache_index_add(index, hash_of(path), path, &copy), 0);
    return copy;
}

static struct cache_copy *find(struct cache_index *index, const char *path)
{
    return cache_index_find(index, hash_of(path), path);
}

static int set_up(void **state)
{
    *emptied = '\0';
    return cache_index_new(SLOTS, CACHE_PROBES, (struct cache_index **)state);
}

static int tear_down(void **state)
{
    cache_index_free(*state);
    return 0;
}

static void test_paths(void **state)
{
    struct cache_index *index = *state;
    char path[PATH_MAX];
    static const char *const paths[] = {"a", "ab", "b/a", "b/ab", "b/c/d/e", "b.c"};
    for (size_t i = 0; i < 6; i++)
        assert_string_equal(cache_copy_path(add(index, paths[i]), path), paths[i]);
    for (size_t i = 0; i < 6; i++)
        assert_string_equal(cache_copy_path(find(index, paths[i]), path), paths[i]);
    assert_null(find(index, "b"));
    assert_null(find(index, "b/c"));
    assert_null(find(index, "b/a/a"));
    assert_int_equal(cache_index_dirs(index), 3);
    struct cache_copy *copy;
    assert_int_equal(cache_index_add(index, hash_of("a"), "a", &copy), -EEXIST);
    assert_int_equal(cache_index_add(index, hash_of("a"), "other", &copy), -EEXIST);
    assert_null(cache_index_find(index, hash_of("a"), "other"));
}

static void count(void *arg, struct cache_copy *copy)
{
    ++*(int *)arg;
}

static int count_under(struct cache_index *index, const char *path)
{
    int n = 0;
    cache_index_each_under(index, path, count, &n);
    return n;
}

static void test_under(void **state)
{
    struct cache_index *index = *state;
    char path[PATH_MAX];
    for (int i = 0; i < 100; i++) {
        snprintf(path, sizeof(path), "d%d/sub/f%d", i % 3, i);
        add(index, path);
    }
    add(index, "d1x/f");
    add(index, "d");
    assert_int_equal(count_under(index, ""), 102);
    assert_int_equal(count_under(index, "d1"), 33);
    assert_int_equal(count_under(index, "d1/sub"), 33);
    assert_int_equal(count_under(index, "d1/su"), 0);
    assert_int_equal(count_under(index, "d"), 1);
    assert_int_equal(count_under(index, "d1/sub/f1"), 1);
    int removed = 0;
    for (struct cache_copy *copy; (copy = cache_index_first_under(index, "d1")); removed++)
        cache_index_remove(index, copy, dir_emptied, NULL);
    assert_int_equal(removed, 33);
    assert_string_equal(emptied, "d1/sub d1 ");
    assert_int_equal(count_under(index, ""), 69);
    assert_null(find(index, "d1/sub/f1"));
    assert_non_null(find(index, "d2/sub/f2"));
    assert_null(cache_index_first_under(index, "d1"));
}

/* The table gives every place that a hash can have, and no more. */
static void test_full(void **state)
{
    struct cache_index *index = *state;
    struct cache_copy *copy;
    char path[32];
    for (unsigned i = 0; i < CACHE_PROBES; i++) {
        snprintf(path, sizeof(path), "f%u", i);
        assert_int_equal(cache_index_add(index, 5 + (uint64_t)i * SLOTS, path, &copy), 0);
        assert_int_equal(copy->slot, 5 + i);
    }
    assert_int_equal(cache_index_add(index, 5, "g/h", &copy), -EEXIST);
    assert_int_equal(cache_index_add(index, 5 + 100 * SLOTS, "g/h", &copy), -ENOSPC);
    assert_int_equal(cache_index_dirs(index), 0);
    cache_index_remove(index, cache_index_find(index, 5 + 3 * SLOTS, "f3"), NULL, NULL);
    assert_int_equal(cache_index_add(index, 5 + 100 * SLOTS, "g/h", &copy), 0);
    assert_int_equal(copy->slot, 8);
}

/* Random additions and removals agree with a plain list. */
static void test_random(void **state)
{
    enum { PATHS = 400, ROUNDS = 20000 };
    struct cache_index *index = *state;
    bool there[PATHS] = {false};
    char path[64];
    srand(1);
    for (int round = 0; round < ROUNDS; round++) {
        int i = rand() % PATHS;
        snprintf(path, sizeof(path), "%d/%d/%d", i % 5, i % 20, i);
        struct cache_copy *copy = find(index, path);
        assert_int_equal(copy != NULL, there[i]);
        if (copy)
            cache_index_remove(index, copy, NULL, NULL);
        else
            add(index, path);
        there[i] = !there[i];
    }
    int n = 0;
    for (int i = 0; i < PATHS; i++)
        n += there[i];
    assert_int_equal(count_under(index, ""), n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_paths, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_under, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_full, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_random, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
