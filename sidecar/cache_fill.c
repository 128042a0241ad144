#include "sidecar/cache_fill.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/fs.h"
#include "lib/test_hook.h"

enum {
    SETTLE_MS = 2000, /* longer than any tick of a server's time stamps */
    RETRY_MS = 200,   /* while there is no room yet */
    TRIES_MAX = 3,
};

static void begin(struct cache *cache, struct cache_job *job)
{
    if (job->kind != CACHE_JOB_LIST)
        job->kind = CACHE_JOB_LOOK;
    job->pinned = cache_pins_has(cache->pins, job->path);
    job->source = &cache->source;
    job->poisoned = false;
    atomic_store(&job->stop, false);
    job->mark = cache_map_mark(cache->copies.link, job->hash);
    job->all = cache->all;
    cache_jobs_ready(cache->jobs, job);
}

int cache_fill_ask(struct cache *cache, enum cache_job_kind kind, uint64_t hash, const char *path,
                   bool wanted)
{
    struct cache_job *job;
    int r = cache_jobs_add(cache->jobs, hash, path, &job);
    if (r < 0)
        return r;
    job->kind = kind;
    job->wanted = wanted;
    begin(cache, job);
    return 0;
}

/* ---- what came back ---- */

static void end(struct cache *cache, struct cache_job *job, int r)
{
    cache_pins_done(cache->pins, job->hash, r);
    cache_jobs_end(cache->jobs, job);
}

static void fail(struct cache *cache, struct cache_job *job, int r)
{
    enum cache_failure failure = cache_failure_of(r);
    cache->stats.failed[failure]++;
    if (failure == CACHE_FAILED_ERROR)
        cache->stats.last_error = -r;
    if (failure == CACHE_FAILED_CHANGED) /* it is hot, it was only the wrong moment */
        ghost_note(cache->copies.ghost, job->hash);
    end(cache, job, r);
}

/* Was anything heard of it since it was looked at first? */
static bool is_overtaken(const struct cache *cache, const struct cache_job *job)
{
    return job->poisoned || job->all != cache_map_all(cache->copies.link) ||
           job->mark != cache_map_mark(cache->copies.link, job->hash);
}

static void begin_again(struct cache *cache, struct cache_job *job)
{
    if (++job->tries < TRIES_MAX)
        begin(cache, job);
    else
        fail(cache, job, -ESTALE);
}

static void invalidate(struct cache *cache, struct cache_copy *copy)
{
    cache_copies_remove(&cache->copies, copy);
    cache->stats.invalidations++;
}

/* It is no longer the file. A pinned one stays by its path until the new one takes its place. */
void cache_fill_supersede(struct cache *cache, struct cache_copy *copy)
{
    if (!copy->pinned) {
        invalidate(cache, copy);
        return;
    }
    cache->stats.invalidations += copy->listed;
    cache_copies_doubt(&cache->copies, copy);
}

/* What was copied had stood still for longer than a tick before it was read, and is the same now:
 * nothing was written since, so there is nothing to wait for. */
static void note_kept(struct cache *cache, struct cache_copy *copy)
{
    if (!copy->left)
        return;
    copy->left = false;
    cache->stats.kept_files++;
    cache->stats.kept_bytes += copy->identity.size;
    test_hook_step("restore", 4);
}

/* The copy is still the file: true. */
static bool check_copy(struct cache *cache, struct cache_job *job, struct cache_copy *copy)
{
    bool same = cache_identity_equal(&copy->identity, &job->sight.identity) &&
                copy->readers == job->sight.rights.readers && copy->pinned == job->pinned;
    if (same) {
        cache_copies_renew(&cache->copies, copy, job->sight.sent_ms, job->mark);
        note_kept(cache, copy);
    } else
        cache_fill_supersede(cache, copy);
    if (!same && job->pinned && !job->wanted)
        cache_pins_changed(cache->pins, job->path, false);
    return same;
}

static void settle(struct cache *cache, struct cache_job *job)
{
    job->kind = CACHE_JOB_COPY;
    cache_jobs_wait(cache->jobs, job, test_hook_omits("settle") ? 0 : SETTLE_MS);
}

