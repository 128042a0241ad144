#include "sidecar/cache_budget.h"

#include "lib/clock.h"

enum { MOST_MS = 1000 };

void cache_budget_refill(struct cache_budget *budget)
{
    int64_t now_ms = clock_now_ms(), passed_ms = now_ms - budget->at_ms;
    budget->left_milli += budget->per_second * (passed_ms < MOST_MS ? passed_ms : MOST_MS);
    if (budget->left_milli > budget->per_second * MOST_MS)
        budget->left_milli = budget->per_second * MOST_MS;
    budget->at_ms = now_ms;
}

bool cache_budget_has(const struct cache_budget *budget)
{
    return budget->per_second == 0 || budget->left_milli > 0;
}

void cache_budget_spend(struct cache_budget *budget, uint64_t n)
{
    budget->left_milli -= (int64_t)n * 1000;
}
