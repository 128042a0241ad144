/* Paths, their hashes, and the list of mounts. */
#include "shim/cache_paths.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
/* cmocka needs the four above */
#include <cmocka.h>

#include "lib/cleanup.h"

static void test_join(void **state)
{
    static const struct {
        const char *path, *joined; /* NULL: refused */
    } cases[] = {
        {"a", "/x/a"},       {"a/b", "/x/a/b"}, {"./a", "/x/a"},
        {"a//b", "/x/a/b"},  {"/a", "/x/a"},    {".//./a", "/x/a"},
        {"a/./b", "/x/a/b"}, {"...", "/x/..."}, {"..a/b.", "/x/..a/b."},
        {"a/.b", "/x/a/.b"}, {"", NULL},        {"/", NULL},
        {".", NULL},         {"a/", NULL},      {"a/.", NULL},
        {"..", NULL},        {"a/../b", NULL},  {"../a", NULL},
        {"a/..", NULL},      {"./", NULL},
    };
    char buf[64];
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        memcpy(buf, "/x", 3);
        size_t n = cache_path_join(buf, 2, sizeof(buf), cases[i].path);
        if (cases[i].joined ? n != strlen(cases[i].joined) || strcmp(buf, cases[i].joined) != 0
                            : n != 0)
            fail_msg("'%s' became '%.*s'", cases[i].path, (int)n, buf);
    }
    for (size_t size = 0; size <= 8; size++) /* "/x/ab/c" and its end */
        assert_int_equal(cache_path_join(buf, 2, size < 2 ? 2 : size, "ab/c"), size == 8 ? 7 : 0);
}

static void test_path_valid(void **state)
{
    static const char *const bad[] = {"",   "/",   "/a",   "a/",   "a//b", ".",
                                      "..", "./a", "../a", "a/..", "a/.",  "a/./b"};
    static const char *const good[] = {"a", "a/b", "...", ".a", "a/..b", "a..", "a/.../b", " "};
    char longest[CACHE_PATH_MAX + 1];
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (cache_path_valid(bad[i], strlen(bad[i])))
            fail_msg("'%s' was taken", bad[i]);
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        if (!cache_path_valid(good[i], strlen(good[i])))
            fail_msg("'%s' was refused", good[i]);
    assert_false(cache_path_valid("a\0b", 3));
    memset(longest, 'a', sizeof(longest));
    assert_true(cache_path_valid(longest, CACHE_PATH_MAX));
    assert_false(cache_path_valid(longest, CACHE_PATH_MAX + 1));
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* Paths as they are: long and the same but for a digit. No two have one hash, and the bits that
 * choose the mark and the slot are spread: at most four times of what each would have. */
static void test_hash(void **state)
{
    enum { PATHS = 200000, BUCKETS = 256 };
    uint64_t *hashes = calloc(PATHS, sizeof(*hashes));
    unsigned low[BUCKETS] = {0}, high[BUCKETS] = {0};
    assert_non_null(hashes);
    for (size_t i = 0; i < PATHS; i++) {
        char path[64];
        int n = snprintf(path, sizeof(path), "var/www/app/vendor/package-%zu/src/file%zu.php",
                         i % 100, i / 100);
        hashes[i] = cache_hash(path, (size_t)n);
        low[hashes[i] % BUCKETS]++;
        high[hashes[i] >> 56]++;
    }
    for (size_t i = 0; i < BUCKETS; i++)
        assert_true(low[i] < 4 * PATHS / BUCKETS && high[i] < 4 * PATHS / BUCKETS);
    qsort(hashes, PATHS, sizeof(*hashes), compare);
    for (size_t i = 1; i < PATHS; i++)
        assert_true(hashes[i - 1] != hashes[i]);
    free(hashes);
    assert_true(cache_hash("a", 1) != cache_hash("a\0", 2)); /* the length counts */
}

static void test_mounts(void **state)
{
    static const char *const bad[] = {
        "",
        "efs-cache 1",
        "efs-cache 2\ndata /data\n",
        CACHE_MOUNTS_HEAD "data /data",
        CACHE_MOUNTS_HEAD "data\n",
        CACHE_MOUNTS_HEAD "\n",
        CACHE_MOUNTS_HEAD " /data\n",
        CACHE_MOUNTS_HEAD "data /\n",
        CACHE_MOUNTS_HEAD "data data\n",
        CACHE_MOUNTS_HEAD "data /data/\n",
        CACHE_MOUNTS_HEAD "data /data/../x\n",
        CACHE_MOUNTS_HEAD "../x /data\n",
        CACHE_MOUNTS_HEAD ".validate /data\n",
        CACHE_MOUNTS_HEAD "a/b /data\n",
        CACHE_MOUNTS_HEAD "data /data\n\n",
    };
    struct cache_mount_name mounts[CACHE_MOUNTS_MAX];
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (cache_mounts_parse(bad[i], strlen(bad[i]), mounts) != -1)
            fail_msg("taken: %s", bad[i]);
    assert_int_equal(cache_mounts_parse(CACHE_MOUNTS_HEAD "d /data/\0x\n", 23, mounts), -1);
    static const char text[] = CACHE_MOUNTS_HEAD "data /data\nsrv-my-data /srv/my data\n";
    assert_int_equal(cache_mounts_parse(text, sizeof(text) - 1, mounts), 2);
    assert_int_equal(mounts[1].name_length, 11);
    assert_memory_equal(mounts[1].name, "srv-my-data", 11);
    assert_int_equal(mounts[1].path_length, 12);
    assert_memory_equal(mounts[1].path, "/srv/my data", 12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_join),
        cmocka_unit_test(test_path_valid),
        cmocka_unit_test(test_hash),
        cmocka_unit_test(test_mounts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
