#include "sidecar/mount_locks.h"

#include <errno.h>
#include <stdlib.h>

#include "lib/clock.h"
#include "lib/share/journal.h"
#include "lib/share/notice.h"
#include "sidecar/locks.h"
#include "sidecar/mount_chores.h"
#include "sidecar/mount_member.h"

enum {
    CALL_THREADS = 4,
    PROOF_THREADS = 1, /* nothing queues before a proof but other proofs */
    QUEUE = 1024,
};

struct mount_locks {
    struct work_pool *calls, *proofs;
    struct event *calls_event, *proofs_event;
    struct locks *locks;
};

/* It only shortens the peers' wait: nobody waits for the answer. */
static void told(void *arg, int result, uint64_t sequence) {}

static void on_released(void *arg, const char *name, uint64_t n)
{
    struct mount_work *work = arg;
    const struct notice notice = {.kind = NOTICE_LOCK_RELEASED, .number = n, .name = name};
    uint8_t payload[NOTICE_ENCODED_MAX];
    int length = notice_encode(&notice, payload, sizeof(payload));
    if (work->watcher && length > 0)
        watcher_announce(work->watcher, JOURNAL_NOTICE, payload, (size_t)length, told, NULL);
}

static void on_holding(void *arg, bool any)
{
    mount_member_hold(arg, any);
}

int mount_locks_open(struct mount_work *work)
{
    const struct settings *settings = work->options.settings;
    struct mount_locks *own = calloc(1, sizeof(*own));
    if (!own)
        return -ENOMEM;
    work->mount_locks = own;
    int r = mount_work_open_own_pool(work, CALL_THREADS, QUEUE, &own->calls, &own->calls_event);
    if (r == 0)
        r = mount_work_open_own_pool(work, PROOF_THREADS, QUEUE, &own->proofs, &own->proofs_event);
    if (r < 0)
        return r;
    const struct locks_options options = {
        .base = work->options.base,
        .place = &work->place,
        .calls = own->calls,
        .names = work->files,
        .proofs = own->proofs,
        .fence_ms = settings->fence_ms,
        .proof_interval_ms = settings->lock_proof_interval_ms,
        .max = (unsigned)settings->lock_max,
        .zone = "",
        .released = on_released,
        .holding = on_holding,
        .arg = work,
    };
    return locks_new(&options, &own->locks);
}

struct locks *mount_locks_of(const struct mount_work *work)
{
    return work->mount_locks ? work->mount_locks->locks : NULL;
}

void mount_locks_follow(struct mount_work *work)
{
    struct locks *locks = mount_locks_of(work);
    bool begins;
    if (!locks)
        return;
    if (work->has_slot) {
        locks_set_ready(locks, work->member.generation, work->state_nfs);
    } else {
        const struct condition *obstacle = mount_member_obstacle(work, &begins);
        locks_set_unready(locks, obstacle->message, begins);
    }
}

void mount_locks_count(struct mount_work *work)
{
    struct lock_counts counts;
    if (!mount_locks_of(work))
        return;
    locks_count(mount_locks_of(work), &counts);
    metrics_set(work->metrics, METRIC_LOCKS_HELD, counts.held);
    metrics_set(work->metrics, METRIC_LOCKS_WAITING, counts.waiting);
    metrics_count_total(work->metrics, METRIC_LOCKS_GRANTED, counts.granted);
    metrics_count_total(work->metrics, METRIC_LOCKS_LOST, counts.lost);
    metrics_count_total(work->metrics, METRIC_LOCK_FENCE_WAITS, counts.fence_waits);
}

void mount_locks_status(const struct mount_work *work, struct mount_status *status)
{
    struct lock_counts counts;
    if (!mount_locks_of(work))
        return;
    locks_count(mount_locks_of(work), &counts);
    status->has_locks = true;
    status->locks_held = counts.held;
    status->locks_waiting = counts.waiting;
}

void mount_locks_hear(struct mount_work *work, const struct watch_notice *said)
{
    struct notice notice;
    if (!mount_locks_of(work) || notice_decode(said->payload, said->length, &notice) < 0)
        return;
    if (notice.kind == NOTICE_LOCK_RELEASED && notice.name)
        locks_wake(mount_locks_of(work), notice.name);
}

void mount_locks_stop(struct mount_work *work)
{
    if (mount_locks_of(work))
        locks_stop(mount_locks_of(work));
}

bool mount_locks_are_free(const struct mount_work *work)
{
    return !mount_locks_of(work) || locks_are_free(mount_locks_of(work));
}

int mount_locks_close(struct mount_work *work, int64_t timeout_ms)
{
    struct mount_locks *own = work->mount_locks;
    int64_t until_ms = clock_now_ms() + timeout_ms;
    if (!own)
        return 0;
    if (own->calls_event)
        event_free(own->calls_event);
    if (own->proofs_event)
        event_free(own->proofs_event);
    int r = work_pool_close(own->calls, timeout_ms);
    if (work_pool_close(own->proofs, clock_poll_timeout(until_ms)) < 0 || r < 0)
        return -EBUSY;
    locks_free(own->locks);
    free(own);
    return 0;
}
