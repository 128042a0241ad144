/*
 * cache_budget: so many of something in a second, and no more than a second's worth at once.
 *
 *     struct cache_budget budget = {.per_second = 200};        // 0: no limit
 *     cache_budget_refill(&budget);
 *     if (cache_budget_has(&budget)) ... cache_budget_spend(&budget, 1);
 *
 * What is begun is done, and paid for by waiting afterwards: more may be spent than is left.
 * Threads: plain values.
 */
#ifndef SIDECAR_CACHE_BUDGET_H
#define SIDECAR_CACHE_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

struct cache_budget {
    int64_t per_second;
    int64_t left_milli, at_ms;
};

void cache_budget_refill(struct cache_budget *budget);
bool cache_budget_has(const struct cache_budget *budget);
void cache_budget_spend(struct cache_budget *budget, uint64_t n);

#endif
