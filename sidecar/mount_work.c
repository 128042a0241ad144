#include "sidecar/mount_work.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/backoff.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/work_pool.h"
#include "sidecar/lease.h"
#include "sidecar/mount_verdict.h"
#include "sidecar/probe.h"
#include "sidecar/taskdirs.h"

enum {
    FILE_THREADS = 2, /* a canary that hangs leaves one for the others */
    FILE_QUEUE = 16,
    LEASE_QUEUE = 4,
    PROBE_RETRY_MS = 10 * 1000,
    CANARY_RETRY_MS = 30 * 1000,
    MAKE_FIRST_MS = 2 * 1000,
    MAKE_MOST_MS = 60 * 1000,
};

enum chore {
    CHORE_LINK_ROOT,
    CHORE_PROBE,
    CHORE_MAKE,
    CHORE_CANARY,
    CHORE_MEMBER,
    CHORE_CLEAN,
    CHORES,
};

struct mount_work {
    struct mount_work_options options;
    struct place place;
    char name[NAME_MAX + 1], task_dir[PATH_MAX], task_link[PATH_MAX];
    bool coordinates; /* the profile has directories, slot and feed */

    struct mount_facts facts;
    struct conditions conditions;
    char fstype[32], file_system[MOUNT_FILE_SYSTEM_ID], *source;
    int64_t canary_ms;

    struct work_pool *files, *locks;
    struct event *files_event, *locks_event;
    struct {
        bool in_flight;
        int64_t next_ms;
    } chores[CHORES];
    struct backoff make_backoff;
    bool begun, made, has_slot, stopping, cleaned;
    unsigned slot;

    struct lease *lease;
    struct feed *feed;
    struct watcher *watcher;
    struct metric_group *metrics;
};

/* A worker touches only this, and of the work only its place. */
struct call {
    struct mount_work *work;
    enum chore chore;
    bool on_nfs, has_slot;
    unsigned slot;
    int64_t took_us;
    struct error err;
};

static void submit(struct mount_work *work, enum chore chore);

static void plan(struct mount_work *work, enum chore chore, int64_t in_ms)
{
    work->chores[chore].next_ms = clock_now_ms() + in_ms;
}

static int64_t shorter(int64_t a_ms, int64_t b_ms)
{
    return a_ms < b_ms ? a_ms : b_ms;
}

/* ---- the chores: run_ in a worker, done_ in the loop ---- */

static int run_link_root(struct call *call)
{
    return taskdirs_link_root(&call->work->place, &call->err);
}

static void done_link_root(struct mount_work *work, const struct call *call)
{
    if (call->err.code) {
        log_error("%s", call->err.text);
        plan(work, CHORE_LINK_ROOT, MAKE_MOST_MS);
    }
}

static int run_probe(struct call *call)
{
    return probe_attributes(&call->work->place, &call->err);
}

static void plan_canary(struct mount_work *work, int64_t in_ms)
{
    if (work->options.settings->canary_interval_ms > 0)
        plan(work, CHORE_CANARY, in_ms);
}

/* The mount answers for the first time. */
static void begin(struct mount_work *work)
{
    work->begun = true;
    if (work->coordinates && work->place.writable)
        plan(work, CHORE_MAKE, 0);
    else
        plan_canary(work, 0);
}

static void done_probe(struct mount_work *work, const struct call *call)
{
    const struct settings *settings = work->options.settings;
    bool rarely = settings->profile == PROFILE_OBSERVE || settings->probe_interval_ms == 0;
    work->facts.answered = true;
    work->facts.probe = call->err;
    work->facts.probe_ms = call->took_us / 1000;
    metrics_observe(work->metrics, METRIC_PROBE_LATENCY, (double)call->took_us / 1000);
    if (call->err.code)
        plan(work, CHORE_PROBE,
             rarely ? PROBE_RETRY_MS : shorter(settings->probe_interval_ms, PROBE_RETRY_MS));
    else if (!rarely)
        plan(work, CHORE_PROBE, settings->probe_interval_ms);
    if (!call->err.code && !work->begun)
        begin(work);
}

static int run_make(struct call *call)
{
    return taskdirs_make(&call->work->place, &call->err);
}

static void done_make(struct mount_work *work, const struct call *call)
{
    work->facts.canary = call->err;
    if (call->err.code) {
        plan(work, CHORE_MAKE, backoff_next_ms(&work->make_backoff));
        return;
    }
    backoff_reset(&work->make_backoff);
    work->made = true;
    lease_start(work->lease, work->facts.nfs);
    plan_canary(work, 0);
}

