#include "sidecar/lease.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/backoff.h"
#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/ofd.h"
#include "lib/test_hook.h"

enum {
    RETRY_FIRST_MS = 1000,
    RETRY_MOST_MS = 60 * 1000,
    SHARED_FIRST_MS = 10 * 1000,
    SHARED_MOST_MS = 5 * 60 * 1000,
    PROOFS_TO_TRUST = 6, /* in a row, before a slot that was stolen once counts as held */
};

enum lease_state {
    LEASE_OFF,
    LEASE_WAITING, /* for retry_ms */
    LEASE_TAKING,
    LEASE_HELD,
    LEASE_LEAVING, /* the slot is being written as left */
    LEASE_PARTING, /* until nobody else has the descriptor */
    LEASE_CLOSING,
    LEASE_STOPPED,
};

struct lease {
    struct lease_options options;
    enum lease_state state;
    bool on_nfs, in_flight, stopping, clean, fenced;
    struct membership member;
    int64_t interval_ms; /* between proofs */
    int64_t retry_ms, sent_ms, proven_ms;
    uint64_t proofs;        /* sent */
    int64_t silence_ms;     /* the longest since the last proof */
    int64_t ticked_ms;      /* 0: never */
    unsigned proofs_wanted; /* until the slot is trusted again */
    struct backoff retry, shared;
};

/* A worker reads and writes only this. */
struct lease_call {
    struct lease *lease;
    const struct place *place;
    bool on_nfs;
    struct membership member;
    int64_t sent_ms;
    struct error err;
};

int lease_new(const struct lease_options *options, struct lease **ret_lease)
{
    struct lease *lease = malloc(sizeof(*lease));
    if (!lease)
        return -ENOMEM;
    *lease = (struct lease){
        .options = *options,
        .member = {.fd = -1},
        .interval_ms = options->place->settings->proof_interval_ms,
        .retry = {.first_ms = RETRY_FIRST_MS, .most_ms = RETRY_MOST_MS},
        .shared = {.first_ms = SHARED_FIRST_MS, .most_ms = SHARED_MOST_MS},
    };
    *ret_lease = lease;
    return 0;
}

void lease_free(struct lease *lease)
{
    free(lease);
}

static void say(struct lease *lease, enum condition_status status, const char *reason,
                const char *text)
{
    conditions_set(lease->options.conditions, CONDITION_LOCKS_READY, status, reason, "%s", text);
}

static int64_t proof_age_ms(const struct lease *lease)
{
    return clock_now_ms() - lease->proven_ms;
}

static void say_held(struct lease *lease)
{
    if (lease->proofs_wanted > 0)
        return; /* what was said about the loss stands */
    if (lease->member.twin < 0)
        conditions_set(lease->options.conditions, CONDITION_LOCKS_READY, CONDITION_TRUE, "SlotHeld",
                       "slot %u of the board is held", lease->member.slot);
    else
        conditions_set(lease->options.conditions, CONDITION_LOCKS_READY, CONDITION_TRUE, "SlotHeld",
                       "slot %u of the board is held, and slot %d is said to be held by another "
                       "task named %s: they use one write directory. Give each its own task.name",
                       lease->member.slot, lease->member.twin,
                       lease->options.place->settings->task_name);
}

static void submit(struct lease *lease, const struct job *job);

/* ---- close: all descriptors before a new one is opened ---- */

static int close_run(void *arg)
{
    struct lease_call *call = arg;
    return close(call->member.fd) < 0 ? -errno : 0;
}

static void close_done(void *arg, enum work_outcome outcome, int result)
{
    struct lease *lease = ((struct lease_call *)arg)->lease;
    lease->in_flight = false;
    if (outcome != WORK_DONE)
        return;
    lease->member.fd = -1;
    lease->state = lease->stopping ? LEASE_STOPPED : LEASE_WAITING;
}

static const struct job close_job = {
    .what = "closing the board",
    .run = close_run,
    .done = close_done,
    .release = free,
};

/* A slot is owned by a description, so all who have it must be gone before another is taken. */
static void part(struct lease *lease)
{
    lease->state = LEASE_PARTING;
    if (lease->options.in_use(lease->options.arg))
        return;
    lease->state = LEASE_CLOSING;
    submit(lease, &close_job);
}

static void part_and_retry(struct lease *lease, int64_t after_ms)
{
    lease->retry_ms = clock_now_ms() + after_ms;
    lease->fenced = false;
    lease->options.lost(lease->options.arg);
    part(lease);
}

/* ---- leave ---- */

static int leave_run(void *arg)
{
    struct lease_call *call = arg;
    return membership_leave(&call->member);
}

static void leave_done(void *arg, enum work_outcome outcome, int result)
{
    struct lease *lease = ((struct lease_call *)arg)->lease;
    lease->in_flight = false;
    if (outcome != WORK_DONE)
        return;
    if (result < 0)
        log_warn("slot %u of %s cannot be written as left (%s): the other tasks will look for what "
                 "this one may not have told",
                 lease->member.slot, lease->options.place->path, error_name(-result));
    part(lease);
}