static void looked(struct cache *cache, struct cache_job *job)
{
    struct cache_copy *copy = cache_copies_find(&cache->copies, job->hash, job->path);
    enum cache_failure failure = cache_failure_of(job->result);
    cache->stats.looks++;
    if (job->result < 0) {
        if (copy && (failure == CACHE_FAILED_GONE || failure == CACHE_FAILED_RIGHTS))
            invalidate(cache, copy);
        fail(cache, job, job->result);
        return;
    }
    if (is_overtaken(cache, job)) {
        begin_again(cache, job);
        return;
    }
    cache_pins_sized(cache->pins, job->hash, job->sight.identity.size);
    if ((copy && check_copy(cache, job, copy)) || !job->wanted)
        end(cache, job, 0);
    else if (!job->pinned &&
             job->sight.identity.size > (uint64_t)cache->copies.settings->cache_file_max_bytes)
        fail(cache, job, -EFBIG);
    else
        settle(cache, job);
}

static void drop_fetched(struct cache *cache, struct cache_job *job)
{
    cache_copies_give_back(&cache->copies, job->reserved_bytes);
    if (job->result == 0)
        cache_store_remove_tmp(cache->copies.store, job->tmp_name);
}

static void copied(struct cache *cache, struct cache_job *job)
{
    if (job->result < 0 || is_overtaken(cache, job)) {
        drop_fetched(cache, job);
        if (job->result == 0 || job->result == -ECANCELED)
            begin_again(cache, job);
        else
            fail(cache, job, job->result);
        return;
    }
    uint64_t size = job->sight.identity.size;
    cache->stats.fetches++;
    cache->stats.fetched_bytes += size;
    cache->stats.read_calls += size / (1024 * 1024) + 1;
    int r = cache_copies_add(&cache->copies, job, cache_rules_find(cache->copies.rules, job->path));
    if (r < 0) {
        fail(cache, job, r);
        return;
    }
    cache->stats.last_error = 0;
    end(cache, job, 0);
}

static void listed(struct cache *cache, struct cache_job *job)
{
    if (job->poisoned && ++job->tries < TRIES_MAX) {
        free(take_ptr(job->names));
        begin(cache, job);
        return;
    }
    cache->stats.looks++;
    if (job->result == 0)
        cache_pins_found(cache->pins, job->path, job->names, job->names_bytes);
    end(cache, job, job->result);
}

void cache_finish(struct cache *cache, struct cache_job *job)
{
    if (job->kind == CACHE_JOB_LIST)
        listed(cache, job);
    else if (job->kind == CACHE_JOB_LOOK)
        looked(cache, job);
    else
        copied(cache, job);
}

/* ---- what goes out ---- */

/* 0: the worker may begin; -EAGAIN: it waits. */
static int prepare_copy(struct cache *cache, struct cache_job *job)
{
    uint64_t bytes = cache_copies_cost(job->path, job->sight.identity.size);
    cache_budget_refill(&cache->bytes);
    int r =
        cache_budget_has(&cache->bytes) ? cache_copies_make_room(&cache->copies, bytes) : -EAGAIN;
    if (r < 0)
        return r;
    cache_budget_spend(&cache->bytes, job->sight.identity.size);
    job->reserved_bytes = bytes;
    job->tmp_fd = cache_store_tmp(cache->copies.store);
    snprintf(job->tmp_name, sizeof(job->tmp_name), "%llu", (unsigned long long)++cache->n_tmp);
    return 0;
}

struct cache_job *cache_take_job(struct cache *cache)
{
    for (struct cache_job *job; (job = cache_jobs_take(cache->jobs));) {
        if (job->kind != CACHE_JOB_COPY)
            return job;
        if (is_overtaken(cache, job)) {
            begin_again(cache, job);
            continue;
        }
        int r = prepare_copy(cache, job);
        if (r == 0)
            return job;
        if (r == -EAGAIN)
            cache_jobs_wait(cache->jobs, job, RETRY_MS);
        else
            fail(cache, job, -ENOSPC);
    }
    return NULL;
}
