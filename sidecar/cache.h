/*
 * cache: copies of the hot files of one mount on the task-local volume, for libefscache.so and for
 * programs that read them by path; docs/cache.md says what is promised.
 *
 *     r = cache_open(&options, &cache, &err);
 *     cache_turn(cache);                            // as soon as cache_next_ms() says, or earlier
 *     while ((job = cache_take_job(cache)))         // as many as there are workers
 *         ... cache_job_run(job) in a worker, then cache_finish(cache, job) ...
 *     cache_change(cache, &change);                 // the feed says that something changed
 *     cache_doubt(cache, "");                       // or that it does not know what
 *     cache_begin_to_hear(cache);                   // from now on it does
 *     cache_close(cache);                           // no job is with a worker any more
 *
 * A file that was missed twice is looked at, looked at again and copied two seconds later (see
 * cache_fetch.h) and then listed in the map. Room is reserved before it is copied. What is heard of
 * it meanwhile, from the feed or from the applications' own marks, makes it begin anew.
 *
 * A copy that is doubted is taken from the map and stays on the disk: the next miss asks EFS with
 * one call whether it is still good.
 *
 * Threads: one at a time, not the loop's: calls wait for the disk of the cache volume, but never
 * for EFS.
 */
#ifndef SIDECAR_CACHE_H
#define SIDECAR_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/error.h"
#include "lib/settings.h"
#include "lib/share/change.h"
#include "sidecar/cache_jobs.h"
#include "sidecar/cache_pins.h"
#include "sidecar/cache_rules.h"

struct cache;

struct cache_options {
    const struct settings *settings;
    const char *name; /* of the mount */
    const struct cache_rules *rules;
    struct cache_source source;
};

struct cache_stats {
    uint64_t files, bytes, jobs; /* now; bytes with what is reserved */
    uint64_t looks, fetches, fetched_bytes, evictions, invalidations;
    uint64_t read_calls; /* of those fetches: READ, at most 1 MiB each */
    uint64_t failed[CACHE_FAILURES];
    int last_error;                  /* errno of the last CACHE_FAILED_ERROR */
    uint64_t counts[CACHE_COUNTS];   /* what applications say */
    bool sweeping;                   /* what an earlier sidecar left is being removed */
    uint64_t swept_files;            /* of it */
    uint64_t kept_files, kept_bytes; /* of it, which are still the files */
    bool short_of_space;             /* others need the volume */
    struct cache_pins_progress pins;
    int version_error; /* errno of the last version of what is pinned; 0: it was made */
    struct {
        uint64_t files, bytes;
    } of_rule[CACHE_RULES_MAX];
};

int cache_open(const struct cache_options *options, struct cache **ret_cache, struct error *err);
void cache_close(struct cache *cache); /* NULL is fine */

void cache_turn(struct cache *cache);
int64_t cache_next_ms(const struct cache *cache); /* until the next turn */
struct cache_job *cache_take_job(struct cache *cache);
void cache_finish(struct cache *cache, struct cache_job *job);

void cache_change(struct cache *cache, const struct change *change);
void cache_doubt(struct cache *cache, const char *path);
/* What happened before was not told: what is pinned is listed and asked about again. */
void cache_begin_to_hear(struct cache *cache);

/* Remove the copies at and under path; returns how many. */
uint64_t cache_evict(struct cache *cache, const char *path);

/* Give all files at and under path copies, and, when it is pinned, keep it so. 0, -EINVAL not a
 * path that can be, -ENOSPC too many pins. */
int cache_warm(struct cache *cache, const char *path, bool pin);

/* What came of that, so far, at and under these paths. */
void cache_report(struct cache *cache, const char *const *paths, size_t n_paths,
                  struct cache_pins_report *ret_report);

/* When a bounded copy is asked about again. */
int64_t cache_prove_after_ms(int64_t bound_ms);

void cache_stats(const struct cache *cache, struct cache_stats *ret_stats);

#endif
