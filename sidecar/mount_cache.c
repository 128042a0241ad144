#include "sidecar/mount_cache.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/bytes.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "shim/cache_writer.h"
#include "sidecar/mount_chores.h"
#include "sidecar/taskdirs.h"

enum {
    FETCH_THREADS = 8,
    FETCHES_MAX = 64, /* with workers or queued for them */
    KEEPER_QUEUE = 2,
    OPEN_RETRY_MS = 10 * 1000,
    SUBMIT_RETRY_MS = 1000,
    CHANGES_BYTES = 64 * 1024, /* in one turn; the rest waits in the feed */
};

STAILQ_HEAD(command_list, cache_command);
TAILQ_HEAD(job_list, cache_job);

enum state { NO_ROOT, NO_CACHE, OPEN };

struct mount_cache {
    struct mount_work *work;
    struct work_pool *keeper, *fetchers;
    struct event *keeper_event, *fetchers_event, *timer;
    struct feed_reader reader;
    struct feed_subscriber subscriber;

    struct cache_rules rules;
    enum state state;
    struct cache *cache; /* the keeper's while it is busy */
    bool keeper_busy;    /* or asking for the root */
    bool again;          /* something came up while it was */
    bool changes_lost;
    bool moved; /* the mount is another one */
    int64_t open_at_ms;
    struct error err; /* why it is not open */

    unsigned fetching;
    struct job_list finished;
    struct command_list commands;
    unsigned n_commands;
    struct cache_stats stats;
    struct own_calls own;
    int64_t opened_ms;
    uint64_t counted_looks, counted_fetches, counted_bytes, counted_reads;
};

/* ---- settings ---- */

void mount_cache_check(const struct settings *settings, struct config_report *report)
{
    struct cache_rules rules;
    struct error err;
    if (cache_rules_parse(&settings->cache_rules, &rules, &err) < 0)
        config_error(report, "cache.rules: %s", err.text);
    if (settings->profile == PROFILE_CACHE && !*settings->cache_dir)
        config_error(report, "cache.dir: it must not be empty in the profile cache");
}

/* ---- how it is ---- */

static void judge(struct mount_work *work)
{
    struct mount_cache *own = work->mount_cache;
    const struct settings *settings = work->options.settings;
    const char *what;
    int64_t busy_ms = work_pool_oldest_ms(own->keeper, &what);
    if (busy_ms > settings->stall_after_ms)
        conditions_set(&work->conditions, CONDITION_CACHE_READY, CONDITION_FALSE, "DiskHangs",
                       "%s (cache.dir) does not answer: %s has not come back for %lld s. Nothing "
                       "is copied; opens of what has no copy go to EFS",
                       settings->cache_dir, what, (long long)busy_ms / 1000);
    else if (own->state != OPEN && own->err.code)
        conditions_set(&work->conditions, CONDITION_CACHE_READY, CONDITION_FALSE, "NotOpened",
                       "%s. It is tried again; all opens go to EFS meanwhile", own->err.text);
    else if (own->state != OPEN)
        conditions_set(&work->conditions, CONDITION_CACHE_READY, CONDITION_UNKNOWN, "Starting",
                       "the mount has not answered yet");
    else if (own->stats.short_of_space)
        conditions_set(&work->conditions, CONDITION_CACHE_READY, CONDITION_FALSE, "DiskFull",
                       "the volume of %s (cache.dir) has less than %lld %% left (cache.min_free), "
                       "also without any copy: others fill it. Nothing is copied until there is "
                       "room",
                       settings->cache_dir, (long long)settings->cache_min_free_percent);
    else
        conditions_set(&work->conditions, CONDITION_CACHE_READY, CONDITION_TRUE, "Ready", "%s", "");
}

/* ---- asking for the mount's root ---- */

struct root_call {
    struct mount_cache *own;
    const char *path;
    struct cache_root root;
};

static void kick(struct mount_cache *own)
{
    event_active(own->timer, EV_TIMEOUT, 0);
}

static int run_root(void *arg)
{
    struct root_call *call = arg;
    return cache_fetch_root(call->path, &call->root);
}

static struct cache_options options_of(struct mount_cache *own, const struct cache_root *root)
{
    struct mount_work *work = own->work;
    const struct settings *settings = work->options.settings;
    return (struct cache_options){
        .settings = settings,
        .name = work->name,
        .rules = &own->rules,
        .source = {.path = work->place.path,
                   .as = settings->cache_as,
                   .root = *root,
                   .nfs = work->facts.nfs},
    };
}

