/*
 * cache_jobs: what the cache asks of EFS and has not done yet, a job per path.
 *
 *     r = cache_jobs_add(jobs, hash, path, &job);      // -EEXIST: that is under way
 *     cache_jobs_ready(jobs, job);                     // it may be taken
 *     cache_jobs_wait(jobs, job, 2000);                // in a while; all wait for about as long
 *     job = cache_jobs_take(jobs);                     // for a worker, or NULL
 *     cache_job_run(job);                              // in the worker
 *     cache_jobs_end(jobs, job);                       // it is back, and done with
 *
 * From take on the job is the worker's, but for `poisoned` and `stop`, until it is back.
 *
 * Ownership: jobs are the queue's. Threads: one at a time, but for cache_job_run().
 */
#ifndef SIDECAR_CACHE_JOBS_H
#define SIDECAR_CACHE_JOBS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "shim/cache_layout.h"
#include "sidecar/cache_fetch.h"

enum { CACHE_JOBS_MAX = 4096 };

enum cache_job_kind { CACHE_JOB_LOOK, CACHE_JOB_COPY, CACHE_JOB_LIST };

struct cache_job {
    enum cache_job_kind kind;
    bool wanted;        /* what has no copy gets one; else it is only about one that there is */
    bool pinned;        /* cache_pins.h */
    unsigned tries;     /* that were in vain because it changed under way */
    uint32_t mark, all; /* before the source was read */
    uint64_t reserved_bytes;
    const struct cache_source *source;
    int tmp_fd;
    char tmp_name[24];

    struct cache_sight sight; /* expected by a copy, found by both */
    char *names;              /* found by a list */
    size_t names_bytes;
    int result;

    bool poisoned;    /* something was heard of it meanwhile */
    atomic_bool stop; /* the same, for who copies */

    uint64_t hash;
    int64_t ready_ms;
    LIST_ENTRY(cache_job) same_bucket;
    TAILQ_ENTRY(cache_job) queue;
    char path[CACHE_PATH_MAX + 1];
};

struct cache_jobs;

int cache_jobs_new(struct cache_jobs **ret_jobs);
void cache_jobs_free(struct cache_jobs *jobs); /* NULL is fine; no worker has one */

/* -EAGAIN: there are CACHE_JOBS_MAX; -ENOMEM. */
int cache_jobs_add(struct cache_jobs *jobs, uint64_t hash, const char *path,
                   struct cache_job **ret_job);
struct cache_job *cache_jobs_find(const struct cache_jobs *jobs, uint64_t hash);

void cache_jobs_ready(struct cache_jobs *jobs, struct cache_job *job);
void cache_jobs_wait(struct cache_jobs *jobs, struct cache_job *job, int64_t ms);
struct cache_job *cache_jobs_take(struct cache_jobs *jobs);
void cache_jobs_end(struct cache_jobs *jobs, struct cache_job *job);

size_t cache_jobs_count(const struct cache_jobs *jobs);

/* Those at and under path. */
void cache_jobs_poison_under(struct cache_jobs *jobs, const char *path);
void cache_job_poison(struct cache_job *job);

void cache_job_run(struct cache_job *job);

#endif
