/*
 * cache_fill: how a path becomes a copy: looked at, found to stand still, copied, looked at again,
 * listed in the map; or what came of it instead. The part of cache.h that goes with its jobs, and
 * the state that both parts share. For cache.c and cache_fill.c only.
 *
 *     r = cache_fill_ask(cache, CACHE_JOB_LOOK, hash, path, true);   // -EEXIST: it is under way
 *     cache_take_job(), cache_finish(): see cache.h
 *     cache_fill_supersede(cache, copy);    // the source is another file now
 *
 * Threads: one at a time, as cache.h. Errors: -errno.
 */
#ifndef SIDECAR_CACHE_FILL_H
#define SIDECAR_CACHE_FILL_H

#include "sidecar/cache.h"
#include "sidecar/cache_budget.h"
#include "sidecar/cache_copies.h"
#include "sidecar/cache_jobs.h"
#include "sidecar/cache_pins.h"
#include "sidecar/cache_restore.h"

struct cache {
    struct cache_source source;
    struct cache_copies copies;
    struct cache_jobs *jobs;
    struct cache_pins *pins;
    struct cache_restore *restore; /* NULL: done */
    struct cache_budget proofs, bytes;
    uint32_t all;     /* of the applications' marks, when it was last looked at */
    uint64_t n_tmp;   /* names in .tmp */
    int64_t space_ms; /* when the volume was last looked at */
    int64_t missed_ms;
    struct cache_stats stats;
};

/* wanted: by an application or a pin, not only to prove what is there. */
int cache_fill_ask(struct cache *cache, enum cache_job_kind kind, uint64_t hash, const char *path,
                   bool wanted);
void cache_fill_supersede(struct cache *cache, struct cache_copy *copy);

#endif