static void open_cache(struct mount_cache *own, const struct cache_root *root);

static void root_done(void *arg, enum work_outcome outcome, int result)
{
    struct root_call *call = arg;
    struct mount_cache *own = call->own;
    own->keeper_busy = false;
    own->open_at_ms = clock_now_ms() + OPEN_RETRY_MS;
    if (outcome == WORK_DONE && result == 0)
        open_cache(own, &call->root);
    else if (outcome == WORK_DONE)
        error_set_errno(&own->err, -result, "%s cannot be read", call->path);
}

static void ask_root(struct mount_cache *own)
{
    static const struct job job = {
        .what = "looking at the root for the cache",
        .run = run_root,
        .done = root_done,
        .release = free,
    };
    struct root_call *call = calloc(1, sizeof(*call));
    if (!call)
        return;
    *call = (struct root_call){.own = own, .path = own->work->place.path};
    if (work_pool_submit(own->fetchers, &job, call, CLOCK_NEVER) < 0)
        free(call);
    else
        own->keeper_busy = true;
}

/* ---- opening ---- */

struct open_call {
    struct mount_cache *own;
    struct cache_options options;
    struct cache *old, *cache;
    struct error err;
};

/* All mounts are in the one list, so each writes the same. */
static int write_mounts(const struct settings *settings, struct error *err)
{
    char names[CONFIG_MOUNTS_MAX][CACHE_NAME_MAX + 1],
        path[CONFIG_TEXT_MAX + sizeof("/" CACHE_CONTROL)];
    const char *all_names[CONFIG_MOUNTS_MAX], *paths[CONFIG_MOUNTS_MAX];
    int r = 0;
    for (size_t i = 0; r == 0 && i < settings->mounts.n; i++) {
        paths[i] = settings->mounts.mounts[i].path;
        all_names[i] = names[i];
        r = taskdirs_link_name(paths[i], names[i], sizeof(names[i]));
    }
    snprintf(path, sizeof(path), "%s/" CACHE_CONTROL, settings->cache_dir);
    _cleanup_close_ int fd = r < 0 ? -1 : open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (r == 0)
        r = fd < 0 ? -errno : cache_mounts_write(fd, all_names, paths, settings->mounts.n);
    if (r < 0)
        return error_set_errno(err, -r, "cache.dir: %s/" CACHE_MOUNTS_FILE " cannot be written",
                               path);
    return 0;
}

static int run_open(void *arg)
{
    struct open_call *call = arg;
    cache_close(take_ptr(call->old));
    int r = cache_open(&call->options, &call->cache, &call->err);
    return r == 0 ? write_mounts(call->options.settings, &call->err) : r;
}

static void open_done(void *arg, enum work_outcome outcome, int result)
{
    struct open_call *call = arg;
    struct mount_cache *own = call->own;
    if (outcome != WORK_DONE)
        return;
    own->keeper_busy = false;
    own->cache = call->cache;
    if (result < 0) {
        own->err = call->err;
        return;
    }
    own->state = OPEN;
    own->opened_ms = clock_now_ms();
    own->stats = (struct cache_stats){.sweeping = true};
    own->err.code = 0;
    feed_seek(own->work->feed, NULL, &own->reader);
    judge(own->work);
    kick(own);
}

static void open_cache(struct mount_cache *own, const struct cache_root *root)
{
    static const struct job job = {
        .what = "opening the cache",
        .run = run_open,
        .done = open_done,
        .release = free,
    };
    struct open_call *call = calloc(1, sizeof(*call));
    if (!call)
        return;
    *call = (struct open_call){.own = own, .options = options_of(own, root), .old = own->cache};
    if (work_pool_submit(own->keeper, &job, call, CLOCK_NEVER) < 0) {
        free(call);
        return;
    }
    own->cache = NULL;
    own->keeper_busy = true;
}

/* ---- fetching ---- */

struct fetch_call {
    struct mount_cache *own;
    struct cache_job *job;
};

static int run_fetch(void *arg)
{
    const struct fetch_call *call = arg;
    cache_job_run(call->job);
    return 0;
}

static void fetch_done(void *arg, enum work_outcome outcome, int result)
{
    const struct fetch_call *call = arg;
    struct mount_cache *own = call->own;
    if (outcome != WORK_DONE)
        return;
    own->fetching--;
    TAILQ_INSERT_TAIL(&own->finished, call->job, queue);
    if (call->job->result == -EXDEV)
        own->moved = true;
    kick(own);
}

