/* The calls of lock.h: what a worker does with the file of a lock, and how its end goes on. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/ofd.h"
#include "lib/test_hook.h"
#include "sidecar/lock.h"
#include "sidecar/lock_file.h"

enum {
    FULL_PAUSE_MS = 50,  /* after a queue had no place */
    NAME_CALLS_MAX = 16, /* of ours in the queue of namespace operations */
};

struct lock_call;

/* What a worker does, and how its end goes on in the loop. */
struct call_kind {
    struct job job;
    void (*ended)(struct lock *lock, const struct lock_call *call, int result);
};

/* A worker reads and writes only this. */
struct lock_call {
    const struct call_kind *kind;
    struct lock *lock;
    const struct place *place;
    bool on_nfs, has_record, flag; /* the meaning of flag is the call's */
    int fd;
    struct lock_record record;
    int64_t sent_ms;
    struct error err;
    char name[LOCK_NAME_MAX + 1];
};

/* EIO is how the NFS client says that the lock is gone; a local disk means something else by it. */
static bool is_loss(const struct lock_call *call)
{
    int code = call->err.code;
    return code == ENOENT || code == ESTALE || (code == EIO && call->on_nfs);
}

static const char *loss_words(const struct lock_call *call)
{
    if (!is_loss(call))
        return call->err.text;
    return call->err.code == EIO
               ? "the server gave the lock away: the mount did not answer for longer than the "
                 "server's lease, or another mount presents itself as this NFS client"
               : "the file of the lock was removed while it was held; leave the state directory "
                 "(state.dir) alone";
}

static int fail(struct lock_call *call, int r, const char *what)
{
    return error_set_errno(&call->err, -r, "lock \"%s\" on %s cannot be %s", call->name,
                           call->place->path, what);
}

static int fail_damaged(struct lock_call *call)
{
    char path[LOCK_PATH_SIZE];
    return error_set(&call->err, EBADMSG,
                     "%s in the state directory of %s is damaged. When nobody uses lock \"%s\", "
                     "remove that file and start a new generation (efsctl state reset), or the "
                     "lock's tokens begin at 1 again",
                     lock_name_path(call->name, path), call->place->path, call->name);
}

static int fail_foreign(struct lock_call *call)
{
    char path[LOCK_PATH_SIZE];
    return error_set(&call->err, EPROTONOSUPPORT,
                     "%s in the state directory of %s was written by another version in a format "
                     "that this one (" EFS_SIDECAR_VERSION ", format %d) does not read: take lock "
                     "\"%s\" with the version that the other tasks run",
                     lock_name_path(call->name, path), call->place->path, LOCK_RECORD_FORMAT,
                     call->name);
}

/* What the cause is, where people cannot know. */
static void advise(const struct lock_call *call, struct error *ret_err)
{
    static const struct {
        int code;
        const char *advice;
    } known[] = {
        {ENOLCK, "the server hands out no more locks: EFS allows 512 on a file and some thousands "
                 "on a mount, and the mount must be NFSv4.1"},
        {EDQUOT, "EFS has reached a limit of this mount or of the file system"},
        {ENOSPC, "the file system is full"},
        {EMFILE, "raise ulimits (nofile) of the sidecar's container, or lower lock.max"},
        {EROFS, "the mount is read-only"},
        {EACCES, "let all tasks have one group and set state.gid to it"},
        {EPERM, "let all tasks have one group and set state.gid to it"},
    };
    *ret_err = call->err;
    size_t length = strlen(ret_err->text);
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (known[i].code == ret_err->code)
            snprintf(ret_err->text + length, sizeof(ret_err->text) - length, ": %s",
                     known[i].advice);
}

/* The end of any call. */
static void call_done(void *arg, enum work_outcome outcome, int result)
{
    const struct lock_call *call = arg;
    struct lock *lock = call->lock;
    lock->in_flight = false;
    if (call->kind->job.namespace_op)
        lock->locks->n_name_calls--;
    if (outcome != WORK_DONE)
        return;
    call->kind->ended(lock, call, result);
    lock_step(lock);
    locks_arm(lock->locks);
}

#define JOB(words, run_it, is_namespace_op)                                                        \
    {                                                                                              \
        .what = (words), .namespace_op = (is_namespace_op), .run = (run_it), .done = call_done,    \
        .release = free                                                                            \
    }

