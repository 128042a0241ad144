#include "sidecar/cache.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "sidecar/cache_fill.h"

enum {
    LOOK_AGAIN_MS = 1000, /* at the same copy, however often it is missed */
    IDLE_MS = 20 * 1000,  /* a bounded copy that is not hit for so long is not kept fresh */
    MISSES_MAX = CACHE_RING,
    SWEEP_MS = 20,
    SPACE_MS = 1000,
    PIN_JOBS =
        CACHE_JOBS_MAX * 3 / 4, /* that are under way for pins, nearly all of them standing still */
    BUSY_TURN_MS = 100,
    BOUNDED_TURN_MS = 200,
    IDLE_TURN_MS = 1000,
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
    if (r == 0 && cache_store_has_left(cache->copies.store) &&
        (r = cache_restore_new(cache->copies.store, &cache->source, (size_t)settings->cache_files,
                               &cache->restore)) < 0)
        error_set(err, ENOMEM, "no memory for the cache");
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
    cache_restore_free(cache->restore);
    cache_pins_free(cache->pins);
    cache_copies_close(&cache->copies);
    free(cache);
}

/* ---- what is wanted ---- */

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
    cache_fill_ask(cache, CACHE_JOB_LOOK, hash, path, true);
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

static void doubt_pinned(void *arg, struct cache_copy *copy)
{
    if (copy->pinned)
        cache_copies_doubt(arg, copy);
}

void cache_begin_to_hear(struct cache *cache)
{
    cache_index_each_under(cache->copies.index, "", doubt_pinned, &cache->copies);
    cache_jobs_poison_under(cache->jobs, "");
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
        cache_fill_supersede(cache, copy);
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
    if (cache_fill_ask(cache, CACHE_JOB_LOOK, copy->hash, cache_copy_path(copy, path), false) == 0)
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
    else if (job ||
             cache_fill_ask(cache, is_dir ? CACHE_JOB_LIST : CACHE_JOB_LOOK, hash, path, true) < 0)
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
    if (cache->restore) /* what is there is not to be fetched */
        return;
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

void cache_report(struct cache *cache, const char *const *paths, size_t n_paths,
                  struct cache_pins_report *ret_report)
{
    char below[CACHE_PATH_MAX + 1];
    for (size_t i = 0; i < n_paths; i++)
        if (cache_pins_parse(paths[i], cache->source.path, below) == 0)
            cache_pins_report_on(cache->pins, below);
    cache_pins_report(cache->pins, ret_report);
}

/* ---- what an earlier sidecar left ---- */

/* EFS is asked about it next, as if something was heard of it. */
static bool keep_pinned(void *arg, const char *path, const struct cache_identity *identity,
                        enum cache_readers readers)
{
    struct cache *cache = arg;
    if (!cache_pins_has(cache->pins, path) || !is_cacheable(cache, path))
        return false;
    int r = cache_copies_restore(&cache->copies, path, identity, readers);
    if (r == 0)
        cache_pins_changed(cache->pins, path, false);
    return r == 0 || r == -EEXIST;
}

static void clear_up(struct cache *cache)
{
    if (!cache->restore)
        cache->stats.sweeping = cache_store_sweep(cache->copies.store, SWEEP_MS);
    else if (!cache_restore_turn(cache->restore, SWEEP_MS, keep_pinned, cache)) {
        cache_restore_free(cache->restore);
        cache->restore = NULL;
    }
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
        clear_up(cache);
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
