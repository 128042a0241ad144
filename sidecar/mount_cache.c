#include "sidecar/mount_cache.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/fs.h"
#include "lib/log.h"
#include "shim/cache_writer.h"
#include "sidecar/mount_cache_turn.h"
#include "sidecar/taskdirs.h"

enum {
    FETCH_THREADS = 8,
    KEEPER_QUEUE = 2,
    OPEN_RETRY_MS = 10 * 1000,
};

/* ---- how it is ---- */

void mount_cache_judge(struct mount_work *work)
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
    else if (!own->is_open && own->err.code)
        conditions_set(&work->conditions, CONDITION_CACHE_READY, CONDITION_FALSE, "NotOpened",
                       "%s. It is tried again; all opens go to EFS meanwhile", own->err.text);
    else if (!own->is_open)
        conditions_set(&work->conditions, CONDITION_CACHE_READY, CONDITION_UNKNOWN, "Starting",
                       "the mount has not answered yet");
    else if (own->stats.short_of_space)
        conditions_set(&work->conditions, CONDITION_CACHE_READY, CONDITION_FALSE, "DiskFull",
                       "the volume of %s (cache.dir) has less than %lld %% left (cache.min_free), "
                       "also without any copy: others fill it. Nothing is copied until there is "
                       "room",
                       settings->cache_dir, (long long)settings->cache_min_free_percent);
    else if (own->stats.last_error == EROFS)
        conditions_set(&work->conditions, CONDITION_CACHE_READY, CONDITION_FALSE, "DiskReadOnly",
                       "the volume of %s (cache.dir) is read-only, as a file system becomes when "
                       "its disk fails: nothing is copied, and opens go to EFS",
                       settings->cache_dir);
    else if (!own->has_warmed)
        conditions_set(&work->conditions, CONDITION_CACHE_READY, CONDITION_FALSE, "Warming",
                       "%llu of the files that are pinned or warmed have no copy yet; their opens "
                       "go to EFS",
                       (unsigned long long)(own->stats.pins.files - own->stats.pins.done -
                                            own->stats.pins.failed));
    else
        conditions_set(&work->conditions, CONDITION_CACHE_READY, CONDITION_TRUE, "Ready", "%s", "");
}

/* ---- asking for the mount's root ---- */

enum { WARM_LIST_MAX = 1024 * 1024 };

struct root_call {
    struct mount_cache *own;
    const char *path, *warm_path;
    struct cache_root root;
    char *warm_list;
    int warm_result;
};

static void free_root(void *arg)
{
    struct root_call *call = arg;
    free(call->warm_list);
    free(call);
}

