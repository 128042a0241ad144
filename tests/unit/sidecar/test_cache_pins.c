/* What is to have a copy: walks, what is heard meanwhile, what is gone, and when a version is
 * whole. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "sidecar/cache_pins.h"

static struct cache_pins *pins;

static uint64_t hash_of(const char *path)
{
    return cache_hash(path, strlen(path));
}

static void expect_next(const char *wanted, bool wanted_is_dir)
{
    const char *path;
    bool is_dir;
    assert_true(cache_pins_next(pins, &path, &is_dir));
    assert_string_equal(path, wanted);
    assert_int_equal(is_dir, wanted_is_dir);
}

static void expect_none(void)
{
    const char *path;
    bool is_dir;
    assert_false(cache_pins_next(pins, &path, &is_dir));
}

static struct cache_pins_progress progress(void)
{
    struct cache_pins_progress now;
    cache_pins_progress(pins, &now);
    return now;
}

/* "m" has the files a and b. */
static void walk_two(void)
{
    expect_next("m", true);
    cache_pins_found(pins, "m", "fa\0fb", 6);
    cache_pins_done(pins, hash_of("m"), 0);
    expect_next("m/a", false);
    expect_next("m/b", false);
    expect_none();
    cache_pins_done(pins, hash_of("m/a"), 0);
    cache_pins_done(pins, hash_of("m/b"), 0);
}

static int set_up(void **state)
{
    assert_int_equal(cache_pins_new(8, &pins), 0);
    assert_int_equal(cache_pins_add(pins, "m", true), 0);
    cache_pins_walk(pins);
    return 0;
}

static int tear_down(void **state)
{
    cache_pins_free(pins);
    return 0;
}

static void test_parse(void **state)
{
    static const char *const good[] = {"/m/**", "m/", "m", "//m/**", "/data/m", NULL};
    static const char *const bad[] = {"/a/*/b", "../m", "a/./b", "/a?", NULL};
    char path[CACHE_PATH_MAX + 1] = "as it was";
    for (const char *const *text = bad; *text; text++)
        assert_int_equal(cache_pins_parse(*text, "/data", path), -EINVAL);
    assert_string_equal(path, "as it was");
    for (const char *const *text = good; *text; text++) {
        assert_int_equal(cache_pins_parse(*text, "/data", path), 0);
        assert_string_equal(path, "m");
    }
    assert_int_equal(cache_pins_parse("/**", "/data", path), 0);
    assert_string_equal(path, "");
}

static void test_walk(void **state)
{
    assert_true(cache_pins_has(pins, "m/a"));
    assert_false(cache_pins_has(pins, "model"));
    assert_false(progress().complete);
    walk_two();
    cache_pins_sized(pins, hash_of("m/a"), 5);
    assert_true(progress().complete && progress().walked);
    assert_int_equal(progress().files, 2);
    assert_int_equal(progress().done, 2);
    assert_int_equal(progress().done_bytes, 5);
}

static void test_heard_while_asked(void **state)
{
    walk_two();
    cache_pins_changed(pins, "m/a", false);
    expect_next("m/a", false);
    cache_pins_changed(pins, "m/a", false);
    cache_pins_done(pins, hash_of("m/a"), 0);
    assert_false(progress().complete);
    expect_next("m/a", false);
    cache_pins_done(pins, hash_of("m/a"), 0);
    assert_true(progress().complete);
}

static void walk_without_b(int result)
{
    walk_two();
    cache_pins_walk(pins);
    expect_next("m", true);
    if (result == 0)
        cache_pins_found(pins, "m", "fa", 3);
    cache_pins_done(pins, hash_of("m"), result);
}

static void test_gone(void **state)
{
    char path[CACHE_PATH_MAX + 1];
    walk_without_b(0);
    assert_true(cache_pins_take_gone(pins, path));
    assert_string_equal(path, "m/b");
    assert_false(cache_pins_take_gone(pins, path));
    assert_int_equal(progress().files, 1);
}

/* What could not be listed may be there. */
static void test_not_listed(void **state)
{
    char path[CACHE_PATH_MAX + 1];
    walk_without_b(-EACCES);
    assert_false(cache_pins_take_gone(pins, path));
    assert_int_equal(progress().files, 2);
}

static void test_version(void **state)
{
    assert_false(cache_pins_take_version(pins));
    walk_two();
    assert_true(cache_pins_take_version(pins));
    assert_false(cache_pins_take_version(pins));
    cache_pins_changed(pins, "m/a", false);
    assert_false(cache_pins_take_version(pins));
}

