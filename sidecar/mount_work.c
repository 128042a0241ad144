#include "sidecar/mount_work.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "sidecar/mount_cache.h"
#include "sidecar/mount_chores.h"
#include "sidecar/mount_claims.h"
#include "sidecar/mount_locks.h"
#include "sidecar/mount_member.h"
#include "sidecar/mount_publish.h"
#include "sidecar/taskdirs.h"

enum {
    FILE_THREADS = 2, /* a canary that hangs leaves one for the others */
    FILE_QUEUE = 64,
};

/* ---- what follows from what is known ---- */

static void find_stall(struct mount_work *work)
{
    const char *what, *lock_what = NULL;
    int64_t oldest_ms = work_pool_oldest_ms(work->files, &what), lock_ms = 0;
    if (work->locks)
        lock_ms = work_pool_oldest_ms(work->locks, &lock_what);
    if (lock_ms > oldest_ms) {
        oldest_ms = lock_ms;
        what = lock_what;
    }
    if (work->lease)
        lease_note_silence(work->lease, oldest_ms);
    bool stalled = oldest_ms > work->facts.stall_after_ms;
    work->facts.stalled_ms = stalled ? oldest_ms : 0;
    work->facts.stalled_call = stalled ? what : NULL;
}

/* What the lease and efs-watch asked of the server since the last time. */
static void add_growth(struct mount_work *work, enum own_kind kind, uint64_t now, uint64_t *counted)
{
    if (now > *counted) /* a new child begins at 0 */
        own_calls_add(&work->own, kind, now - *counted);
    *counted = now;
}

static void count_own(struct mount_work *work, const struct watch_status *child)
{
    add_growth(work, OWN_PROOF, work->lease ? lease_proofs(work->lease) : 0, &work->counted.proofs);
    add_growth(work, OWN_WATCH, child->directories, &work->counted.dirs);
    add_growth(work, OWN_POLL, child->feed.polls, &work->counted.polls);
    add_growth(work, OWN_BOARD_READ, child->feed.board_reads, &work->counted.board_reads);
    if (!work->facts.nfs)
        return;
    metrics_count_total(work->metrics, METRIC_SIDECAR_CALLS, work->own.calls);
    metrics_count_total(work->metrics, METRIC_SIDECAR_METERED_BYTES, work->own.metered_bytes);
    metrics_count_total(work->metrics, METRIC_SIDECAR_METERED_WRITTEN_BYTES,
                        work->own.metered_written_bytes);
}

static void count_feed(struct mount_work *work, const struct watcher_status *watch)
{
    const struct watch_feed_status *feed = &watch->child.feed;
    int64_t staleness_ms = watcher_staleness_ms(watch);
    if (staleness_ms >= 0)
        metrics_set(work->metrics, METRIC_FEED_STALENESS, (double)staleness_ms);
    metrics_set(work->metrics, METRIC_FEED_PEERS, feed->peers);
    metrics_set(work->metrics, METRIC_ANNOUNCE_PENDING, feed->announce_pending);
    metrics_count_total(work->metrics, METRIC_FEED_RECORDS, feed->records);
    metrics_count_total(work->metrics, METRIC_FEED_GAPS, feed->gaps);
    metrics_count_total(work->metrics, METRIC_FEED_POLLS, feed->polls);
    metrics_count_total(work->metrics, METRIC_ANNOUNCED, feed->announced);
}

static void count_watch(struct mount_work *work, const struct watcher_status *watch)
{
    metrics_count_total(work->metrics, METRIC_WATCH_CHANGES, watch->changes);
    metrics_count_total(work->metrics, METRIC_WATCH_OVERFLOWS, watch->child.overflows);
    metrics_count_total(work->metrics, METRIC_WATCH_RESTARTS, watch->restarts);
    metrics_set(work->metrics, METRIC_WATCHED_DIRS, watch->child.directories);
    metrics_set(work->metrics, METRIC_BLIND_DIRS, watch->child.blind);
}

void mount_work_count(struct mount_work *work)
{
    bool ready = work->conditions.of[CONDITION_MOUNT_READY].status == CONDITION_TRUE;
    metrics_set(work->metrics, METRIC_MOUNT_READY, ready);
    metrics_set(work->metrics, METRIC_MOUNT_STALLED, work->facts.stalled_ms > 0);
    struct watcher_status watch = {0};
    if (work->watcher) {
        watcher_status(work->watcher, &watch);
        count_watch(work, &watch);
        count_feed(work, &watch);
    }
    count_own(work, &watch.child);
    mount_locks_count(work);
    mount_claims_count(work);
    mount_cache_count(work);
    mount_tasks_count(work);
}