static int run_root(void *arg)
{
    struct root_call *call = arg;
    int r = cache_fetch_root(call->path, &call->root);
    if (r == 0 && *call->warm_path) /* it may lie on the mount */
        call->warm_result =
            fs_read_file(AT_FDCWD, call->warm_path, WARM_LIST_MAX, &call->warm_list, NULL);
    return r;
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

static void open_cache(struct mount_cache *own, struct root_call *root);

static void root_done(void *arg, enum work_outcome outcome, int result)
{
    struct root_call *call = arg;
    struct mount_cache *own = call->own;
    own->keeper_busy = false;
    own->open_at_ms = clock_now_ms() + OPEN_RETRY_MS;
    if (outcome == WORK_DONE && result == 0)
        open_cache(own, call);
    else if (outcome == WORK_DONE)
        error_set_errno(&own->err, -result, "%s cannot be read", call->path);
}

static void ask_root(struct mount_cache *own)
{
    static const struct job job = {
        .what = "looking at the root for the cache",
        .run = run_root,
        .done = root_done,
        .release = free_root,
    };
    struct root_call *call = calloc(1, sizeof(*call));
    if (!call)
        return;
    *call = (struct root_call){
        .own = own,
        .path = own->work->place.path,
        .warm_path = own->work->options.settings->cache_warm,
    };
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
    char *warm_list;
    struct error err;
};

static void free_open(void *arg)
{
    struct open_call *call = arg;
    free(call->warm_list);
    free(call);
}

/* A path a line; those of other mounts are not there. */
static void warm(struct cache *cache, char *list)
{
    char *rest;
    for (char *line = strtok_r(list, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        if (*line != '#')
            cache_warm(cache, line, false);
    }
}

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
    if (r == 0 && call->warm_list)
        warm(call->cache, call->warm_list);
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
    own->is_open = true;
    own->opened_ms = clock_now_ms();
    own->stats = (struct cache_stats){.sweeping = true};
    own->err.code = 0;
    feed_seek(own->work->feed, NULL, &own->reader);
    mount_cache_kick(own);
}

static void open_cache(struct mount_cache *own, struct root_call *root)
{
    static const struct job job = {
        .what = "opening the cache",
        .run = run_open,
        .done = open_done,
        .release = free_open,
    };
    struct open_call *call = calloc(1, sizeof(*call));
    if (!call)
        return;
    if (root->warm_result < 0)
        log_warn("cache.warm: %s cannot be read: %s", root->warm_path,
                 error_name(-root->warm_result));
    *call = (struct open_call){
        .own = own,
        .options = options_of(own, &root->root),
        .old = own->cache,
    };
    call->warm_list = take_ptr(root->warm_list);
    if (work_pool_submit(own->keeper, &job, call, CLOCK_NEVER) < 0) {
        free_open(call);
        return;
    }
    own->cache = NULL;
    own->keeper_busy = true;
}

/* ---- the loop's side ---- */

static void on_change(void *arg)
{
    mount_cache_kick(arg);
}

/* The mount was mounted anew: what was copied belongs to another one. */
static void leave_old_mount(struct mount_cache *own)
{
    if (!own->moved || own->keeper_busy || own->fetching > 0)
        return;
    log_info("%s is another mount now: its cache begins anew", own->work->place.path);
    TAILQ_INIT(&own->finished); /* they are the old cache's, and end with it */
    own->moved = false;
    own->is_open = false;
    own->open_at_ms = 0;
}

/* A cache that is older than the watches has missed what happened before them. */
static void listen_for_first(struct mount_cache *own)
{
    struct watcher_status watch;
    if (own->hears || !own->work->watcher)
        return;
    watcher_status(own->work->watcher, &watch);
    own->hears = watch.state == WATCHER_READY;
    own->begins_to = own->hears;
    if (own->hears)
        mount_cache_kick(own);
}

void mount_cache_follow(struct mount_work *work)
{
    struct mount_cache *own = work->mount_cache;
    if (!own)
        return;
    leave_old_mount(own);
    listen_for_first(own);
    if (!own->is_open && !own->keeper_busy && mount_cache_may_ask(own) &&
        clock_now_ms() >= own->open_at_ms)
        ask_root(own);
    mount_cache_judge(work);
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
        .is_open = own->is_open,
        .rules = &own->rules,
        .stats = &own->stats,
        .open_ms = own->is_open ? clock_now_ms() - own->opened_ms : 0,
        .own = &own->own,
    };
}

bool mount_cache_is_warming(const struct mount_cache *own)
{
    return !own->has_warmed;
}

int mount_cache_command(struct mount_cache *own, struct cache_command *command)
{
    if (!own->is_open || own->n_commands == CACHE_COMMANDS_MAX)
        return -EAGAIN;
    STAILQ_INSERT_TAIL(&own->commands, command, link);
    own->n_commands++;
    mount_cache_kick(own);
    return 0;
}

/* ---- open and close ---- */

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
    int r = cache_rules_parse(&work->options.settings->cache_rules, work->place.path, &own->rules,
                              &err);
    own->timer = event_new(work->options.base, -1, 0, mount_cache_on_timer, own);
    if (r == 0 && !own->timer)
        r = -ENOMEM;
    if (r == 0)
        r = mount_work_open_own_pool(work, 1, KEEPER_QUEUE, &own->keeper, &own->keeper_event);
    if (r == 0)
        r = mount_work_open_own_pool(work, FETCH_THREADS, CACHE_FETCHES_MAX + 1, &own->fetchers,
                                     &own->fetchers_event);
    return r;
}

/* ---- the end ---- */

struct last_call {
    struct mount_cache *own;
    struct cache_stats stats;
};

static int run_last(void *arg)
{
    struct last_call *call = arg;
    cache_stats(call->own->cache, &call->stats);
    return 0;
}

static void last_done(void *arg, enum work_outcome outcome, int result)
{
    struct last_call *call = arg;
    call->own->reads_last = false;
    if (outcome != WORK_DONE)
        return;
    call->own->stats = call->stats;
    mount_cache_count(call->own->work);
}

/* What applications counted since the last turn belongs into the last metrics. */
static void read_last(struct mount_cache *own, int64_t until_ms)
{
    static const struct job job = {
        .what = "reading the last counts of the cache",
        .run = run_last,
        .done = last_done,
        .release = free,
    };
    struct last_call *call = own->is_open ? calloc(1, sizeof(*call)) : NULL;
    if (!call)
        return;
    call->own = own;
    if (work_pool_submit(own->keeper, &job, call, CLOCK_NEVER) < 0) {
        free(call);
        return;
    }
    own->reads_last = true;
    for (int ms; own->reads_last && (ms = clock_poll_timeout(until_ms)) > 0;) {
        poll(&(struct pollfd){.fd = work_pool_fd(own->keeper), .events = POLLIN}, 1, ms);
        work_pool_dispatch(own->keeper);
    }
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
    if (own->keeper)
        read_last(own, until_ms);
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