static int run_canary(struct call *call)
{
    const struct place *place = &call->work->place;
    return place->writable ? probe_write(place, call->on_nfs, &call->err)
                           : probe_read(place, &call->err);
}

static void done_canary(struct mount_work *work, const struct call *call)
{
    int64_t interval_ms = work->options.settings->canary_interval_ms;
    work->facts.canary = call->err;
    if (!call->err.code) {
        work->canary_ms = call->took_us / 1000;
        metrics_observe(work->metrics, METRIC_CANARY_LATENCY, (double)call->took_us / 1000);
    }
    plan_canary(work, call->err.code ? shorter(interval_ms, CANARY_RETRY_MS) : interval_ms);
}

static int run_member(struct call *call)
{
    return taskdirs_write_member(&call->work->place, call->slot, &call->err);
}

static void done_member(struct mount_work *work, const struct call *call)
{
    if (!call->err.code)
        return;
    log_warn("%s: people will not see who holds slot %u", call->err.text, call->slot);
    plan(work, CHORE_MEMBER, MAKE_MOST_MS);
}

/* What would be left behind. The member's file goes before the slot: the next one writes its own.
 */
static int run_clean(struct call *call)
{
    const struct place *place = &call->work->place;
    int r = call->has_slot ? taskdirs_remove_member(place, call->slot, &call->err) : 0;
    return r == 0 ? probe_remove(place, &call->err) : r;
}

static void done_clean(struct mount_work *work, const struct call *call)
{
    if (call->err.code && call->err.code != ENOENT)
        log_warn("%s: it is left behind", call->err.text);
    work->cleaned = true;
}

static int run_call(void *arg);
static void call_done(void *arg, enum work_outcome outcome, int result);

#define CHORE_JOB(text, changes_names)                                                             \
    {                                                                                              \
        .what = (text), .namespace_op = (changes_names), .run = run_call, .done = call_done,       \
        .release = free                                                                            \
    }

static const struct chore_kind {
    struct job job;
    bool local;  /* does not touch the mount */
    bool writes; /* always; the canary does where it may */
    int (*run)(struct call *call);
    void (*done)(struct mount_work *work, const struct call *call);
} kinds[] = {
    [CHORE_LINK_ROOT] = {CHORE_JOB("making the link to the root", false), true, false,
                         run_link_root, done_link_root},
    [CHORE_PROBE] = {CHORE_JOB("asking for the root's attributes", false), false, false, run_probe,
                     done_probe},
    [CHORE_MAKE] = {CHORE_JOB("making the task's directory", true), false, true, run_make,
                    done_make},
    [CHORE_CANARY] = {CHORE_JOB("the canary", true), false, false, run_canary, done_canary},
    [CHORE_MEMBER] = {CHORE_JOB("writing the member's file", true), false, true, run_member,
                      done_member},
    [CHORE_CLEAN] = {CHORE_JOB("removing the canary file", true), false, true, run_clean,
                     done_clean},
};

static int run_call(void *arg)
{
    struct call *call = arg;
    int64_t started_us = clock_now_us();
    int r = kinds[call->chore].run(call);
    call->took_us = clock_now_us() - started_us;
    return r;
}

static void call_done(void *arg, enum work_outcome outcome, int result)
{
    struct call *call = arg;
    struct mount_work *work = call->work;
    work->chores[call->chore].in_flight = false;
    if (outcome != WORK_DONE)
        return; /* only at the end */
    if (work->lease && !kinds[call->chore].local)
        lease_note_silence(work->lease, call->took_us / 1000);
    kinds[call->chore].done(work, call);
}

static void submit(struct mount_work *work, enum chore chore)
{
    struct call *call = calloc(1, sizeof(*call));
    if (!call)
        return; /* it is due still */
    *call =
        (struct call){.work = work, .chore = chore, .has_slot = work->has_slot, .slot = work->slot};
    if (work_pool_submit(work->files, &kinds[chore].job, call, CLOCK_NEVER) < 0) {
        free(call);
        return;
    }
    work->chores[chore].in_flight = true;
    work->chores[chore].next_ms = CLOCK_NEVER;
}

static bool is_writable(const struct mount_work *work)
{
    return work->place.writable && !work->facts.read_only && mount_is_usable(&work->facts);
}

static bool writes(const struct mount_work *work, enum chore chore)
{
    return kinds[chore].writes || (chore == CHORE_CANARY && work->place.writable);
}