static void follow(struct mount_work *work)
{
    find_stall(work);
    mount_judge(&work->facts, &work->conditions);
    if (work->watcher)
        watcher_allow(work->watcher, mount_is_usable(&work->facts) && work->facts.answered &&
                                         !work->facts.probe.code && work->facts.stalled_ms == 0);
    mount_publish_follow(work);
    mount_cache_follow(work);
    if (work->stopping && !work->ending && mount_locks_are_free(work) &&
        mount_publish_is_idle(work) && mount_claims_are_free(work)) {
        work->ending = true;
        mount_chores_plan_clean(work);
        mount_member_stop(work);
    }
    mount_chores_start_due(work);
    if (work->ending)
        mount_chores_check_clean(work);
    mount_member_follow(work);
}

void mount_work_tick(struct mount_work *work)
{
    follow(work);
    mount_work_count(work);
}

static void on_own_pool(evutil_socket_t fd, short what, void *arg)
{
    work_pool_dispatch(arg);
}

static void on_pool(evutil_socket_t fd, short what, void *arg)
{
    struct mount_work *work = arg;
    work_pool_dispatch(work->files);
    if (work->locks)
        work_pool_dispatch(work->locks);
    follow(work);
}

/* ---- the kernel's list ---- */

/* As configured, because a loopback source does not name it. */
static const char *file_system(const struct mount_work *work)
{
    const char *wanted_id = work->options.mount->file_system_id;
    return *wanted_id ? wanted_id : work->found_id;
}

static void note_source(struct mount_work *work, const char *source)
{
    if (work->source && strcmp(work->source, source) == 0)
        return;
    free(work->source);
    work->source = strdup(source);
    if (mount_source_file_system(source, work->found_id) < 0)
        work->found_id[0] = '\0';
    metrics_set_file_system(work->metrics, file_system(work));
}

void mount_work_relist(struct mount_work *work, struct mountinfo *table)
{
    struct mount mount;
    struct mount_facts *facts = &work->facts;
    facts->listed = table && mountinfo_at(table, work->place.path, &mount) == 0;
    metrics_follow_nfs(work->options.metrics, work->metrics,
                       facts->listed && mount.nfs ? mount.target : NULL,
                       facts->listed ? mount.device : 0);
    if (!facts->listed)
        return;
    facts->nfs = mount.nfs;
    facts->read_only = mount.read_only || mount.super_read_only;
    mount_member_relist(work, table);
    facts->own_mount = strcmp(mount.target, work->place.path) == 0;
    snprintf(work->fstype, sizeof(work->fstype), "%s", mount.fstype);
    note_source(work, mount.source);
    follow(work);
}

/* ---- opening and closing ---- */

static int open_pool(struct mount_work *work, unsigned n_threads, unsigned queue_max,
                     event_callback_fn on_ready, struct work_pool **ret_pool,
                     struct event **ret_event)
{
    int r = work_pool_open(work->name, n_threads, queue_max, ret_pool);
    if (r < 0)
        return r;
    void *arg = on_ready == on_pool ? (void *)work : (void *)*ret_pool;
    *ret_event =
        event_new(work->options.base, work_pool_fd(*ret_pool), EV_READ | EV_PERSIST, on_ready, arg);
    return *ret_event && event_add(*ret_event, NULL) == 0 ? 0 : -ENOMEM;
}

int mount_work_open_pool(struct mount_work *work, unsigned n_threads, unsigned queue_max,
                         struct work_pool **ret_pool, struct event **ret_event)
{
    return open_pool(work, n_threads, queue_max, on_pool, ret_pool, ret_event);
}

int mount_work_open_own_pool(struct mount_work *work, unsigned n_threads, unsigned queue_max,
                             struct work_pool **ret_pool, struct event **ret_event)
{
    return open_pool(work, n_threads, queue_max, on_own_pool, ret_pool, ret_event);
}

static int open_parts(struct mount_work *work)
{
    const struct settings *settings = work->options.settings;
    work->metrics = metrics_add_mount(work->options.metrics, work->place.path, file_system(work));
    if (!work->metrics)
        return -ENOMEM;
    metrics_set(work->metrics, METRIC_MOUNT_STALLED, 0); /* the first interval has it too */
    int r = feed_new((size_t)settings->feed_memory_bytes, settings->task_name, &work->feed);
    if (r == 0)
        r = mount_work_open_pool(work, FILE_THREADS, FILE_QUEUE, &work->files, &work->files_event);
    work->chores.pool = work->files;
    if (r == 0)
        r = mount_member_open(work);
    if (r == 0)
        r = mount_cache_open(work);
    return r == 0 && work->coordinates && work->place.writable ? mount_publish_open(work) : r;
}

static int name_paths(struct mount_work *work, struct error *err)
{
    const char *path = work->place.path;
    int r = taskdirs_link_name(path, work->name, sizeof(work->name));
    if (r == 0)
        r = taskdirs_path(&work->place, work->task_dir, sizeof(work->task_dir));
    if (r == 0)
        r = taskdirs_link(&work->place, work->task_link, sizeof(work->task_link));
    return r < 0 ? error_set_errno(err, -r, "mounts: %s has no usable name", path) : 0;
}

