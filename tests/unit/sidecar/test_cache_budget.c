/* So many in a second: small rates and short pauses lose nothing, long pauses save up nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/clock.h"
#include "sidecar/cache_budget.h"

static int spend_for(struct cache_budget *budget, int64_t ms, uint64_t each)
{
    int n = 0;
    for (int64_t passed = 0; passed < ms; passed += 10) {
        clock_fake_advance(10);
        cache_budget_refill(budget);
        while (cache_budget_has(budget)) {
            cache_budget_spend(budget, each);
            n++;
        }
    }
    return n;
}

static void test_rate(void **state)
{
    struct cache_budget budget = {.per_second = 2};
    clock_fake_set(1000000, 0);
    spend_for(&budget, 1000, 1);
    assert_in_range(spend_for(&budget, 100000, 1), 199, 201);
    clock_fake_advance(3600 * 1000);
    assert_in_range(spend_for(&budget, 1000, 1), 2, 5); /* not an hour's worth */
    clock_fake_off();
}

static void test_large(void **state)
{
    struct cache_budget budget = {.per_second = 1000};
    clock_fake_set(1000000, 0);
    spend_for(&budget, 10, 5000);
    assert_in_range(spend_for(&budget, 100000, 5000), 19, 21);
    clock_fake_off();
}

static void test_no_limit(void **state)
{
    struct cache_budget budget = {0};
    cache_budget_spend(&budget, 1 << 30);
    assert_true(cache_budget_has(&budget));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rate),
        cmocka_unit_test(test_large),
        cmocka_unit_test(test_no_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
