#include "sidecar/cache.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/fs.h"
#include "lib/test_hook.h"
#include "sidecar/cache_budget.h"
#include "sidecar/cache_copies.h"
#include "sidecar/cache_pins.h"

enum {
    SETTLE_MS = 2000, /* longer than any tick of a server's time stamps */
    RETRY_MS = 200,   /* while there is no room yet */
    TRIES_MAX = 3,
    LOOK_AGAIN_MS = 1000, /* at the same copy, however often it is missed */
    IDLE_MS = 20 * 1000,  /* a bounded copy that is not hit for so long is not kept fresh */
    MISSES_MAX = CACHE_RING,
    SWEEP_MS = 20,
    SPACE_MS = 1000,
    PIN_JOBS = 1024, /* that are under way for pins at once, most of them waiting */
    BUSY_TURN_MS = 100,
    BOUNDED_TURN_MS = 200,
    IDLE_TURN_MS = 1000,
};

const char *const cache_failure_names[] = {
    [CACHE_FAILED_CHANGED] = "changed", [CACHE_FAILED_GONE] = "gone",
    [CACHE_FAILED_RIGHTS] = "rights",   [CACHE_FAILED_TOO_LARGE] = "too_large",
    [CACHE_FAILED_NO_ROOM] = "no_room", [CACHE_FAILED_ERROR] = "error",
};

struct cache {
    struct cache_source source;
    struct cache_copies copies;
    struct cache_jobs *jobs;
    struct cache_pins *pins;
    struct cache_budget proofs, bytes;
    uint32_t all;     /* of the applications' marks, when it was last looked at */
    uint64_t n_tmp;   /* names in .tmp */
    int64_t space_ms; /* when the volume was last looked at */
    int64_t missed_ms;
    struct cache_stats stats;
};

/* ---- open and close ---- */

static int open_pins(struct cache *cache, const struct settings *settings, struct error *err)
{
    char path[CACHE_PATH_MAX + 1];
    int r = cache_pins_new((size_t)settings->cache_files, &cache->pins);
    for (size_t i = 0; r == 0 && i < settings->cache_pin.n; i++)
        if ((r = cache_pins_parse(settings->cache_pin.names[i], cache->source.path, path)) == 0)
            r = cache_pins_add(cache->pins, path, true);
    if (r == 0)
        cache_pins_walk(cache->pins);
    return r < 0 ? error_set_errno(err, -r, "cache.pin cannot be followed") : 0;
}

int cache_open(const struct cache_options *options, struct cache **ret_cache, struct error *err)
{
    const struct settings *settings = options->settings;
    struct cache *cache = calloc(1, sizeof(*cache));
    if (!cache)
        return error_set(err, ENOMEM, "no memory for the cache");
    cache->source = options->source;
    cache->proofs.per_second = settings->cache_bounded_rate;
    cache->bytes.per_second = settings->cache_fetch_rate_bytes;
    int r = cache_copies_open(options, &cache->copies, err);
    if (r == 0 && (r = cache_jobs_new(&cache->jobs)) < 0)
        error_set(err, ENOMEM, "no memory for the cache");
    if (r == 0)
        r = open_pins(cache, settings, err);
    if (r < 0) {
        cache_close(cache);
        return r;
    }
    cache->stats.sweeping = true;
    *ret_cache = cache;
    return 0;
}

void cache_close(struct cache *cache)
{
    if (!cache)
        return;
    cache_jobs_free(cache->jobs);
    cache_pins_free(cache->pins);
    cache_copies_close(&cache->copies);
    free(cache);
}

/* ---- what is wanted ---- */

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