int mount_work_open(const struct mount_work_options *options, struct mount_work **ret_work,
                    struct error *err)
{
    struct mount_work *work = calloc(1, sizeof(*work));
    if (!work)
        return error_set(err, ENOMEM, "there is no memory for %s", options->mount->path);
    const struct settings *settings = options->settings;
    work->options = *options;
    work->place = (struct place){
        .settings = settings,
        .path = options->mount->path,
        .name = work->name,
        .file_system = options->mount->file_system_id,
        .writable = !options->mount->read_only,
        .first_writable = options->first_writable,
    };
    work->facts = (struct mount_facts){
        .path = work->place.path,
        .want_write = work->place.writable,
        .allow_local = settings->allow_local,
        .fstype = work->fstype,
        .wanted_id = options->mount->file_system_id,
        .found_id = work->found_id,
        .probe_ms = -1,
        .stall_after_ms = settings->stall_after_ms,
    };
    work->coordinates = settings->profile != PROFILE_OBSERVE;
    work->canary_ms = -1;
    mount_chores_init(work);
    conditions_init(&work->conditions, work->place.path);
    work->conditions.changed = options->changed;
    work->conditions.arg = options->arg;
    int r = name_paths(work, err);
    if (r == 0 && (r = open_parts(work)) < 0)
        error_set_errno(err, -r, "the work on %s cannot be started", work->place.path);
    if (r < 0) {
        mount_work_close(work, 1000);
        return r;
    }
    *ret_work = work;
    return 0;
}

void mount_work_status(const struct mount_work *work, struct mount_status *ret_status)
{
    *ret_status = (struct mount_status){
        .path = work->place.path,
        .file_system = file_system(work),
        .fstype = work->fstype,
        .source = work->source ? work->source : "",
        .read_only = !work->place.writable || work->facts.read_only,
        .conditions = &work->conditions,
        .probe_ms = work->facts.probe_ms,
        .canary_ms = work->canary_ms,
        .stalled_ms = work->facts.stalled_ms,
        .task_dir = work->made ? work->task_dir : NULL,
        .task_link = work->made ? work->task_link : NULL,
        .nfs = work->metrics->nfs,
        .nfs_shared_with = work->metrics->shared_with,
        .cache = work->mount_cache,
    };
    mount_locks_status(work, ret_status);
    mount_claims_status(work, ret_status);
    if (work->watcher)
        watcher_status(work->watcher, &ret_status->watch);
}

struct locks *mount_work_locks(const struct mount_work *work)
{
    return mount_locks_of(work);
}

struct mount_cache *mount_work_cache(const struct mount_work *work)
{
    return work->mount_cache;
}

struct publisher *mount_work_publisher(const struct mount_work *work)
{
    return mount_publish_of(work);
}

struct claims *mount_work_claims(const struct mount_work *work)
{
    return mount_claims_of(work);
}

struct feed *mount_work_feed(const struct mount_work *work)
{
    return work->feed;
}

const struct conditions *mount_work_conditions(const struct mount_work *work)
{
    return &work->conditions;
}

int mount_work_list_tasks(struct mount_work *work, task_listed_fn *listed, void *arg,
                          struct error *err)
{
    return mount_tasks_list(work, listed, arg, err);
}

void mount_work_stop(struct mount_work *work)
{
    if (work->stopping)
        return;
    work->stopping = true;
    mount_publish_stop(work);
    mount_locks_stop(work); /* those that are held are kept, and the rest with them */
    mount_claims_stop(work);
    follow(work);
}

bool mount_work_stopped(const struct mount_work *work)
{
    return work->cleaned && mount_member_stopped(work);
}

int mount_work_close(struct mount_work *work, int64_t timeout_ms)
{
    int64_t until_ms = clock_now_ms() + timeout_ms;
    watcher_free(work->watcher);
    if (work->files_event)
        event_free(work->files_event);
    if (work->locks_event)
        event_free(work->locks_event);
    int r = mount_publish_close(work, timeout_ms);
    if (work_pool_close(work->files, clock_poll_timeout(until_ms)) < 0)
        r = -EBUSY;
    if (work_pool_close(work->locks, clock_poll_timeout(until_ms)) < 0 || r < 0)
        return -EBUSY; /* a worker still has it */
    mount_publish_free(work);
    if (mount_locks_close(work, clock_poll_timeout(until_ms)) < 0 ||
        mount_cache_close(work, clock_poll_timeout(until_ms)) < 0)
        return -EBUSY;
    mount_claims_close(work);
    mount_tasks_close(work);
    lease_free(work->lease);
    feed_free(work->feed);
    free(work->source);
    free(work);
    return 0;
}