static void fetch(struct mount_cache *own, struct cache_job *job)
{
    static const struct job fetch_job = {
        .what = "copying a file into the cache",
        .run = run_fetch,
        .done = fetch_done,
        .release = free,
    };
    struct fetch_call *call = calloc(1, sizeof(*call));
    if (call)
        *call = (struct fetch_call){.own = own, .job = job};
    if (call && work_pool_submit(own->fetchers, &fetch_job, call, CLOCK_NEVER) == 0) {
        own->fetching++;
        return;
    }
    free(call);
    job->result = -ENOMEM;
    TAILQ_INSERT_TAIL(&own->finished, job, queue);
}

/* ---- a turn ---- */

struct turn_call {
    struct mount_cache *own;
    struct cache *cache;
    bool doubt_all;
    size_t changes_bytes;
    struct job_list finished, taken;
    unsigned take_max;
    struct command_list commands;
    struct cache_stats stats;
    int64_t next_ms;
    uint8_t changes[CHANGES_BYTES]; /* a u32 of length before each */
};

static void apply_changes(struct turn_call *call)
{
    struct change change;
    const uint8_t *p = call->changes, *end = p + call->changes_bytes;
    while (p < end) {
        uint32_t length = get_le32(p);
        if (change_decode(p + sizeof(length), length, &change) == 0)
            cache_change(call->cache, &change);
        p += sizeof(length) + length;
    }
    if (call->doubt_all)
        cache_doubt(call->cache, "");
}

static void obey(struct turn_call *call)
{
    struct cache_command *command;
    STAILQ_FOREACH(command, &call->commands, link)
    {
        for (size_t i = 0; i < command->n_paths; i++) {
            if (command->kind == CACHE_COMMAND_EVICT)
                command->copies += cache_evict(call->cache, command->paths[i]);
            else if (cache_want(call->cache, command->paths[i]) == 0)
                command->copies++;
            else
                command->refused++;
        }
    }
}

static int run_turn(void *arg)
{
    struct turn_call *call = arg;
    struct cache_job *job;
    apply_changes(call);
    while ((job = TAILQ_FIRST(&call->finished))) {
        TAILQ_REMOVE(&call->finished, job, queue);
        cache_finish(call->cache, job);
    }
    obey(call);
    cache_turn(call->cache);
    for (unsigned n = 0; n < call->take_max && (job = cache_take_job(call->cache)); n++)
        TAILQ_INSERT_TAIL(&call->taken, job, queue);
    cache_stats(call->cache, &call->stats);
    call->next_ms = cache_next_ms(call->cache);
    return 0;
}

static void count_own(struct mount_cache *own)
{
    const struct cache_stats *stats = &own->stats;
    uint64_t looks = stats->looks - own->counted_looks;
    uint64_t fetches = stats->fetches - own->counted_fetches;
    uint64_t bytes = stats->fetched_bytes - own->counted_bytes;
    uint64_t reads = stats->read_calls - own->counted_reads;
    struct own_calls *const sums[] = {&own->own, &own->work->own};
    for (size_t i = 0; i < ARRAY_LEN(sums); i++) {
        own_calls_add(sums[i], OWN_CACHE_LOOK, looks);
        own_calls_add(sums[i], OWN_CACHE_COPY, fetches);
        own_calls_add_read(sums[i], reads, bytes);
    }
    own->counted_looks += looks;
    own->counted_fetches += fetches;
    own->counted_bytes += bytes;
    own->counted_reads += reads;
}

static void wake_in(struct mount_cache *own, int64_t ms)
{
    const struct timeval in = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
    event_add(own->timer, &in);
}

static void tell_swept(const struct mount_cache *own, const struct cache_stats *now)
{
    if (own->stats.sweeping && !now->sweeping && now->swept_files > 0)
        log_info("%llu files that an earlier sidecar left in the cache of %s are removed",
                 (unsigned long long)now->swept_files, own->work->place.path);
}