/* ---- opening: makes the file, so it is a namespace operation ---- */

static int open_run(void *arg)
{
    struct lock_call *call = arg;
    return lock_file_open(call->place, call->name, call->on_nfs, &call->fd, &call->err);
}

static void open_ended(struct lock *lock, const struct lock_call *call, int result)
{
    if (result == 0) {
        lock->fd = call->fd;
    } else {
        struct error err;
        advise(call, &err);
        lock_failed(lock, &err);
    }
}

static const struct call_kind open_kind = {JOB("opening the file of a lock", open_run, true),
                                           open_ended};

/* ---- taking ---- */

static int take_run(void *arg)
{
    struct lock_call *call = arg;
    call->sent_ms = clock_now_ms();
    int r = lock_file_take(call->fd);
    if (r < 0 && r != -EAGAIN)
        return fail(call, r, "taken");
    bool taken = r == 0;
    /* A descriptor that was kept open may be one of a file that somebody removed. */
    if (taken && (r = lock_file_exists(call->fd)) < 0) {
        lock_file_drop(call->fd);
        return fail(call, r, "taken");
    }
    if (!taken && !call->flag)
        return -EAGAIN;
    r = lock_file_read(call->fd, &call->record);
    call->has_record = r == 0;
    if (taken && r < 0 && r != -ENODATA) {
        lock_file_drop(call->fd);
        if (r == -EPROTONOSUPPORT)
            return fail_foreign(call);
        return r == -EBADMSG ? fail_damaged(call) : fail(call, r, "read");
    }
    return taken ? 0 : -EAGAIN;
}

static void take_ended(struct lock *lock, const struct lock_call *call, int result)
{
    if (call->has_record) {
        lock->record = call->record;
        lock->has_record = true;
    }
    if (result == 0) {
        lock_taken(lock, call->has_record, call->sent_ms);
    } else if (result == -EAGAIN) {
        lock_not_taken(lock);
    } else if (is_loss(call)) { /* of a descriptor that was kept open: another one will do */
        lock->state = LOCK_CLOSING;
    } else {
        struct error err;
        advise(call, &err);
        lock_failed(lock, &err);
        lock->state = LOCK_CLOSING; /* whatever is held by it now goes with it */
    }
}

static const struct call_kind take_kind = {JOB("taking a lock", take_run, false), take_ended};

/* ---- granting: the next token ---- */

static int grant_run(void *arg)
{
    struct lock_call *call = arg;
    if (call->flag) {
        int r = lock_file_clean_stage(call->place, call->name, &call->record.token, &call->err);
        if (r < 0)
            return r;
    }
    call->sent_ms = clock_now_ms();
    int r = lock_file_write(call->fd, &call->record);
    return r < 0 ? fail(call, r, "granted") : 0;
}

static void grant_ended(struct lock *lock, const struct lock_call *call, int result)
{
    if (result == 0) {
        lock_granted(lock, &call->record, call->sent_ms);
    } else if (call->sent_ms != 0 && is_loss(call)) { /* else it is the stage that fails */
        lock_lost(lock, loss_words(call));
    } else {
        struct error err;
        advise(call, &err);
        lock_not_granted(lock, &err);
    }
}

static const struct call_kind grant_kind = {JOB("granting a lock", grant_run, false), grant_ended};

static const struct call_kind grant_after_cleaning_kind = {
    JOB("cleaning up after a lock's last holder", grant_run, true), grant_ended};

/* ---- proving ---- */

static int prove_run(void *arg)
{
    struct lock_call *call = arg;
    call->sent_ms = clock_now_ms();
    if (test_hook_omits("proof"))
        return 0;
    int r = ofd_prove(call->fd);
    return r < 0 ? fail(call, r, "proven") : 0;
}

static void prove_ended(struct lock *lock, const struct lock_call *call, int result)
{
    if (result == 0)
        lock_proven(lock, call->sent_ms);
    else if (is_loss(call))
        lock_lost(lock, loss_words(call));
}

static const struct call_kind prove_kind = {JOB("proving a lock", prove_run, false), prove_ended};

/* ---- giving back ---- */

static int give_back_run(void *arg)
{
    struct lock_call *call = arg;
    int r = call->flag ? lock_file_write(call->fd, &call->record) : 0;
    int dropped = lock_file_drop(call->fd);
    if (r == 0)
        r = dropped;
    return r < 0 ? fail(call, r, "given back") : 0;
}

