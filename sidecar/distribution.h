/*
 * distribution: measured values as (value, count) pairs, at most DISTRIBUTION_MAX of them, so that
 * percentiles can be had from few numbers.
 *
 *     struct distribution d = {0};
 *     distribution_add(&d, 12.5, 1);
 *     for (size_t i = 0; i < d.n; i++)
 *         use(d.values[i], d.counts[i]);        // ascending values
 *
 * Values stay exact while there are few different ones. Then the two neighbours that are closest
 * relative to their size become their mean: number and sum are always exact, smallest and largest
 * too. Not finite is not added. Threads: one at a time.
 */
#ifndef SIDECAR_DISTRIBUTION_H
#define SIDECAR_DISTRIBUTION_H

#include <stddef.h>
#include <stdint.h>

enum { DISTRIBUTION_MAX = 150 }; /* what one datum of PutMetricData may have */

struct distribution {
    size_t n;
    uint64_t count; /* sum of counts */
    double sum;
    double values[DISTRIBUTION_MAX];
    uint64_t counts[DISTRIBUTION_MAX];
};

/* Touches none of the values: there are many distributions, and most of them are never large. */
void distribution_clear(struct distribution *d);

void distribution_add(struct distribution *d, double value, uint64_t count);

/* Add what another has. */
void distribution_merge(struct distribution *d, const struct distribution *from);

/* Merge values until there are at most max of them, or 3. */
void distribution_shrink(struct distribution *d, size_t max);

/* The smallest value that percent (0 to 100) of all values do not exceed; d is not empty. */
double distribution_percentile(const struct distribution *d, double percent);

#endif
