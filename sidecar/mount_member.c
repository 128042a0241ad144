#include "sidecar/mount_member.h"

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/mountinfo.h"
#include "lib/share/journal.h"
#include "sidecar/mount_chores.h"
#include "sidecar/mount_claims.h"
#include "sidecar/mount_locks.h"

enum {
    LEASE_QUEUE = 4,
    JANITOR_FIRST_MS = 20 * 1000,
    JANITOR_PAUSE_MS = 1000,
};

/* ---- the lease says ---- */

static void slot_taken(void *arg, const struct membership *member)
{
    struct mount_work *work = arg;
    work->has_slot = true;
    work->member = *member;
    mount_chores_write_member(work);
    mount_tasks_joined(work);
    mount_claims_joined(work);
    if (work->watcher) {
        watcher_join(work->watcher, member);
        mount_chores_plan_janitor(work, JANITOR_FIRST_MS);
    }
}

static void no_slot(void *arg)
{
    struct mount_work *work = arg;
    if (work->watcher)
        watcher_listen(work->watcher);
}

static void slot_lost(void *arg)
{
    struct mount_work *work = arg;
    work->has_slot = false;
    if (work->watcher)
        watcher_part(work->watcher);
}

static bool slot_in_use(void *arg)
{
    const struct mount_work *work = arg;
    return work->watcher && watcher_has_slot(work->watcher);
}

static void board_gone(void *arg)
{
    mount_chores_make_again(arg);
}

/* ---- efs-watch says ---- */

static void slot_fenced(void *arg)
{
    struct mount_work *work = arg;
    if (work->lease)
        lease_fenced(work->lease);
}

static void peer_says(void *arg, const struct watch_notice *notice)
{
    mount_locks_hear(arg, notice);
}

/* Where the state lies on the mount itself, the feed's polls tell all that a probe would. */
static void take_poll(struct mount_work *work)
{
    struct watcher_status watch;
    watcher_status(work->watcher, &watch);
    const struct watch_feed_status *feed = &watch.child.feed;
    if (*work->options.settings->state_mount || feed->poll_sent_ms <= work->poll_sent_ms)
        return;
    work->poll_sent_ms = feed->poll_sent_ms;
    if (work->lease)
        lease_note_silence(work->lease, feed->poll_us / 1000);
    if (!work->facts.probe.code)
        mount_chores_answered(work, feed->poll_us);
}

/* ---- members that died ---- */

static void plan_janitor(struct mount_work *work)
{
    int64_t in_ms = work->janitor.due_ms - clock_now_ms();
    mount_chores_plan_janitor(work, in_ms > JANITOR_PAUSE_MS ? in_ms : JANITOR_PAUSE_MS);
}

static void death_announced(void *arg, int result, uint64_t sequence)
{
    struct mount_work *work = arg;
    const struct janitor_dead *dead = &work->janitor.dead;
    work->janitor.told = result == 0;
    if (result == 0)
        log_info("task %s, slot %u of %s, ended without leaving: the other tasks are told to look "
                 "for what it may not have told",
                 *dead->task ? dead->task : "(unknown)", dead->slot, work->place.path);
    mount_chores_plan_janitor(work, 0);
}

void mount_member_bury(struct mount_work *work)
{
    const struct change change = {
        .op = CHANGE_RESYNC,
        .reason = CHANGE_REASON_PEER_DIED,
        .path = "",
        .observer = work->janitor.dead.task,
    };
    uint8_t payload[CHANGE_ENCODED_MAX];
    if (!janitor_has_dead(&work->janitor)) {
        plan_janitor(work);
        return;
    }
    int n = change_encode(&change, payload, sizeof(payload));
    if (n < 0 || watcher_announce(work->watcher, JOURNAL_CHANGE, payload, (size_t)n,
                                  death_announced, work) < 0)
        plan_janitor(work); /* and it is given back */
}

/* ---- */