static int ask(struct cache *cache, enum cache_job_kind kind, uint64_t hash, const char *path,
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

static bool is_cacheable(const struct cache *cache, const char *path)
{
    return cache_rules_find(cache->copies.rules, path)->mode != CACHE_OFF &&
           !cache_rules_exclude(path, cache->copies.settings->state_dir);
}

static void on_miss(struct cache *cache, uint64_t hash, const char *path)
{
    struct cache_copy *copy = cache_copies_find(&cache->copies, hash, path);
    int64_t now_ms = clock_now_ms();
    if (copy && copy->looked_ms && now_ms - copy->looked_ms < LOOK_AGAIN_MS)
        return;
    if (!copy && (!is_cacheable(cache, path) || cache_jobs_find(cache->jobs, hash) ||
                  !ghost_take(cache->copies.ghost, hash)))
        return;
    if (copy)
        copy->looked_ms = now_ms;
    ask(cache, CACHE_JOB_LOOK, hash, path, true);
}

static void drain_misses(struct cache *cache)
{
    char path[CACHE_PATH_MAX + 1];
    uint64_t hash;
    for (unsigned n = 0; n < MISSES_MAX && cache_map_next_miss(cache->copies.link, path, &hash);
         n++) {
        cache->missed_ms = clock_now_ms();
        on_miss(cache, hash, path);
    }
}

/* ---- what came back ---- */

static enum cache_failure failure_of(int r)
{
    switch (-r) {
    case ESTALE:
    case ECANCELED:
        return CACHE_FAILED_CHANGED;
    case ENOENT:
    case ENOTDIR:
    case ELOOP:
    case EMEDIUMTYPE:
    case EXDEV:
        return CACHE_FAILED_GONE;
    case EACCES:
    case EPERM:
        return CACHE_FAILED_RIGHTS;
    case EFBIG:
        return CACHE_FAILED_TOO_LARGE;
    case ENOSPC:
    case EDQUOT:
        return CACHE_FAILED_NO_ROOM;
    default:
        return CACHE_FAILED_ERROR;
    }
}

static void end(struct cache *cache, struct cache_job *job, int r)
{
    cache_pins_done(cache->pins, job->hash, r);
    cache_jobs_end(cache->jobs, job);
}

static void fail(struct cache *cache, struct cache_job *job, int r)
{
    enum cache_failure failure = failure_of(r);
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
static void supersede(struct cache *cache, struct cache_copy *copy)
{
    if (!copy->pinned) {
        invalidate(cache, copy);
        return;
    }
    cache->stats.invalidations += copy->listed;
    cache_copies_doubt(&cache->copies, copy);
}

/* The copy is still the file: true. */
static bool check_copy(struct cache *cache, struct cache_job *job, struct cache_copy *copy)
{
    bool same = cache_identity_equal(&copy->identity, &job->sight.identity) &&
                copy->readers == job->sight.rights.readers && copy->pinned == job->pinned;
    if (same)
        cache_copies_renew(&cache->copies, copy, job->sight.sent_ms, job->mark);
    else
        supersede(cache, copy);
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
    enum cache_failure failure = failure_of(job->result);
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
    if (r < 0)
        fail(cache, job, r);
    else
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

/* ---- what is heard ---- */

static void doubt_one(void *arg, struct cache_copy *copy)
{
    cache_copies_doubt(arg, copy);
}

void cache_doubt(struct cache *cache, const char *path)
{
    cache_index_each_under(cache->copies.index, path, doubt_one, &cache->copies);
    cache_jobs_poison_under(cache->jobs, path);
    if (*path)
        cache_pins_changed(cache->pins, path, true);
    else
        cache_pins_walk(cache->pins);
}

static uint64_t remove_under(struct cache *cache, const char *path)
{
    cache_jobs_poison_under(cache->jobs, path);
    return cache_copies_remove_under(&cache->copies, path);
}

uint64_t cache_evict(struct cache *cache, const char *path)
{
    cache_pins_walk(cache->pins); /* what is pinned comes back */
    return remove_under(cache, path);
}

/* It is not there any more, and all below it. */
static void gone(struct cache *cache, const char *path)
{
    cache->stats.invalidations += remove_under(cache, path);
    cache_pins_gone(cache->pins, path);
}

/* Is it told of the state that we have seen? Then whatever happened did so before. */
static bool is_known(const struct change *change, const struct cache_identity *identity)
{
    return change->flags & CHANGE_HAS_ATTRS && change->size == identity->size &&
           change->mtime_ns == identity->mtime_ns && change->ctime_ns == identity->ctime_ns;
}

static void file_changed(struct cache *cache, const struct change *change)
{
    uint64_t hash = cache_hash(change->path, strlen(change->path));
    struct cache_copy *copy = cache_copies_find(&cache->copies, hash, change->path);
    struct cache_job *job = cache_jobs_find(cache->jobs, hash);
    if (copy && !is_known(change, &copy->identity))
        supersede(cache, copy);
    cache_pins_changed(cache->pins, change->path, false);
    if (job && !(job->kind == CACHE_JOB_COPY && is_known(change, &job->sight.identity)))
        cache_job_poison(job);
}

void cache_change(struct cache *cache, const struct change *change)
{
    bool is_dir = change->flags & CHANGE_IS_DIR;
    if (change->op == CHANGE_RENAME && change->from)
        gone(cache, change->from);
    if (change->op == CHANGE_DELETE || (change->op == CHANGE_RENAME && is_dir))
        gone(cache, change->path);
    if (change->op == CHANGE_RENAME && is_dir)
        cache_pins_changed(cache->pins, change->path, true);
    else if (change->op == CHANGE_DELETE)
        return;
    else if (change->op == CHANGE_RESYNC || is_dir)
        cache_doubt(cache, change->path);
    else
        file_changed(cache, change);
}

/* A directory was renamed, perhaps, by an application. What each open asks EFS about is sure
 * nevertheless. */
static void doubt_unasked(void *arg, struct cache_copy *copy)
{
    if (copy->rule->mode != CACHE_VALIDATE)
        cache_copies_doubt(arg, copy);
}

static void catch_up(struct cache *cache)
{
    uint32_t all = cache_map_all(cache->copies.link);
    if (all == cache->all)
        return;
    cache_index_each_under(cache->copies.index, "", doubt_unasked, &cache->copies);
    cache->all = all;
    cache_map_caught_up(cache->copies.link, all);
}

/* ---- bounded copies ---- */

int64_t cache_prove_after_ms(int64_t bound_ms)
{
    return bound_ms - (bound_ms / 4 > 500 ? bound_ms / 4 : 500);
}

static bool is_idle(struct cache *cache, struct cache_copy *copy)
{
    int64_t idle_ms = 2 * copy->rule->bound_ms > IDLE_MS ? 2 * copy->rule->bound_ms : IDLE_MS;
    return !copy->pinned && clock_now_ms() - cache_copies_hit_ms(&cache->copies, copy) > idle_ms;
}

static void prove(struct cache *cache, struct cache_copy *copy)
{
    char path[PATH_MAX];
    if (!cache_budget_has(&cache->proofs) || cache_jobs_find(cache->jobs, copy->hash))
        return;
    if (ask(cache, CACHE_JOB_LOOK, copy->hash, cache_copy_path(copy, path), false) == 0)
        cache_budget_spend(&cache->proofs, 1);
}

static void follow_rule(struct cache *cache, size_t number)
{
    const struct cache_rule *rule = &cache->copies.rules->of[number];
    struct cache_copy *copy = TAILQ_FIRST(&cache->copies.due[number]), *next;
    int64_t now_ms = clock_now_ms();
    for (; copy; copy = next) {
        next = TAILQ_NEXT(copy, due);
        int64_t age_ms = now_ms - copy->proven_ms;
        if (age_ms < cache_prove_after_ms(rule->bound_ms))
            break;
        if (!copy->pinned && (age_ms >= rule->bound_ms || is_idle(cache, copy)))
            cache_copies_remove(&cache->copies, copy);
        else
            prove(cache, copy);
    }
}

static void follow_bounded(struct cache *cache)
{
    cache_budget_refill(&cache->proofs);
    for (size_t i = 0; i < cache->copies.rules->n; i++)
        follow_rule(cache, i);
}

/* ---- pins ---- */

static void follow_pin(struct cache *cache, const char *path, bool is_dir)
{
    uint64_t hash = cache_hash(path, strlen(path));
    const struct cache_copy *copy = cache_copies_find(&cache->copies, hash, path);
    struct cache_job *job = cache_jobs_find(cache->jobs, hash);
    bool is_there = copy && copy->listed && copy->pinned == cache_pins_has(cache->pins, path);
    bool is_cached = (is_dir && !cache_rules_exclude(path, cache->copies.settings->state_dir)) ||
                     is_cacheable(cache, path);
    if (!is_cached || (!is_dir && is_there))
        cache_pins_done(cache->pins, hash, is_cached ? 0 : -ENOENT);
    else if (job && !is_dir && job->kind != CACHE_JOB_LIST)
        job->wanted = true;
    else if (job || ask(cache, is_dir ? CACHE_JOB_LIST : CACHE_JOB_LOOK, hash, path, true) < 0)
        cache_pins_put_back(cache->pins, path);
}

static void make_version(struct cache *cache)
{
    struct cache_copies *copies = &cache->copies;
    if (copies->versions && cache_pins_take_version(cache->pins))
        cache->stats.version_error = -cache_copies_make_version(copies);
}

static void follow_pins(struct cache *cache)
{
    char path[CACHE_PATH_MAX + 1];
    const char *next;
    bool is_dir;
    cache_pins_turn(cache->pins);
    for (unsigned n = 0; n < PIN_JOBS && cache_jobs_count(cache->jobs) < PIN_JOBS &&
                         cache_pins_next(cache->pins, &next, &is_dir);
         n++) {
        memcpy(path, next, strlen(next) + 1);
        follow_pin(cache, path, is_dir);
    }
    for (unsigned n = 0; n < PIN_JOBS && cache_pins_take_gone(cache->pins, path); n++)
        remove_under(cache, path);
    make_version(cache);
}

int cache_warm(struct cache *cache, const char *path, bool pin)
{
    char below[CACHE_PATH_MAX + 1];
    int r = cache_pins_parse(path, cache->source.path, below);
    if (r == 0 && !is_cacheable(cache, below))
        r = -EINVAL;
    return r < 0 ? r : cache_pins_add(cache->pins, below, pin);
}

/* ---- turns ---- */

static void follow_space(struct cache *cache)
{
    int64_t now_ms = clock_now_ms();
    if (now_ms - cache->space_ms < SPACE_MS)
        return;
    cache->space_ms = now_ms;
    cache->stats.short_of_space = cache_copies_yield(&cache->copies);
}

void cache_turn(struct cache *cache)
{
    catch_up(cache);
    drain_misses(cache);
    follow_bounded(cache);
    follow_pins(cache);
    follow_space(cache);
    if (cache->stats.sweeping)
        cache->stats.sweeping = cache_store_sweep(cache->copies.store, SWEEP_MS);
}

static bool has_bounded(const struct cache *cache)
{
    for (size_t i = 0; i < cache->copies.rules->n; i++)
        if (!TAILQ_EMPTY(&cache->copies.due[i]))
            return true;
    return false;
}

int64_t cache_next_ms(const struct cache *cache)
{
    if (cache->stats.sweeping)
        return 0;
    if (cache_jobs_count(cache->jobs) > 0 || clock_now_ms() - cache->missed_ms < 5 * IDLE_TURN_MS)
        return BUSY_TURN_MS;
    return has_bounded(cache) ? BOUNDED_TURN_MS : IDLE_TURN_MS;
}

void cache_stats(const struct cache *cache, struct cache_stats *ret_stats)
{
    *ret_stats = cache->stats;
    ret_stats->files = cache->copies.files;
    ret_stats->bytes = cache_store_used(cache->copies.store);
    ret_stats->jobs = cache_jobs_count(cache->jobs);
    ret_stats->swept_files = cache_store_swept_files(cache->copies.store);
    ret_stats->evictions = cache->copies.evictions;
    memcpy(ret_stats->of_rule, cache->copies.of_rule, sizeof(ret_stats->of_rule));
    cache_map_counts(cache->copies.link, ret_stats->counts);
    cache_pins_progress(cache->pins, &ret_stats->pins);
}
