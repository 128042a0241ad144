/* Distributions: exact while small, then merged without losing number, sum or ends. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "sidecar/distribution.h"

static void check_order(const struct distribution *d)
{
    uint64_t count = 0;
    for (size_t i = 0; i < d->n; i++) {
        assert_true(i == 0 || d->values[i - 1] < d->values[i]);
        assert_true(d->counts[i] > 0);
        count += d->counts[i];
    }
    assert_true(count == d->count);
}

static void test_exact(void **state)
{
    static const double values[] = {5, 1, 3, 1, 5, 1};
    struct distribution d = {0};
    for (size_t i = 0; i < 6; i++)
        distribution_add(&d, values[i], 1);
    check_order(&d);
    assert_int_equal(d.n, 3);
    assert_true(d.values[0] == 1 && d.values[1] == 3 && d.values[2] == 5);
    assert_true(d.counts[0] == 3 && d.counts[1] == 1 && d.counts[2] == 2);
    assert_true(d.sum == 16);
}

static void test_not_finite(void **state)
{
    struct distribution d = {0};
    distribution_add(&d, NAN, 1);
    distribution_add(&d, INFINITY, 1);
    distribution_add(&d, -INFINITY, 1);
    assert_int_equal(d.n, 0);
    assert_true(d.count == 0 && d.sum == 0);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* 20,000 values over six decades: a percentile may be off by the width of a merged pair. */
static void test_merged(void **state)
{
    enum { N = 20000 };
    static const double decades[] = {0.001, 0.01, 0.1, 1, 10, 100};
    static double values[N];
    struct distribution d = {0};
    double sum = 0, merged_sum = 0;
    srand48(7);
    for (size_t i = 0; i < N; i++) {
        values[i] = (1 + 9 * drand48()) * decades[i % 6];
        sum += values[i];
        distribution_add(&d, values[i], 1);
    }
    check_order(&d);
    qsort(values, N, sizeof(values[0]), by_value);
    assert_int_equal(d.n, DISTRIBUTION_MAX);
    assert_true(d.count == N);
    assert_true(d.values[0] == values[0] && d.values[d.n - 1] == values[N - 1]);
    for (size_t i = 0; i < d.n; i++)
        merged_sum += d.values[i] * (double)d.counts[i];
    assert_true(fabs(merged_sum - sum) < sum * 1e-9);
    assert_true(fabs(d.sum - sum) < sum * 1e-9);
    for (int tenth = 1; tenth < 10; tenth++) {
        double exact = values[N / 10 * tenth];
        assert_true(fabs(distribution_percentile(&d, tenth * 10) - exact) < exact * 0.25);
    }
}

static void test_percentiles(void **state)
{
    struct distribution d = {0};
    distribution_add(&d, 7, 1);
    assert_true(distribution_percentile(&d, 0) == 7 && distribution_percentile(&d, 100) == 7);
    for (int i = 1; i < 10; i++)
        distribution_add(&d, 7, 1); /* one pair with a count of 10 */
    for (int i = 1; i <= 90; i++)
        distribution_add(&d, 100 + i, 1);
    assert_true(distribution_percentile(&d, 10) == 7);
    assert_true(distribution_percentile(&d, 50) == 140);
    assert_true(distribution_percentile(&d, 99) == 189);
    assert_true(distribution_percentile(&d, 100) == 190);
}

/* Two halves merged, then shrunk: number, sum and ends stay exact. */
static void test_merge_and_shrink(void **state)
{
    struct distribution halves[2] = {0};
    double sum = 0, low = INFINITY, high = -INFINITY;
    srand48(11);
    for (size_t i = 0; i < 4000; i++) {
        double value = drand48() * 1000 - 100;
        sum += value;
        low = value < low ? value : low;
        high = value > high ? value : high;
        distribution_add(&halves[i % 2], value, 1);
    }
    struct distribution *d = &halves[0];
    distribution_merge(d, &halves[1]);
    static const size_t limits[] = {DISTRIBUTION_MAX, 100, 7, 1};
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        distribution_shrink(d, limits[i]);
        check_order(d);
        assert_int_equal(d->n, limits[i] < 3 ? 3 : limits[i]);
        assert_true(d->count == 4000 && d->values[0] == low && d->values[d->n - 1] == high);
        assert_true(fabs(d->sum - sum) < 1e-6);
    }
}

static void test_negative_and_zero(void **state)
{
    struct distribution d = {0};
    for (int i = -100; i <= 100; i++)
        distribution_add(&d, i, 1);
    check_order(&d);
    assert_true(d.count == 201);
    assert_true(d.values[0] == -100 && d.values[d.n - 1] == 100);
    assert_true(fabs(d.sum) < 1e-9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exact),
        cmocka_unit_test(test_not_finite),
        cmocka_unit_test(test_merged),
        cmocka_unit_test(test_percentiles),
        cmocka_unit_test(test_merge_and_shrink),
        cmocka_unit_test(test_negative_and_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
