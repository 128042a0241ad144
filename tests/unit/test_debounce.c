/* Bursts, and what comes while the action runs, on a clock that is told. */
#include "lib/debounce.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>

#include "lib/clock.h"

static void test_quiet_time(void **state)
{
    struct debounce d = {.quiet_ms = 200, .most_ms = 2000};
    assert_int_equal(debounce_due_ms(&d), CLOCK_NEVER);
    debounce_note(&d, 1000);
    assert_int_equal(debounce_due_ms(&d), 1200);
    debounce_note(&d, 1150);
    assert_int_equal(debounce_due_ms(&d), 1350);
    debounce_begin(&d);
    debounce_end(&d);
    assert_int_equal(debounce_due_ms(&d), CLOCK_NEVER);
}

static void test_events_without_end(void **state)
{
    struct debounce d = {.quiet_ms = 200, .most_ms = 2000};
    for (int64_t ms = 1000; ms < 5000; ms += 100)
        debounce_note(&d, ms);
    assert_int_equal(debounce_due_ms(&d), 3000);
}

static void test_one_more_after_the_run(void **state)
{
    struct debounce d = {.quiet_ms = 200, .most_ms = 2000};
    debounce_note(&d, 1000);
    debounce_begin(&d);
    debounce_note(&d, 1300);
    debounce_note(&d, 1400);
    assert_int_equal(debounce_due_ms(&d), CLOCK_NEVER); /* one at a time */
    debounce_end(&d);
    assert_int_equal(debounce_due_ms(&d), 1600);
    debounce_begin(&d);
    debounce_end(&d);
    assert_int_equal(debounce_due_ms(&d), CLOCK_NEVER); /* and only one more */
}

static void test_once_more_after_a_failure(void **state)
{
    struct debounce d = {.quiet_ms = 200, .most_ms = 2000};
    debounce_note(&d, 1000);
    debounce_begin(&d);
    debounce_again(&d, 9000);
    assert_int_equal(debounce_due_ms(&d), 9000);
    debounce_note(&d, 2000); /* news do not shorten the wait, nor lengthen it */
    assert_int_equal(debounce_due_ms(&d), 9000);
    debounce_note(&d, 8950);
    assert_int_equal(debounce_due_ms(&d), 9150);
    debounce_begin(&d);
    debounce_note(&d, 9200);
    debounce_again(&d, 12000); /* what waits already is the next try */
    assert_int_equal(debounce_due_ms(&d), 12000);
    debounce_begin(&d);
    debounce_end(&d);
    debounce_note(&d, 12500);
    assert_int_equal(debounce_due_ms(&d), 12700); /* the wait was for that try only */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quiet_time),
        cmocka_unit_test(test_events_without_end),
        cmocka_unit_test(test_one_more_after_the_run),
        cmocka_unit_test(test_once_more_after_a_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
