/* The jobs: one per path, in order, in time, and poisoned by what is heard of their path. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/clock.h"
#include "sidecar/cache_jobs.h"

static int set_up(void **state)
{
    clock_fake_set(1000, 0);
    return cache_jobs_new((struct cache_jobs **)state);
}

static int tear_down(void **state)
{
    cache_jobs_free(*state);
    clock_fake_off();
    return 0;
}

static struct cache_job *add(struct cache_jobs *jobs, const char *path)
{
    struct cache_job *job;
    assert_int_equal(cache_jobs_add(jobs, cache_hash(path, strlen(path)), path, &job), 0);
    return job;
}

static void test_one_each(void **state)
{
    struct cache_jobs *jobs = *state;
    struct cache_job *a = add(jobs, "a"), *b = add(jobs, "b"), *again;
    assert_int_equal(cache_jobs_add(jobs, a->hash, "a", &again), -EEXIST);
    assert_ptr_equal(cache_jobs_find(jobs, b->hash), b);
    assert_null(cache_jobs_take(jobs)); /* neither is ready */
    cache_jobs_ready(jobs, a);
    cache_jobs_ready(jobs, b);
    assert_ptr_equal(cache_jobs_take(jobs), a);
    assert_ptr_equal(cache_jobs_take(jobs), b);
    assert_null(cache_jobs_take(jobs));
    cache_jobs_end(jobs, a);
    assert_null(cache_jobs_find(jobs, cache_hash("a", 1)));
    assert_int_equal(cache_jobs_count(jobs), 1);
    add(jobs, "a");
}

static void test_waiting(void **state)
{
    struct cache_jobs *jobs = *state;
    struct cache_job *a = add(jobs, "a"), *b = add(jobs, "b");
    cache_jobs_wait(jobs, a, 2000);
    clock_fake_advance(500);
    cache_jobs_wait(jobs, b, 2000);
    clock_fake_advance(1499);
    assert_null(cache_jobs_take(jobs));
    clock_fake_advance(1);
    assert_ptr_equal(cache_jobs_take(jobs), a);
    assert_null(cache_jobs_take(jobs));
    clock_fake_advance(500);
    assert_ptr_equal(cache_jobs_take(jobs), b);
}

static void test_limit(void **state)
{
    struct cache_jobs *jobs = *state;
    struct cache_job *job;
    char path[16];
    for (int i = 0; i < CACHE_JOBS_MAX; i++) {
        snprintf(path, sizeof(path), "%d", i);
        add(jobs, path);
    }
    assert_int_equal(cache_jobs_add(jobs, 1, "more", &job), -EAGAIN);
}

static void test_poison(void **state)
{
    struct cache_jobs *jobs = *state;
    struct cache_job *in = add(jobs, "d/e/f"), *same = add(jobs, "d"), *beside = add(jobs, "dd/f");
    cache_jobs_poison_under(jobs, "d");
    assert_true(in->poisoned && atomic_load(&in->stop) && same->poisoned && !beside->poisoned);
    cache_jobs_poison_under(jobs, "");
    assert_true(beside->poisoned);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_one_each, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_waiting, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_limit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_poison, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