static const struct job leave_job = {
    .what = "giving the slot on the board back",
    .run = leave_run,
    .done = leave_done,
    .release = free,
};

static void leave(struct lease *lease)
{
    if (!lease->clean) {
        part(lease);
        return;
    }
    lease->state = LEASE_LEAVING;
    submit(lease, &leave_job);
}

/* ---- losing it ---- */

static void lose(struct lease *lease, int code)
{
    if (code == -ENOENT || code == -ESTALE) {
        say(lease, CONDITION_FALSE, "BoardRemoved",
            "the state directory or its board was removed while tasks were using it; it is made "
            "again. Leave the state directory (state.dir) alone");
        part_and_retry(lease, backoff_next_ms(&lease->retry));
        lease->options.gone(lease->options.arg);
        return;
    }
    if (ofd_judge_loss(lease->silence_ms, 0) == OFD_LOSS_LEASE_EXPIRED) {
        conditions_set(lease->options.conditions, CONDITION_LOCKS_READY, CONDITION_FALSE,
                       "LeaseLost",
                       "the mount did not answer for %lld s and the server gave this host's locks "
                       "away; a new slot is taken. Find out why the mount did not answer",
                       (long long)(lease->silence_ms / 1000));
        part_and_retry(lease, backoff_next_ms(&lease->retry));
        return;
    }
    lease->proofs_wanted = PROOFS_TO_TRUST;
    say(lease, CONDITION_FALSE, "ClientIdentityShared",
        "the server dropped this host's locks although the mount answered all the time: another "
        "mount presents itself as the same NFS client, as two containers of one host do that have "
        "network namespaces of their own and one host name. Give each an id of its own "
        "(nfs.nfs4_unique_id, or /sys/fs/nfs/net/nfs_client/identifier in its namespace), or "
        "place one such task on a host");
    part_and_retry(lease, backoff_next_ms(&lease->shared));
}

/* ---- proof ---- */

static int prove_run(void *arg)
{
    struct lease_call *call = arg;
    return test_hook_omits("slot_proof") ? 0 : ofd_prove(call->member.fd);
}

/* EIO is how the NFS client says that the lock is gone; a local disk means something else by it. */
static bool is_loss(const struct lease *lease, int result)
{
    return result == -ENOENT || result == -ESTALE || (result == -EIO && lease->on_nfs);
}

static void prove_done(void *arg, enum work_outcome outcome, int result)
{
    struct lease_call *call = arg;
    struct lease *lease = call->lease;
    lease->in_flight = false;
    if (outcome != WORK_DONE)
        return;
    lease_note_silence(lease, clock_now_ms() - call->sent_ms);
    if (lease->stopping) {
        leave(lease);
    } else if (lease->fenced) {
        lose(lease, is_loss(lease, result) ? result : -EIO);
    } else if (result == 0) {
        lease->proven_ms = call->sent_ms;
        lease->silence_ms = 0;
        if (lease->proofs_wanted > 0 && --lease->proofs_wanted == 0)
            backoff_reset(&lease->shared);
        backoff_reset(&lease->retry);
        say_held(lease);
    } else if (is_loss(lease, result)) {
        lose(lease, result);
    } else {
        conditions_set(lease->options.conditions, CONDITION_LOCKS_READY, CONDITION_UNKNOWN,
                       "ProofFailed", "whether slot %u of the board is held cannot be told: %s",
                       lease->member.slot, strerror(-result));
    }
}

static const struct job prove_job = {
    .what = "proving the slot on the board",
    .run = prove_run,
    .done = prove_done,
    .release = free,
};

/* ---- take ---- */

static int take_run(void *arg)
{
    struct lease_call *call = arg;
    return membership_take(call->place, call->on_nfs, &call->member, &call->err);
}

static void take_failed(struct lease *lease, const struct lease_call *call)
{
    static const struct {
        int code;
        const char *reason, *advice;
    } causes[] = {
        {EUSERS, "BoardFull", "At most 256 tasks can share a state directory"},
        {EXDEV, "ForeignState", ""},
        {EPROTONOSUPPORT, "StateNewer", ""},
        {EACCES, "PermissionDenied", "Let all tasks have one group and set state.gid to it"},
        {EPERM, "PermissionDenied", "Let all tasks have one group and set state.gid to it"},
        {ENOLCK, "NoLocks", "The server hands out no locks: the mount must be NFSv4.1"},
    };
    const char *reason = "SlotNotTaken", *advice = "It is tried again";
    for (size_t i = 0; i < ARRAY_LEN(causes); i++) {
        if (causes[i].code == call->err.code) {
            reason = causes[i].reason;
            advice = causes[i].advice;
        }
    }
    if (lease->proofs_wanted == 0)
        conditions_set(lease->options.conditions, CONDITION_LOCKS_READY, CONDITION_FALSE, reason,
                       "%s. %s", call->err.text, advice);
    lease->options.trouble(lease->options.arg);
    lease->state = LEASE_WAITING;
    lease->retry_ms = clock_now_ms() + backoff_next_ms(&lease->retry);
    if (call->err.code == ENOENT || call->err.code == ESTALE)
        lease->options.gone(lease->options.arg);
}