static bool may_start(const struct mount_work *work, enum chore chore)
{
    if (kinds[chore].local)
        return true;
    return mount_is_usable(&work->facts) && work->facts.stalled_ms == 0 &&
           (!writes(work, chore) || is_writable(work)) && (!work->stopping || chore == CHORE_CLEAN);
}

static void start_what_is_due(struct mount_work *work)
{
    int64_t now_ms = clock_now_ms();
    for (enum chore chore = 0; chore < CHORES; chore++)
        if (!work->chores[chore].in_flight && now_ms >= work->chores[chore].next_ms &&
            may_start(work, chore))
            submit(work, chore);
}

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
    bool stalled = oldest_ms > work->facts.stall_after_ms;
    work->facts.stalled_ms = stalled ? oldest_ms : 0;
    work->facts.stalled_call = stalled ? what : NULL;
}

static void count(struct mount_work *work)
{
    bool ready = work->conditions.of[CONDITION_MOUNT_READY].status == CONDITION_TRUE;
    metrics_set(work->metrics, METRIC_MOUNT_READY, ready);
    metrics_set(work->metrics, METRIC_MOUNT_STALLED, work->facts.stalled_ms > 0);
    if (!work->watcher)
        return;
    struct watcher_status watch;
    watcher_status(work->watcher, &watch);
    metrics_count_total(work->metrics, METRIC_WATCH_CHANGES, watch.changes);
    metrics_count_total(work->metrics, METRIC_WATCH_OVERFLOWS, watch.child.overflows);
    metrics_count_total(work->metrics, METRIC_WATCH_RESTARTS, watch.restarts);
    metrics_set(work->metrics, METRIC_WATCHED_DIRS, watch.child.directories);
    metrics_set(work->metrics, METRIC_BLIND_DIRS, watch.child.blind);
}

static void follow(struct mount_work *work)
{
    find_stall(work);
    mount_judge(&work->facts, &work->conditions);
    if (work->watcher)
        watcher_allow(work->watcher, mount_is_usable(&work->facts) && work->facts.answered &&
                                         !work->facts.probe.code && work->facts.stalled_ms == 0);
    start_what_is_due(work);
    if (work->watcher)
        watcher_tick(work->watcher);
    if (work->stopping && !work->chores[CHORE_CLEAN].in_flight &&
        (!work->begun || !is_writable(work)))
        work->cleaned = true; /* there is nothing, or it cannot be removed */
    if (work->lease) {
        if (work->stopping && work->cleaned)
            lease_stop(work->lease);
        lease_tick(work->lease);
    }
    work->options.changed(work->options.arg);
}

void mount_work_tick(struct mount_work *work)
{
    follow(work);
    count(work);
}

static void on_pool(evutil_socket_t fd, short what, void *arg)
{
    struct mount_work *work = arg;
    work_pool_dispatch(work->files);
    if (work->locks)
        work_pool_dispatch(work->locks);
    follow(work);
}

static void slot_taken(void *arg, unsigned slot)
{
    struct mount_work *work = arg;
    work->has_slot = true;
    work->slot = slot;
    plan(work, CHORE_MEMBER, 0);
}

static void board_gone(void *arg)
{
    struct mount_work *work = arg;
    plan(work, CHORE_MAKE, backoff_next_ms(&work->make_backoff));
}

/* ---- the kernel's list ---- */

static void note_source(struct mount_work *work, const char *source)
{
    if (work->source && strcmp(work->source, source) == 0)
        return;
    free(work->source);
    work->source = strdup(source);
    if (*work->options.mount->file_system_id)
        return;
    if (mount_source_file_system(source, work->file_system) < 0)
        work->file_system[0] = '\0';
    metrics_set_file_system(work->metrics, work->file_system);
}

void mount_work_relist(struct mount_work *work, struct mountinfo *table)
{
    struct mount mount;
    struct mount_facts *facts = &work->facts;
    facts->listed = table && mountinfo_at(table, work->place.path, &mount) == 0;
    if (!facts->listed)
        return;
    facts->nfs = mount.nfs;
    facts->read_only = mount.read_only || mount.super_read_only;
    facts->own_mount = strcmp(mount.target, work->place.path) == 0;
    snprintf(work->fstype, sizeof(work->fstype), "%s", mount.fstype);
    note_source(work, mount.source);
    follow(work);
}

/* ---- opening and closing ---- */