static int open_lease(struct mount_work *work)
{
    if (!place_has_state(&work->place)) {
        conditions_set(&work->conditions, CONDITION_LOCKS_READY, CONDITION_FALSE, "ReadOnlyMount",
                       "locks need a place that can be written: this mount is used as :ro, and "
                       "there is no volume for the state (state.mount)");
        return 0;
    }
    int r = mount_work_open_pool(work, 1, LEASE_QUEUE, &work->locks, &work->locks_event);
    if (r < 0)
        return r;
    const struct lease_options options = {
        .place = &work->place,
        .pool = work->locks,
        .conditions = &work->conditions,
        .taken = slot_taken,
        .trouble = no_slot,
        .lost = slot_lost,
        .in_use = slot_in_use,
        .gone = board_gone,
        .arg = work,
    };
    return lease_new(&options, &work->lease);
}

int mount_member_open(struct mount_work *work)
{
    const struct settings *settings = work->options.settings;
    if (!work->coordinates)
        return 0;
    int r = open_lease(work);
    if (r == 0 && work->lease)
        r = mount_locks_open(work);
    if (r == 0 && work->lease && work->place.writable)
        r = mount_claims_open(work);
    if (r < 0 || !settings->watch_enabled)
        return r;
    const struct watcher_options options = {
        .base = work->options.base,
        .settings = settings,
        .path = work->place.path,
        .feed = work->feed,
        .conditions = &work->conditions,
        .wants_slot = work->lease != NULL,
        .fenced = slot_fenced,
        .notice = peer_says,
        .arg = work,
    };
    return watcher_new(&options, &work->watcher);
}

void mount_member_relist(struct mount_work *work, struct mountinfo *table)
{
    const char *state_mount = work->options.settings->state_mount;
    struct mount mount;
    work->state_nfs = work->facts.nfs;
    if (!*state_mount)
        return;
    bool listed = table && mountinfo_at(table, state_mount, &mount) == 0;
    work->state_nfs = listed && mount.nfs;
    work->state_usable = listed && (mount.nfs || work->options.settings->allow_local) &&
                         !mount.read_only && !mount.super_read_only;
    if (work->lease && !work->state_usable)
        conditions_set(&work->conditions, CONDITION_LOCKS_READY, CONDITION_FALSE, "StateNotMounted",
                       listed && mount.nfs
                           ? "%s (state.mount) is mounted read-only, so nothing can be coordinated "
                             "on it"
                           : "%s (state.mount) is no NFS mount: every task would be alone there. "
                             "Add the volume to mountPoints of this container",
                       state_mount);
}

void mount_member_follow(struct mount_work *work)
{
    if (work->watcher) {
        watcher_tick(work->watcher);
        take_poll(work);
    }
    if (!work->lease)
        return;
    if (work->stopping && work->cleaned && (!work->watcher || watcher_stopped(work->watcher)))
        lease_stop(work->lease, !work->watcher || watcher_told_all(work->watcher));
    lease_tick(work->lease);
    mount_locks_follow(work);
    mount_claims_follow(work);
}

const struct condition *mount_member_obstacle(const struct mount_work *work, bool *ret_begins)
{
    const struct condition *mount = &work->conditions.of[CONDITION_MOUNT_READY];
    const struct condition *locks = &work->conditions.of[CONDITION_LOCKS_READY];
    *ret_begins = mount->status != CONDITION_FALSE && locks->status != CONDITION_FALSE;
    return locks->status != CONDITION_FALSE && mount->status == CONDITION_FALSE ? mount : locks;
}

void mount_member_hold(struct mount_work *work, bool any)
{
    const struct settings *settings = work->options.settings;
    work->holding += any ? 1 : -1U;
    lease_set_interval(work->lease, work->holding > 0 ? settings->lock_proof_interval_ms
                                                      : settings->proof_interval_ms);
}

void mount_member_stop(struct mount_work *work)
{
    if (work->watcher)
        watcher_stop(work->watcher);
}

bool mount_member_stopped(const struct mount_work *work)
{
    return (!work->lease || lease_stopped(work->lease)) &&
           (!work->watcher || watcher_stopped(work->watcher));
}
