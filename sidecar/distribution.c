#include "sidecar/distribution.h"

#include <math.h>
#include <string.h>

static void remove_at(struct distribution *d, size_t at)
{
    d->n--;
    memmove(&d->values[at], &d->values[at + 1], (d->n - at) * sizeof(d->values[0]));
    memmove(&d->counts[at], &d->counts[at + 1], (d->n - at) * sizeof(d->counts[0]));
}

/* The ends stay as they are: people look at the maximum first. */
static void merge_closest(struct distribution *d)
{
    size_t best = 1;
    double best_gap = INFINITY;
    for (size_t i = 1; i + 2 < d->n; i++) {
        double low = d->values[i], high = d->values[i + 1];
        double gap = (high - low) / (fabs(low) + fabs(high));
        if (gap < best_gap) {
            best_gap = gap;
            best = i;
        }
    }
    double a = (double)d->counts[best], b = (double)d->counts[best + 1];
    d->values[best] = (d->values[best] * a + d->values[best + 1] * b) / (a + b);
    d->counts[best] += d->counts[best + 1];
    remove_at(d, best + 1);
}

static void insert(struct distribution *d, double value, uint64_t count)
{
    size_t at = 0;
    while (at < d->n && d->values[at] < value)
        at++;
    if (at < d->n && d->values[at] == value) {
        d->counts[at] += count;
        return;
    }
    if (d->n == DISTRIBUTION_MAX) {
        merge_closest(d);
        for (at = 0; at < d->n && d->values[at] < value;)
            at++;
    }
    memmove(&d->values[at + 1], &d->values[at], (d->n - at) * sizeof(d->values[0]));
    memmove(&d->counts[at + 1], &d->counts[at], (d->n - at) * sizeof(d->counts[0]));
    d->values[at] = value;
    d->counts[at] = count;
    d->n++;
}

void distribution_add(struct distribution *d, double value, uint64_t count)
{
    if (!isfinite(value) || count == 0)
        return;
    d->count += count;
    d->sum += value * (double)count;
    insert(d, value, count);
}

void distribution_clear(struct distribution *d)
{
    d->n = 0;
    d->count = 0;
    d->sum = 0;
}

void distribution_merge(struct distribution *d, const struct distribution *from)
{
    d->count += from->count;
    d->sum += from->sum;
    for (size_t i = 0; i < from->n; i++)
        insert(d, from->values[i], from->counts[i]);
}

void distribution_shrink(struct distribution *d, size_t max)
{
    while (d->n > max && d->n > 3)
        merge_closest(d);
}

double distribution_percentile(const struct distribution *d, double percent)
{
    double wanted = percent / 100 * (double)d->count;
    uint64_t seen = 0;
    size_t at = 0;
    while (at + 1 < d->n && (double)(seen += d->counts[at]) < wanted)
        at++;
    return d->values[at];
}