static void test_file_for_directory(void **state)
{
    assert_int_equal(cache_pins_add(pins, "f", false), 0);
    expect_next("f", true);
    cache_pins_done(pins, hash_of("f"), -ENOTDIR);
    expect_next("m", true);
    cache_pins_done(pins, hash_of("m"), -EACCES);
    expect_next("f", false);
    cache_pins_done(pins, hash_of("f"), 0);
    assert_int_equal(progress().files, 1);
    assert_int_equal(progress().done, 1);
}

static void test_cap(void **state)
{
    static const char names[] = "f1\0f2\0f3\0f4\0f5\0f6\0f7\0f8\0f9";
    expect_next("m", true);
    cache_pins_found(pins, "m", names, sizeof(names));
    cache_pins_done(pins, hash_of("m"), 0);
    assert_true(progress().over);
    assert_int_equal(progress().files, 7);
}

static void warm(const char *path, int result)
{
    assert_int_equal(cache_pins_add(pins, path, false), 0);
    expect_next(path, true);
    cache_pins_done(pins, hash_of(path), result);
}

/* There is room for what is warmed now, however much was before; but not for more at once. */
static void test_forgets(void **state)
{
    char path[16];
    walk_two();
    for (int i = 0; i < 100; i++) {
        snprintf(path, sizeof(path), "w%d", i);
        warm(path, -EACCES);
        assert_false(progress().over);
    }
    assert_true(cache_pins_has(pins, "m/a"));
    assert_int_equal(progress().files, 2);
    for (int i = 0; i < 7; i++) {
        snprintf(path, sizeof(path), "x%d", i);
        assert_int_equal(cache_pins_add(pins, path, false), 0);
    }
    assert_true(progress().over);
}

/* Whoever warms new names all the time does not make the sidecar grow; also when something is
 * always under way. */
static void warm_new_names(bool busy)
{
    char path[16];
    cache_pins_free(pins);
    assert_int_equal(cache_pins_new(100000, &pins), 0);
    if (busy) {
        assert_int_equal(cache_pins_add(pins, "busy", false), 0);
        expect_next("busy", true);
    }
    for (int i = 0; i < 20000; i++) {
        snprintf(path, sizeof(path), "n%d", i);
        assert_int_equal(cache_pins_add(pins, path, false), 0);
        expect_next(path, true);
        cache_pins_done(pins, hash_of(path), -ENOTDIR);
        expect_next(path, false);
        cache_pins_done(pins, hash_of(path), 0);
        assert_in_range(progress().files, 1, 3 * 1024);
    }
    assert_int_equal(progress().done, progress().files);
    assert_int_equal(progress().complete, !busy);
}

static void test_does_not_grow(void **state)
{
    warm_new_names(false);
    warm_new_names(true);
}

static struct cache_pins_report report_on(const char *path)
{
    struct cache_pins_report report;
    cache_pins_report_on(pins, path);
    cache_pins_report(pins, &report);
    return report;
}

/* Each path has its own, whatever became of the others. */
static void test_report(void **state)
{
    walk_two();
    warm("closed", -EACCES);
    warm("x", 0);
    struct cache_pins_report report = report_on("closed");
    assert_int_equal(report.refused, 1);
    assert_int_equal(report.failed[CACHE_FAILED_RIGHTS], 1);
    assert_int_equal(report.files + report.failed_files, 0);
    assert_string_equal(report.first, "closed");
    assert_int_equal(report.first_error, EACCES);
    report = report_on("m");
    assert_int_equal(report.copies, 2);
    assert_int_equal(report.first_error, 0);

    cache_pins_changed(pins, "m/b", false);
    expect_next("m/b", false);
    assert_int_equal(report_on("m").pending, 1);
    cache_pins_done(pins, hash_of("m/b"), -ENOSPC);
    report = report_on("m");
    assert_int_equal(report.failed[CACHE_FAILED_NO_ROOM], 1);
    assert_int_equal(report.failed_files, 1);
    assert_int_equal(report.refused, 0); /* a directory of which there are copies */
    assert_string_equal(report.first, "m/b");
    assert_int_equal(report_on("x").first_error, 0);
    assert_int_equal(report_on("elsewhere").files, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test_setup_teardown(test_walk, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_heard_while_asked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_gone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_not_listed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_version, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_file_for_directory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cap, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_forgets, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_does_not_grow, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_report, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