static void turn_done(void *arg, enum work_outcome outcome, int result)
{
    struct turn_call *call = arg;
    struct mount_cache *own = call->own;
    struct cache_job *job;
    struct cache_command *command;
    if (outcome != WORK_DONE)
        return;
    own->keeper_busy = false;
    tell_swept(own, &call->stats);
    own->stats = call->stats;
    count_own(own);
    while ((job = TAILQ_FIRST(&call->taken))) {
        TAILQ_REMOVE(&call->taken, job, queue);
        fetch(own, job);
    }
    while ((command = STAILQ_FIRST(&call->commands))) {
        STAILQ_REMOVE_HEAD(&call->commands, link);
        own->n_commands--;
        command->done(command);
    }
    if (own->again || !TAILQ_EMPTY(&own->finished))
        kick(own);
    else
        wake_in(own, call->next_ms);
    own->again = false;
}

/* What the feed has said since the last turn, as much as fits. */
static void take_changes(struct mount_cache *own, struct turn_call *call)
{
    struct change change;
    int r = 0;
    call->doubt_all = own->changes_lost;
    own->changes_lost = false;
    while (call->changes_bytes + sizeof(uint32_t) + CHANGE_ENCODED_MAX <= CHANGES_BYTES &&
           (r = feed_next(own->work->feed, &own->reader, &change)) != 0) {
        uint8_t *p = call->changes + call->changes_bytes;
        int n = r < 0 ? -1 : change_encode(&change, p + sizeof(uint32_t), CHANGE_ENCODED_MAX);
        if (n < 0) {
            call->doubt_all = true;
            continue;
        }
        put_le32(p, (uint32_t)n);
        call->changes_bytes += sizeof(uint32_t) + (size_t)n;
    }
    own->again = r == 1; /* there may be more */
}

static bool may_ask(const struct mount_cache *own)
{
    const struct mount_facts *facts = &own->work->facts;
    return mount_is_usable(facts) && facts->answered && facts->stalled_ms == 0 && !own->moved &&
           !own->work->stopping;
}

static void begin_turn(struct mount_cache *own)
{
    static const struct job job = {
        .what = "a turn of the cache",
        .run = run_turn,
        .done = turn_done,
        .release = free,
    };
    struct turn_call *call = malloc(sizeof(*call));
    if (!call)
        return;
    memset(call, 0, offsetof(struct turn_call, changes));
    call->own = own;
    call->cache = own->cache;
    call->take_max = may_ask(own) ? FETCHES_MAX - own->fetching : 0;
    TAILQ_INIT(&call->finished);
    TAILQ_INIT(&call->taken);
    STAILQ_INIT(&call->commands);
    take_changes(own, call);
    TAILQ_CONCAT(&call->finished, &own->finished, queue);
    STAILQ_CONCAT(&call->commands, &own->commands);
    own->keeper_busy = true;
    if (work_pool_submit(own->keeper, &job, call, CLOCK_NEVER) == 0)
        return;
    TAILQ_CONCAT(&own->finished, &call->finished, queue);
    STAILQ_CONCAT(&own->commands, &call->commands);
    own->keeper_busy = false;
    own->changes_lost = call->doubt_all || call->changes_bytes > 0;
    wake_in(own, SUBMIT_RETRY_MS);
    free(call);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct mount_cache *own = arg;
    if (own->keeper_busy)
        own->again = true;
    else if (own->state == OPEN)
        begin_turn(own);
}

/* ---- the loop's side ---- */

static void on_change(void *arg)
{
    kick(arg);
}

/* The mount was mounted anew: what was copied belongs to another one. */
static void leave_old_mount(struct mount_cache *own)
{
    if (!own->moved || own->keeper_busy || own->fetching > 0)
        return;
    log_info("%s is another mount now: its cache begins anew", own->work->place.path);
    TAILQ_INIT(&own->finished); /* they are the old cache's, and end with it */
    own->moved = false;
    own->state = NO_ROOT;
    own->open_at_ms = 0;
}

void mount_cache_follow(struct mount_work *work)
{
    struct mount_cache *own = work->mount_cache;
    if (!own)
        return;
    leave_old_mount(own);
    if (own->state != OPEN && !own->keeper_busy && may_ask(own) &&
        clock_now_ms() >= own->open_at_ms)
        ask_root(own);
    judge(work);
}

static uint64_t misses(const struct cache_stats *stats)
{
    uint64_t n = 0;
    for (enum cache_count what = CACHE_HITS + 1; what < CACHE_WRITES_COUNT; what++)
        n += stats->counts[what];
    return n;
}

