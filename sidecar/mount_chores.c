#include "sidecar/mount_chores.h"

#include <errno.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "sidecar/mount_claims.h"
#include "sidecar/mount_member.h"
#include "sidecar/mount_publish.h"
#include "sidecar/probe.h"
#include "sidecar/taskdirs.h"

enum {
    PROBE_RETRY_MS = 10 * 1000,
    CANARY_RETRY_MS = 30 * 1000,
    LINKS_INTERVAL_MS = 10 * 1000, /* others may write to the run directory */
    MAKE_FIRST_MS = 2 * 1000,
    MAKE_MOST_MS = 60 * 1000,
};

static void plan(struct mount_work *work, enum chore chore, int64_t in_ms)
{
    chores_plan(&work->chores, chore, in_ms);
}

/* The mount did not answer for so long. */
static void note_silence(struct mount_work *work, const struct chore_call *call)
{
    if (work->lease)
        lease_note_silence(work->lease, call->took_us / 1000);
}

/* ---- the chores: run_ in a worker, done_ in the loop ---- */

static int run_links(struct chore_call *call)
{
    int r = taskdirs_link_root(call->place, &call->err);
    return r == 0 && call->made ? taskdirs_link_task(call->place, &call->err) : r;
}

static void done_links(void *owner, const struct chore_call *call)
{
    struct mount_work *work = owner;
    mount_tasks_linked(work, &call->err);
    plan(work, CHORE_LINKS, LINKS_INTERVAL_MS);
}

static int run_probe(struct chore_call *call)
{
    return probe_attributes(call->place, &call->root_inode, &call->err);
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
    bool makes = work->coordinates && place_has_state(&work->place);
    if (makes)
        plan(work, CHORE_MAKE, 0);
    if (!makes || !work->place.writable)
        plan_canary(work, 0);
}

static bool probes_rarely(const struct mount_work *work)
{
    const struct settings *settings = work->options.settings;
    return settings->profile == PROFILE_OBSERVE || settings->probe_interval_ms == 0;
}

static void note_answer(struct mount_work *work, int64_t took_us)
{
    work->facts.answered = true;
    work->facts.probe_ms = took_us / 1000;
    metrics_observe(work->metrics, METRIC_PROBE_LATENCY, (double)took_us / 1000);
}

static void done_probe(void *owner, const struct chore_call *call)
{
    struct mount_work *work = owner;
    int64_t interval_ms = work->options.settings->probe_interval_ms;
    bool rarely = probes_rarely(work);
    note_silence(work, call);
    own_calls_add(&work->own, OWN_PROBE, 1);
    note_answer(work, call->took_us);
    work->facts.probe = call->err;
    if (call->err.code)
        plan(work, CHORE_PROBE,
             rarely ? PROBE_RETRY_MS : clock_sooner(interval_ms, PROBE_RETRY_MS));
    else if (!rarely)
        plan(work, CHORE_PROBE, interval_ms);
    if (call->err.code)
        return;
    work->root_inode = call->root_inode;
    if (!work->begun)
        begin(work);
}

/* The links are there before anything is said to be ready; where they cannot be made, the chore
 * that looks after them tells. */
static int run_make(struct chore_call *call)
{
    struct error ignored;
    int r = taskdirs_make(call->place, &call->err);
    if (r == 0 && call->place->writable)
        taskdirs_link_task(call->place, &ignored);
    return r;
}

/* It is there now. */
static void tell_state_path(struct mount_work *work)
{
    char path[PATH_MAX];
    if (work->watcher &&
        (place_state_path(&work->place, work->root_inode, path, sizeof(path)) < 0 ||
         watcher_set_state(work->watcher, path) < 0))
        log_error("the path of the state directory of %s is too long", work->place.path);
}