static void take_done(void *arg, enum work_outcome outcome, int result)
{
    struct lease_call *call = arg;
    struct lease *lease = call->lease;
    lease->in_flight = false;
    if (outcome != WORK_DONE)
        return;
    if (result < 0) {
        take_failed(lease, call);
        if (lease->stopping)
            lease->state = LEASE_STOPPED;
        return;
    }
    lease->member = call->member;
    lease->proven_ms = lease->sent_ms = call->member.sent_ms;
    lease->silence_ms = 0;
    lease->state = LEASE_HELD;
    if (lease->stopping) {
        lease->clean = true; /* nothing was announced under it */
        leave(lease);
        return;
    }
    say_held(lease);
    lease->options.taken(lease->options.arg, &lease->member);
}

/* A slot that came after its time was given up with the lease goes back. */
static void take_late(void *arg, int result)
{
    struct lease_call *call = arg;
    if (result == 0)
        close(call->member.fd);
}

static const struct job take_job = {
    .what = "taking a slot on the board",
    .run = take_run,
    .done = take_done,
    .late = take_late,
    .release = free,
};

/* ---- */

/* Calls have no deadline: what hangs is seen by the age of the oldest call, and what comes late
 * counts from when it was sent. */
static void submit(struct lease *lease, const struct job *job)
{
    struct lease_call *call = calloc(1, sizeof(*call));
    if (!call)
        return;
    *call = (struct lease_call){
        .lease = lease,
        .place = lease->options.place,
        .on_nfs = lease->on_nfs,
        .member = lease->member,
        .sent_ms = clock_now_ms(),
    };
    lease->in_flight = work_pool_submit(lease->options.pool, job, call, CLOCK_NEVER) == 0;
    if (!lease->in_flight)
        free(call);
}

void lease_start(struct lease *lease, bool on_nfs)
{
    lease->on_nfs = on_nfs;
    if (lease->state == LEASE_OFF) {
        lease->state = LEASE_WAITING;
        say(lease, CONDITION_UNKNOWN, "Starting", "a slot on the board is being taken");
    }
}

static void check_age(struct lease *lease)
{
    if (proof_age_ms(lease) > lease->interval_ms + lease->options.place->settings->stall_after_ms)
        conditions_set(lease->options.conditions, CONDITION_LOCKS_READY, CONDITION_UNKNOWN,
                       "ProofOverdue",
                       "the slot was last proven %lld s ago: the mount does not answer",
                       (long long)(proof_age_ms(lease) / 1000));
}

void lease_tick(struct lease *lease)
{
    int64_t now_ms = clock_now_ms();
    if (lease->ticked_ms != 0) /* a host that was frozen was not heard of either */
        lease_note_silence(lease, now_ms - lease->ticked_ms);
    lease->ticked_ms = now_ms;
    if (lease->state == LEASE_HELD && lease->in_flight && lease->proofs_wanted == 0)
        check_age(lease);
    if (lease->in_flight)
        return;
    switch (lease->state) {
    case LEASE_WAITING:
        if (now_ms >= lease->retry_ms) {
            lease->state = LEASE_TAKING;
            submit(lease, &take_job);
        }
        break;
    case LEASE_TAKING:
        submit(lease, &take_job);
        break;
    case LEASE_HELD:
        if (lease->fenced || now_ms - lease->sent_ms >= lease->interval_ms) {
            lease->sent_ms = now_ms;
            lease->proofs++;
            submit(lease, &prove_job);
        }
        break;
    case LEASE_LEAVING:
        submit(lease, &leave_job);
        break;
    case LEASE_PARTING:
        part(lease);
        break;
    case LEASE_CLOSING:
        submit(lease, &close_job);
        break;
    case LEASE_OFF:
    case LEASE_STOPPED:
        break;
    }
}

void lease_note_silence(struct lease *lease, int64_t silence_ms)
{
    if (silence_ms > lease->silence_ms)
        lease->silence_ms = silence_ms;
}

uint64_t lease_proofs(const struct lease *lease)
{
    return lease->proofs;
}

int64_t lease_proven_ms(const struct lease *lease)
{
    return lease->proven_ms;
}

void lease_fenced(struct lease *lease)
{
    lease->fenced = lease->state == LEASE_HELD; /* the next proof says why */
}

void lease_set_interval(struct lease *lease, int64_t interval_ms)
{
    lease->interval_ms = interval_ms;
}

void lease_stop(struct lease *lease, bool clean)
{
    if (lease->stopping)
        return;
    lease->stopping = true;
    lease->clean = clean;
    if (lease->in_flight)
        return; /* its end goes on from there */
    if (lease->state == LEASE_HELD)
        leave(lease);
    else if (lease->state != LEASE_PARTING && lease->state != LEASE_CLOSING)
        lease->state = LEASE_STOPPED;
}

bool lease_stopped(const struct lease *lease)
{
    return lease->state == LEASE_STOPPED;
}
