#include "sidecar/cache_jobs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "sidecar/change_filter.h"

enum { BUCKETS = 1024 };

LIST_HEAD(cache_job_bucket, cache_job);
TAILQ_HEAD(cache_job_queue, cache_job);

struct cache_jobs {
    size_t n;
    struct cache_job_queue ready, waiting;
    struct cache_job_bucket buckets[BUCKETS];
};

int cache_jobs_new(struct cache_jobs **ret_jobs)
{
    struct cache_jobs *jobs = calloc(1, sizeof(*jobs));
    if (!jobs)
        return -ENOMEM;
    TAILQ_INIT(&jobs->ready);
    TAILQ_INIT(&jobs->waiting);
    *ret_jobs = jobs;
    return 0;
}

void cache_jobs_free(struct cache_jobs *jobs)
{
    if (!jobs)
        return;
    for (size_t i = 0; i < BUCKETS; i++)
        while (!LIST_EMPTY(&jobs->buckets[i]))
            cache_jobs_end(jobs, LIST_FIRST(&jobs->buckets[i]));
    free(jobs);
}

struct cache_job *cache_jobs_find(const struct cache_jobs *jobs, uint64_t hash)
{
    struct cache_job *job;
    LIST_FOREACH(job, &jobs->buckets[hash % BUCKETS], same_bucket)
    {
        if (job->hash == hash)
            break;
    }
    return job;
}

int cache_jobs_add(struct cache_jobs *jobs, uint64_t hash, const char *path,
                   struct cache_job **ret_job)
{
    if (cache_jobs_find(jobs, hash))
        return -EEXIST;
    if (jobs->n == CACHE_JOBS_MAX)
        return -EAGAIN;
    struct cache_job *job = calloc(1, sizeof(*job));
    if (!job)
        return -ENOMEM;
    job->hash = hash;
    strncpy(job->path, path, CACHE_PATH_MAX);
    LIST_INSERT_HEAD(&jobs->buckets[hash % BUCKETS], job, same_bucket);
    jobs->n++;
    *ret_job = job;
    return 0;
}

void cache_jobs_ready(struct cache_jobs *jobs, struct cache_job *job)
{
    TAILQ_INSERT_TAIL(&jobs->ready, job, queue);
}

void cache_jobs_wait(struct cache_jobs *jobs, struct cache_job *job, int64_t ms)
{
    job->ready_ms = clock_now_ms() + ms;
    TAILQ_INSERT_TAIL(&jobs->waiting, job, queue);
}

struct cache_job *cache_jobs_take(struct cache_jobs *jobs)
{
    struct cache_job *job = TAILQ_FIRST(&jobs->ready);
    if (job) {
        TAILQ_REMOVE(&jobs->ready, job, queue);
        return job;
    }
    job = TAILQ_FIRST(&jobs->waiting);
    if (!job || job->ready_ms > clock_now_ms())
        return NULL;
    TAILQ_REMOVE(&jobs->waiting, job, queue);
    return job;
}

void cache_jobs_end(struct cache_jobs *jobs, struct cache_job *job)
{
    LIST_REMOVE(job, same_bucket);
    jobs->n--;
    free(job->names);
    free(job);
}

size_t cache_jobs_count(const struct cache_jobs *jobs)
{
    return jobs->n;
}

void cache_job_poison(struct cache_job *job)
{
    job->poisoned = true;
    atomic_store(&job->stop, true);
}

void cache_jobs_poison_under(struct cache_jobs *jobs, const char *path)
{
    struct cache_job *job;
    for (size_t i = 0; jobs->n > 0 && i < BUCKETS; i++)
        LIST_FOREACH(job, &jobs->buckets[i], same_bucket)
        {
            if (change_path_under(job->path, path))
                cache_job_poison(job);
        }
}

void cache_job_run(struct cache_job *job)
{
    if (job->kind == CACHE_JOB_LOOK)
        job->result = cache_fetch_look(job->source, job->path, &job->sight);
    else if (job->kind == CACHE_JOB_LIST)
        job->result = cache_fetch_list(job->source, job->path, &job->names, &job->names_bytes);
    else
        job->result = cache_fetch_copy(job->source, job->path, &job->sight.identity, job->tmp_fd,
                                       job->tmp_name, &job->stop, &job->sight);
}