static void give_back_ended(struct lock *lock, const struct lock_call *call, int result)
{
    if (result == 0) {
        lock->record = call->record;
        lock_given_back(lock);
    } else { /* the record stays unclean; who takes it next waits */
        lock_lost(lock, loss_words(call));
    }
}

static const struct call_kind give_back_kind = {JOB("giving a lock back", give_back_run, false),
                                                give_back_ended};

/* ---- closing ---- */

static int close_run(void *arg)
{
    struct lock_call *call = arg;
    return close(call->fd) < 0 ? -errno : 0;
}

static void close_ended(struct lock *lock, const struct lock_call *call, int result)
{
    lock_closed(lock);
}

static const struct call_kind close_kind = {JOB("closing the file of a lock", close_run, false),
                                            close_ended};

/* ---- */

/* Calls have no deadline: what comes late counts from when it was sent. */
static void submit(struct lock *lock, struct work_pool *pool, const struct call_kind *kind,
                   const struct lock_record *record, bool flag)
{
    struct lock_call *call = calloc(1, sizeof(*call));
    lock->pause_ms = clock_now_ms() + FULL_PAUSE_MS;
    if (!call)
        return;
    *call = (struct lock_call){
        .kind = kind,
        .lock = lock,
        .place = lock->locks->options.place,
        .on_nfs = lock->locks->on_nfs,
        .flag = flag,
        .fd = lock->fd,
        .record = *record,
    };
    memcpy(call->name, lock->name, sizeof(call->name));
    lock->in_flight = work_pool_submit(pool, &kind->job, call, CLOCK_NEVER) == 0;
    if (lock->in_flight)
        lock->pause_ms = 0;
    else
        free(call);
}

/* Namespace operations are done one at a time, and others of the mount want a place in their queue
 * too. */
static void submit_name(struct lock *lock, const struct call_kind *kind,
                        const struct lock_record *record, bool flag)
{
    struct locks *locks = lock->locks;
    if (locks->n_name_calls >= NAME_CALLS_MAX)
        lock->pause_ms = clock_now_ms() + FULL_PAUSE_MS;
    else
        submit(lock, locks->options.names, kind, record, flag);
    locks->n_name_calls += lock->in_flight;
}

void lock_call_take(struct lock *lock)
{
    enum { LOOK_MS = 5 * 1000 };
    struct locks_options *options = &lock->locks->options;
    if (lock->fd < 0) {
        submit_name(lock, &open_kind, &lock->record, false);
        return;
    }
    int64_t now_ms = clock_now_ms();
    bool look = now_ms >= lock->looked_ms; /* at who has it, if we do not get it */
    if (look)
        lock->looked_ms = now_ms + LOOK_MS;
    submit(lock, options->calls, &take_kind, &lock->record, look);
}

void lock_call_grant(struct lock *lock)
{
    const struct locks_options *options = &lock->locks->options;
    const struct lock_hold *first = TAILQ_FIRST(&lock->waiters); /* NULL: it only heals */
    struct lock_record next = lock->record;
    next.clean = next.done = false;
    next.exit_status = 0;
    next.token.generation = lock->locks->generation;
    if (!test_hook_omits("token_increase"))
        next.token.n++;
    next.fence_ms = (uint32_t)options->fence_ms;
    next.since_wall_ms = clock_wall_ms();
    snprintf(next.task, sizeof(next.task), "%s", options->place->settings->task_name);
    snprintf(next.zone, sizeof(next.zone), "%s", options->zone);
    snprintf(next.purpose, sizeof(next.purpose), "%s", first ? first->purpose : "");
    if (lock->must_clean)
        submit_name(lock, &grant_after_cleaning_kind, &next, true);
    else
        submit(lock, options->calls, &grant_kind, &next, false);
}

void lock_call_prove(struct lock *lock)
{
    lock->asked_ms = clock_now_ms();
    submit(lock, lock->locks->options.proofs, &prove_kind, &lock->record, false);
}

void lock_call_give_back(struct lock *lock)
{
    struct lock_record clean = lock->record;
    clean.clean = true;
    submit(lock, lock->locks->options.calls, &give_back_kind,
           lock->write_back ? &clean : &lock->record, lock->write_back);
}

void lock_call_close(struct lock *lock)
{
    submit(lock, lock->locks->options.calls, &close_kind, &lock->record, false);
}
