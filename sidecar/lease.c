#include "sidecar/lease.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/backoff.h"
#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/ofd.h"
#include "lib/share/board.h"

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
    LEASE_CLOSING,
    LEASE_STOPPED,
};

struct lease {
    struct lease_options options;
    enum lease_state state;
    bool on_nfs, in_flight, stopping;
    int fd;
    unsigned slot;
    int64_t retry_ms, sent_ms, proven_ms;
    uint64_t proofs;        /* sent */
    int64_t silence_ms;     /* the longest since the last proof */
    unsigned proofs_wanted; /* until the slot is trusted again */
    struct backoff retry, shared;
};

/* A worker reads and writes only this. */
struct lease_call {
    struct lease *lease;
    const struct place *place;
    bool on_nfs;
    int fd;
    unsigned slot;
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
        .fd = -1,
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
    conditions_set(lease->options.conditions, CONDITION_LOCKS_READY, CONDITION_TRUE, "SlotHeld",
                   "slot %u of the board is held", lease->slot);
}

static void submit(struct lease *lease, const struct job *job);

/* ---- close: all descriptors before a new one is opened ---- */

static int close_run(void *arg)
{
    struct lease_call *call = arg;
    return close(call->fd) < 0 ? -errno : 0;
}

static void close_done(void *arg, enum work_outcome outcome, int result)
{
    struct lease *lease = ((struct lease_call *)arg)->lease;
    lease->in_flight = false;
    if (outcome != WORK_DONE)
        return;
    lease->fd = -1;
    lease->state = lease->stopping ? LEASE_STOPPED : LEASE_WAITING;
}

static const struct job close_job = {
    .what = "closing the board",
    .run = close_run,
    .done = close_done,
    .release = free,
};

static void close_and_retry(struct lease *lease, int64_t after_ms)
{
    lease->retry_ms = clock_now_ms() + after_ms;
    lease->state = LEASE_CLOSING;
    submit(lease, &close_job);
}

/* ---- losing it ---- */

static void lose(struct lease *lease, int code)
{
    if (code == -ENOENT || code == -ESTALE) {
        say(lease, CONDITION_FALSE, "BoardRemoved",
            "the state directory or its board was removed while tasks were using it; it is made "
            "again. Leave the state directory (state.dir) alone");
        close_and_retry(lease, backoff_next_ms(&lease->retry));
        lease->options.gone(lease->options.arg);
        return;
    }
    if (ofd_judge_loss(lease->silence_ms, 0) == OFD_LOSS_LEASE_EXPIRED) {
        conditions_set(lease->options.conditions, CONDITION_LOCKS_READY, CONDITION_FALSE,
                       "LeaseLost",
                       "the mount did not answer for %lld s and the server gave this host's locks "
                       "away; a new slot is taken. Find out why the mount did not answer",
                       (long long)(lease->silence_ms / 1000));
        close_and_retry(lease, backoff_next_ms(&lease->retry));
        return;
    }
    lease->proofs_wanted = PROOFS_TO_TRUST;
    say(lease, CONDITION_FALSE, "ClientIdentityShared",
        "the server dropped this host's locks although the mount answered all the time: another "
        "mount presents itself as the same NFS client, as two containers of one host do that have "
        "network namespaces of their own and one host name. Give each an id of its own "
        "(nfs.nfs4_unique_id, or /sys/fs/nfs/net/nfs_client/identifier in its namespace), or "
        "place one such task on a host");
    close_and_retry(lease, backoff_next_ms(&lease->shared));
}

/* ---- proof ---- */

static int prove_run(void *arg)
{
    struct lease_call *call = arg;
    return ofd_prove(call->fd);
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
        close_and_retry(lease, 0);
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
                       lease->slot, strerror(-result));
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
    const struct place *place = call->place;
    _cleanup_close_ int state_fd = -1, fd = -1;

    int r = place_open_state(place, &state_fd, &call->err);
    if (r < 0)
        return r;
    r = board_open(state_fd, call->on_nfs, &fd);
    if (r < 0)
        return error_set_errno(&call->err, -r, "the board on %s cannot be opened", place->path);
    r = board_take(fd, board_first_choice(place->settings->task_name), &call->slot);
    if (r == -EUSERS)
        return error_set(&call->err, EUSERS, "all %d slots of the board on %s are taken",
                         BOARD_SLOTS, place->path);
    if (r < 0)
        return error_set_errno(&call->err, -r, "the board on %s cannot be locked", place->path);
    call->sent_ms = clock_now_ms();
    r = ofd_prove(fd);
    if (r < 0)
        return error_set_errno(&call->err, -r, "the lock on the board of %s cannot be proven",
                               place->path);
    call->fd = take_fd(&fd);
    return 0;
}

static void take_failed(struct lease *lease, const struct lease_call *call)
{
    static const struct {
        int code;
        const char *reason, *advice;
    } causes[] = {
        {EUSERS, "BoardFull", "At most 256 tasks can share a state directory"},
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
    lease->fd = call->fd;
    lease->slot = call->slot;
    lease->proven_ms = call->sent_ms;
    lease->silence_ms = 0;
    lease->state = LEASE_HELD;
    if (lease->stopping) {
        close_and_retry(lease, 0);
        return;
    }
    say_held(lease);
    lease->options.taken(lease->options.arg, lease->slot);
}

/* A slot that came after its time was given up with the lease goes back. */
static void take_late(void *arg, int result)
{
    struct lease_call *call = arg;
    if (result == 0)
        close(call->fd);
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
        .fd = lease->fd,
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
    const struct settings *settings = lease->options.place->settings;
    if (proof_age_ms(lease) > settings->proof_interval_ms + settings->stall_after_ms)
        conditions_set(lease->options.conditions, CONDITION_LOCKS_READY, CONDITION_UNKNOWN,
                       "ProofOverdue",
                       "the slot was last proven %lld s ago: the mount does not answer",
                       (long long)(proof_age_ms(lease) / 1000));
}

void lease_tick(struct lease *lease)
{
    int64_t now_ms = clock_now_ms();
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
        if (now_ms - lease->sent_ms >= lease->options.place->settings->proof_interval_ms) {
            lease->sent_ms = now_ms;
            lease->proofs++;
            submit(lease, &prove_job);
        }
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

void lease_stop(struct lease *lease)
{
    if (lease->stopping)
        return;
    lease->stopping = true;
    if (lease->in_flight)
        return; /* its end goes on from there */
    if (lease->state == LEASE_HELD)
        close_and_retry(lease, 0);
    else
        lease->state = LEASE_STOPPED;
}

bool lease_stopped(const struct lease *lease)
{
    return lease->state == LEASE_STOPPED;
}
