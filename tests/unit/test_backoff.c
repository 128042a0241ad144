/* Waiting times double up to the limit and never leave their quarter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/backoff.h"

static void test_doubles_and_stops(void **state)
{
    struct backoff b = {.first_ms = 1000, .most_ms = 10000};
    const int64_t full_ms[] = {1000, 2000, 4000, 8000, 10000, 10000};
    for (size_t i = 0; i < sizeof(full_ms) / sizeof(full_ms[0]); i++)
        assert_in_range(backoff_next_ms(&b), full_ms[i] * 3 / 4, full_ms[i]);
    backoff_reset(&b);
    assert_in_range(backoff_next_ms(&b), 750, 1000);
}

static void test_differs(void **state)
{
    int64_t least_ms = INT64_MAX, most_ms = 0;
    for (int i = 0; i < 200; i++) {
        struct backoff b = {.first_ms = 100000, .most_ms = 100000};
        int64_t ms = backoff_next_ms(&b);
        least_ms = ms < least_ms ? ms : least_ms;
        most_ms = ms > most_ms ? ms : most_ms;
    }
    assert_in_range(least_ms, 75000, 80000);
    assert_in_range(most_ms, 95000, 100000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_doubles_and_stops),
        cmocka_unit_test(test_differs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