void mount_cache_count(struct mount_work *work)
{
    struct mount_cache *own = work->mount_cache;
    if (!own)
        return;
    const struct cache_stats *stats = &own->stats;
    uint64_t failed = 0;
    for (size_t i = 0; i < CACHE_FAILURES; i++)
        failed += stats->failed[i];
    metrics_count_total(work->metrics, METRIC_CACHE_HITS, stats->counts[CACHE_HITS]);
    metrics_count_total(work->metrics, METRIC_CACHE_MISSES, misses(stats));
    metrics_count_total(work->metrics, METRIC_CACHE_BYPASSED,
                        stats->counts[CACHE_WRITES_COUNT] + stats->counts[CACHE_UNUSUAL_COUNT]);
    metrics_set(work->metrics, METRIC_CACHE_BYTES, (double)stats->bytes);
    metrics_set(work->metrics, METRIC_CACHE_FILES, (double)stats->files);
    metrics_count_total(work->metrics, METRIC_CACHE_FETCHES, stats->fetches);
    metrics_count_total(work->metrics, METRIC_CACHE_FETCH_FAILED, failed);
    metrics_count_total(work->metrics, METRIC_CACHE_EVICTIONS, stats->evictions);
}

void mount_cache_view(const struct mount_cache *own, struct mount_cache_view *ret_view)
{
    *ret_view = (struct mount_cache_view){
        .name = own->work->name,
        .is_open = own->state == OPEN,
        .rules = &own->rules,
        .stats = &own->stats,
        .open_ms = own->state == OPEN ? clock_now_ms() - own->opened_ms : 0,
        .own = &own->own,
    };
}

int mount_cache_command(struct mount_cache *own, struct cache_command *command)
{
    if (own->state != OPEN || own->n_commands == CACHE_COMMANDS_MAX)
        return -EAGAIN;
    STAILQ_INSERT_TAIL(&own->commands, command, link);
    own->n_commands++;
    kick(own);
    return 0;
}

/* ---- open and close ---- */

static void on_pool(evutil_socket_t fd, short what, void *arg)
{
    work_pool_dispatch(arg);
}

static int open_pool(struct mount_work *work, unsigned n_threads, unsigned queue_max,
                     struct work_pool **ret_pool, struct event **ret_event)
{
    int r = work_pool_open(work->name, n_threads, queue_max, ret_pool);
    if (r < 0)
        return r;
    *ret_event = event_new(work->options.base, work_pool_fd(*ret_pool), EV_READ | EV_PERSIST,
                           on_pool, *ret_pool);
    return *ret_event && event_add(*ret_event, NULL) == 0 ? 0 : -ENOMEM;
}

int mount_cache_open(struct mount_work *work)
{
    struct error err;
    if (work->options.settings->profile != PROFILE_CACHE)
        return 0;
    struct mount_cache *own = calloc(1, sizeof(*own));
    if (!own)
        return -ENOMEM;
    work->mount_cache = own;
    own->work = work;
    own->subscriber = (struct feed_subscriber){.wake = on_change, .arg = own};
    TAILQ_INIT(&own->finished);
    STAILQ_INIT(&own->commands);
    feed_subscribe(work->feed, &own->subscriber);
    int r = cache_rules_parse(&work->options.settings->cache_rules, &own->rules, &err);
    own->timer = event_new(work->options.base, -1, 0, on_timer, own);
    if (r == 0 && !own->timer)
        r = -ENOMEM;
    if (r == 0)
        r = open_pool(work, 1, KEEPER_QUEUE, &own->keeper, &own->keeper_event);
    if (r == 0)
        r = open_pool(work, FETCH_THREADS, FETCHES_MAX + 1, &own->fetchers, &own->fetchers_event);
    return r;
}

static void free_event(struct event *event)
{
    if (event)
        event_free(event);
}

int mount_cache_close(struct mount_work *work, int64_t timeout_ms)
{
    struct mount_cache *own = work->mount_cache;
    int64_t until_ms = clock_now_ms() + timeout_ms;
    if (!own)
        return 0;
    feed_unsubscribe(&own->subscriber);
    free_event(own->keeper_event);
    free_event(own->fetchers_event);
    int r = work_pool_close(own->fetchers, timeout_ms);
    if (work_pool_close(own->keeper, clock_poll_timeout(until_ms)) < 0 || r < 0)
        return -EBUSY;
    for (struct cache_command *command; (command = STAILQ_FIRST(&own->commands));) {
        STAILQ_REMOVE_HEAD(&own->commands, link);
        command->done(command);
    }
    free_event(own->timer); /* the ends of calls used it until now */
    cache_close(own->cache);
    free(own);
    return 0;
}