static int open_pool(struct mount_work *work, unsigned n_threads, unsigned queue_max,
                     struct work_pool **ret_pool, struct event **ret_event)
{
    int r = work_pool_open(work->name, n_threads, queue_max, ret_pool);
    if (r < 0)
        return r;
    *ret_event =
        event_new(work->options.base, work_pool_fd(*ret_pool), EV_READ | EV_PERSIST, on_pool, work);
    return *ret_event && event_add(*ret_event, NULL) == 0 ? 0 : -ENOMEM;
}

static int open_lease(struct mount_work *work)
{
    if (!work->coordinates)
        return 0;
    if (!work->place.writable) {
        conditions_set(&work->conditions, CONDITION_LOCKS_READY, CONDITION_FALSE, "ReadOnlyMount",
                       "locks need a mount that can be written; this one is used as :ro");
        return 0;
    }
    int r = open_pool(work, 1, LEASE_QUEUE, &work->locks, &work->locks_event);
    if (r < 0)
        return r;
    const struct lease_options options = {
        .place = &work->place,
        .pool = work->locks,
        .conditions = &work->conditions,
        .taken = slot_taken,
        .gone = board_gone,
        .arg = work,
    };
    return lease_new(&options, &work->lease);
}

static int open_parts(struct mount_work *work)
{
    const struct settings *settings = work->options.settings;
    work->metrics = metrics_add_mount(work->options.metrics, work->place.path, work->file_system);
    if (!work->metrics)
        return -ENOMEM;
    int r = feed_new((size_t)settings->feed_memory_bytes, settings->task_name, &work->feed);
    if (r == 0)
        r = open_pool(work, FILE_THREADS, FILE_QUEUE, &work->files, &work->files_event);
    if (r == 0)
        r = open_lease(work);
    if (r == 0 && work->coordinates && settings->watch_enabled)
        r = watcher_new(work->options.base, settings, work->place.path, work->feed,
                        &work->conditions, &work->watcher);
    return r;
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
        .writable = !options->mount->read_only,
        .first_writable = options->first_writable,
    };
    work->facts = (struct mount_facts){
        .path = work->place.path,
        .want_write = work->place.writable,
        .allow_local = settings->allow_local,
        .fstype = work->fstype,
        .probe_ms = -1,
        .stall_after_ms = settings->stall_after_ms,
    };
    work->coordinates = settings->profile != PROFILE_OBSERVE;
    work->canary_ms = -1;
    work->make_backoff = (struct backoff){.first_ms = MAKE_FIRST_MS, .most_ms = MAKE_MOST_MS};
    snprintf(work->file_system, sizeof(work->file_system), "%s", options->mount->file_system_id);
    for (enum chore chore = CHORE_MAKE; chore < CHORES; chore++)
        work->chores[chore].next_ms = CLOCK_NEVER;
    conditions_init(&work->conditions, work->place.path);
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
        .file_system = work->file_system,
        .fstype = work->fstype,
        .source = work->source ? work->source : "",
        .read_only = !work->place.writable || work->facts.read_only,
        .conditions = &work->conditions,
        .probe_ms = work->facts.probe_ms,
        .canary_ms = work->canary_ms,
        .stalled_ms = work->facts.stalled_ms,
        .task_dir = work->made ? work->task_dir : NULL,
        .task_link = work->made ? work->task_link : NULL,
    };
    if (work->watcher)
        watcher_status(work->watcher, &ret_status->watch);
}

struct feed *mount_work_feed(const struct mount_work *work)
{
    return work->feed;
}

const struct conditions *mount_work_conditions(const struct mount_work *work)
{
    return &work->conditions;
}

void mount_work_stop(struct mount_work *work)
{
    if (work->stopping)
        return;
    work->stopping = true;
    plan(work, CHORE_CLEAN, 0);
    if (work->watcher)
        watcher_stop(work->watcher);
    follow(work);
}

bool mount_work_stopped(const struct mount_work *work)
{
    return work->cleaned && (!work->lease || lease_stopped(work->lease)) &&
           (!work->watcher || watcher_stopped(work->watcher));
}

int mount_work_close(struct mount_work *work, int64_t timeout_ms)
{
    int64_t until_ms = clock_now_ms() + timeout_ms;
    watcher_free(work->watcher);
    if (work->files_event)
        event_free(work->files_event);
    if (work->locks_event)
        event_free(work->locks_event);
    int r = work_pool_close(work->files, timeout_ms);
    if (work_pool_close(work->locks, clock_poll_timeout(until_ms)) < 0 || r < 0)
        return -EBUSY; /* a worker still has it */
    lease_free(work->lease);
    feed_free(work->feed);
    free(work->source);
    free(work);
    return 0;
}