static void done_make(void *owner, const struct chore_call *call)
{
    struct mount_work *work = owner;
    if (work->place.writable)
        work->facts.canary = call->err;
    if (call->err.code) {
        conditions_set(&work->conditions, CONDITION_LOCKS_READY, CONDITION_FALSE, "NoState",
                       "%s. It is tried again", call->err.text);
        if (work->watcher)
            watcher_listen(work->watcher);
        plan(work, CHORE_MAKE, backoff_next_ms(&work->make_backoff));
        return;
    }
    backoff_reset(&work->make_backoff);
    work->made = work->place.writable;
    plan(work, CHORE_LINKS, 0);
    tell_state_path(work);
    lease_start(work->lease, work->state_nfs);
    if (work->place.writable)
        plan_canary(work, 0);
}

static int run_canary(struct chore_call *call)
{
    const struct place *place = call->place;
    return place->writable ? probe_write(place, call->on_nfs, &call->err)
                           : probe_read(place, &call->err);
}

static void done_canary(void *owner, const struct chore_call *call)
{
    struct mount_work *work = owner;
    note_silence(work, call);
    own_calls_add(&work->own, work->place.writable ? OWN_CANARY : OWN_LISTING, 1);
    int64_t interval_ms = work->options.settings->canary_interval_ms;
    work->facts.canary = call->err;
    if (!call->err.code) {
        work->canary_ms = call->took_us / 1000;
        metrics_observe(work->metrics, METRIC_CANARY_LATENCY, (double)call->took_us / 1000);
    }
    plan_canary(work, call->err.code ? clock_sooner(interval_ms, CANARY_RETRY_MS) : interval_ms);
}

static int run_member(struct chore_call *call)
{
    return taskdirs_write_member(call->place, call->slot, call->epoch, &call->err);
}

static void done_member(void *owner, const struct chore_call *call)
{
    struct mount_work *work = owner;
    if (!call->err.code)
        return;
    log_warn("%s: people will not see who holds slot %u", call->err.text, call->slot);
    plan(work, CHORE_MEMBER, MAKE_MOST_MS);
}

static int run_janitor(struct chore_call *call)
{
    call->janitor->own_slot = call->slot;
    call->janitor->on_nfs = call->state_on_nfs;
    return janitor_round(call->janitor, &call->err);
}

static void done_janitor(void *owner, const struct chore_call *call)
{
    struct mount_work *work = owner;
    if (call->err.code)
        log_warn("%s. It is tried again", call->err.text);
    mount_member_bury(work);
    if (work->place.writable)
        plan(work, CHORE_REAP, 0);
}

/* What would be left behind. The member's file goes before the slot: the next one writes its own.
 */
static int run_clean(struct chore_call *call)
{
    const struct place *place = call->place;
    janitor_release(call->janitor);
    int r = call->has_slot ? taskdirs_remove_member(place, call->slot, &call->err) : 0;
    return r == 0 && place->writable ? probe_remove(place, &call->err) : r;
}

static void done_clean(void *owner, const struct chore_call *call)
{
    struct mount_work *work = owner;
    if (call->err.code && call->err.code != ENOENT)
        log_warn("%s: it is left behind", call->err.text);
    work->cleaned = true;
}

static const struct chore_kind kinds[CHORES] = {
    [CHORE_LINKS] = {"making the links in the run directory", false, run_links, done_links},
    [CHORE_PROBE] = {"asking for the root's attributes", false, run_probe, done_probe},
    [CHORE_MAKE] = {"making the task's directory", true, run_make, done_make},
    [CHORE_CANARY] = {"the canary", true, run_canary, done_canary},
    [CHORE_MEMBER] = {"writing the member's file", true, run_member, done_member},
    [CHORE_JANITOR] = {"clearing up after other tasks", true, run_janitor, done_janitor},
    [CHORE_OWN] = {"saying whose the task's directory is", true, mount_tasks_run_own,
                   mount_tasks_done_own},
    [CHORE_USAGE] = {"measuring the task's directory", false, mount_tasks_run_usage,
                     mount_tasks_done_usage},
    [CHORE_STAGE] = {"looking for what was left in .stage", true, mount_tasks_run_stage,
                     mount_tasks_done_stage},
    [CHORE_REAP] = {"clearing up other tasks' directories", true, mount_tasks_run_reap,
                    mount_tasks_done_reap},
    [CHORE_CLAIMS] = {"giving back what was claimed before", true, mount_claims_run_recover,
                      mount_claims_done_recover},
    [CHORE_CLEAN] = {"removing the canary file", true, run_clean, done_clean},
};

static void prepare(void *owner, struct chore_call *call)
{
    struct mount_work *work = owner;
    call->place = &work->place;
    call->on_nfs = work->facts.nfs;
    call->state_on_nfs = work->state_nfs;
    call->janitor = &work->janitor;
    call->has_slot = work->has_slot;
    call->made = work->made;
    call->slot = work->member.slot;
    call->epoch = work->member.epoch;
    call->tasks = &work->tasks;
    call->recovery = &work->recovery;
    call->owner = work->tasks.own.owner;
}

static bool is_writable(const struct mount_work *work)
{
    return work->place.writable && !work->facts.read_only && mount_is_usable(&work->facts);
}

/* Can the state directory be written? */
static bool has_state(const struct mount_work *work)
{
    if (!*work->options.settings->state_mount)
        return is_writable(work);
    return work->state_usable && (!work->place.writable || is_writable(work));
}

static bool may_start(const void *owner, unsigned chore)
{
    const struct mount_work *work = owner;
    if (chore == CHORE_LINKS) /* it does not touch the mount */
        return true;
    if (!mount_is_usable(&work->facts) || work->facts.stalled_ms > 0)
        return false;
    if (work->stopping && chore != CHORE_CLEAN)
        return false;
    if (chore == CHORE_MAKE || chore == CHORE_MEMBER || chore == CHORE_JANITOR ||
        chore == CHORE_CLEAN)
        return has_state(work);
    if (chore == CHORE_CLAIMS && !work->made)
        return false;
    if (chore == CHORE_STAGE && !mount_publish_is_idle(work)) /* from there, perhaps */
        return false;
    if (chore == CHORE_OWN || chore == CHORE_REAP || chore == CHORE_CLAIMS)
        return work->has_slot && has_state(work);
    bool only_asks = chore == CHORE_PROBE || (chore == CHORE_CANARY && !work->place.writable);
    return only_asks || is_writable(work);
}

void mount_chores_init(struct mount_work *work)
{
    work->make_backoff = (struct backoff){.first_ms = MAKE_FIRST_MS, .most_ms = MAKE_MOST_MS};
    janitor_init(&work->janitor, &work->place, work->options.settings->retention_ms);
    chores_init(&work->chores, kinds, CHORES, work, prepare);
    mount_tasks_open(work);
    plan(work, CHORE_LINKS, 0);
    plan(work, CHORE_PROBE, 0);
}

void mount_chores_start_due(struct mount_work *work)
{
    chores_start_due(&work->chores, may_start);
}

void mount_chores_write_member(struct mount_work *work)
{
    plan(work, CHORE_MEMBER, 0);
}

void mount_chores_plan_janitor(struct mount_work *work, int64_t in_ms)
{
    plan(work, CHORE_JANITOR, in_ms);
}

void mount_chores_make_again(struct mount_work *work)
{
    plan(work, CHORE_MAKE, backoff_next_ms(&work->make_backoff));
}

void mount_chores_answered(struct mount_work *work, int64_t took_us)
{
    note_answer(work, took_us);
    if (!probes_rarely(work) && !chores_in_flight(&work->chores, CHORE_PROBE))
        plan(work, CHORE_PROBE, work->options.settings->probe_interval_ms);
}

void mount_chores_plan_clean(struct mount_work *work)
{
    plan(work, CHORE_CLEAN, 0);
}

void mount_chores_check_clean(struct mount_work *work)
{
    if (!chores_in_flight(&work->chores, CHORE_CLEAN) && (!work->begun || !has_state(work)))
        work->cleaned = true;
}
