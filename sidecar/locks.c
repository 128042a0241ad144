#include "sidecar/locks.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "lib/clock.h"
#include "lib/share/lock_name.h"
#include "sidecar/lock.h"

enum { FIRST_WORD_MS = 50 }; /* to who waits: most are granted at once */

static struct lock *find(const struct locks *locks, const char *name)
{
    struct lock *lock;
    LIST_FOREACH(lock, &locks->all, link)
    {
        if (strcmp(lock->name, name) == 0)
            return lock;
    }
    return NULL;
}

static bool is_unused(const struct lock *lock)
{
    return lock->state == LOCK_FREE && lock->fd < 0 && !lock->in_flight &&
           TAILQ_EMPTY(&lock->waiters);
}

static void forget(struct lock *lock)
{
    LIST_REMOVE(lock, link);
    lock->locks->counts.names--;
    free(lock);
}

static struct lock *add(struct locks *locks, const char *name)
{
    struct lock *lock = calloc(1, sizeof(*lock));
    if (!lock)
        return NULL;
    lock->locks = locks;
    lock->fd = -1;
    TAILQ_INIT(&lock->waiters);
    snprintf(lock->name, sizeof(lock->name), "%s", name);
    LIST_INSERT_HEAD(&locks->all, lock, link);
    locks->counts.names++;
    return lock;
}

/* A lock that is only kept open goes when its place is needed. */
static void make_room(struct locks *locks)
{
    struct lock *lock, *oldest = NULL;
    LIST_FOREACH(lock, &locks->all, link)
    {
        if (lock->state == LOCK_FREE && lock->fd >= 0 && TAILQ_EMPTY(&lock->waiters) &&
            (!oldest || lock->used_ms < oldest->used_ms))
            oldest = lock;
    }
    if (!oldest)
        return;
    oldest->state = LOCK_CLOSING;
    lock_step(oldest);
}

/* Locks that are closing, or closed, do not count: they go by themselves. */
static unsigned in_use(const struct locks *locks)
{
    unsigned n = 0;
    const struct lock *lock;
    LIST_FOREACH(lock, &locks->all, link)
    {
        n += !TAILQ_EMPTY(&lock->waiters) || (lock->state != LOCK_CLOSING && !is_unused(lock));
    }
    return n;
}

/* ---- time ---- */

void locks_arm(struct locks *locks)
{
    int64_t due_ms = CLOCK_NEVER;
    const struct lock *lock;
    LIST_FOREACH(lock, &locks->all, link)
    {
        int64_t lock_ms = lock_due_ms(lock);
        if (lock_ms < due_ms)
            due_ms = lock_ms;
    }
    if (due_ms == CLOCK_NEVER) {
        event_del(locks->timer);
        return;
    }
    int64_t wait_ms = due_ms - clock_now_ms();
    if (wait_ms < 1) /* what is due and could not be started: the queue was full */
        wait_ms = 1;
    event_add(locks->timer,
              &(struct timeval){.tv_sec = wait_ms / 1000, .tv_usec = wait_ms % 1000 * 1000});
}

static void step(struct locks *locks)
{
    struct lock *lock = LIST_FIRST(&locks->all);
    int64_t now_ms = clock_now_ms();
    for (struct lock *next; lock; lock = next) {
        next = LIST_NEXT(lock, link);
        if (lock_due_ms(lock) <= now_ms || !TAILQ_EMPTY(&lock->waiters))
            lock_step(lock);
        if (is_unused(lock))
            forget(lock);
    }
    locks_arm(locks);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    step(arg);
}

/* ---- requests ---- */

static int check_request(const struct locks *locks, const struct lock *lock,
                         const struct lock_request *request, struct error *err)
{
    int r = lock_name_check(request->name, err);
    if (r < 0)
        return r;
    if (strlen(request->purpose) > LOCK_TEXT_MAX)
        return error_set(err, EINVAL, "the purpose of a lock can have %d bytes", LOCK_TEXT_MAX);
    if (locks->stopping)
        return error_set(err, ESHUTDOWN, "the sidecar is stopping");
    if (!locks->ready && !locks->begins)
        return error_set(err, EAGAIN, "%s", locks->why);
    if (!lock && in_use(locks) >= locks->options.max)
        return error_set(err, EDQUOT,
                         "%u locks are held or waited for in this task, the most that lock.max "
                         "allows",
                         locks->options.max);
    if (locks->counts.waiting >= LOCKS_WAITERS_MAX)
        return error_set(err, EDQUOT, "%d clients wait for locks in this task, the most that can",
                         LOCKS_WAITERS_MAX);
    if (lock && lock->n_waiters >= LOCKS_NAME_WAITERS_MAX)
        return error_set(err, EDQUOT,
                         "%d clients of this task wait for lock \"%s\", the most that "
                         "can",
                         LOCKS_NAME_WAITERS_MAX, lock->name);
    return 0;
}

/* Nobody else must guess it: who knows it can give the lock back. */
static uint64_t new_id(void)
{
    uint64_t id = 0;
    while (id == 0)
        if (getrandom(&id, sizeof(id), 0) != (ssize_t)sizeof(id))
            id = 0;
    return id;
}

int locks_request(struct locks *locks, const struct lock_request *request,
                  const struct lock_client_ops *ops, void *arg, struct lock_hold **ret_hold,
                  struct error *err)
{
    struct lock *lock = find(locks, request->name);
    if (!lock && in_use(locks) >= locks->options.max)
        make_room(locks);
    int r = check_request(locks, lock, request, err);
    if (r < 0)
        return r;
    struct lock_hold *hold = calloc(1, sizeof(*hold));
    if (hold && !lock)
        lock = add(locks, request->name);
    if (!hold || !lock) {
        free(hold);
        return error_set(err, ENOMEM, "there is no memory for lock \"%s\"", request->name);
    }
    hold->lock = lock;
    hold->locks = locks;
    hold->ops = ops;
    hold->arg = arg;
    hold->id = new_id();
    hold->deadline_ms = request->deadline_ms;
    hold->told_ms = clock_now_ms() + FIRST_WORD_MS;
    hold->once = request->once;
    snprintf(hold->purpose, sizeof(hold->purpose), "%s", request->purpose);
    TAILQ_INSERT_TAIL(&lock->waiters, hold, link);
    lock->n_waiters++;
    locks->counts.waiting++;
    *ret_hold = hold;
    event_active(locks->timer, EV_TIMEOUT, 0); /* the caller knows the hold before it hears of it */
    return 0;
}

struct lock_hold *locks_find_hold(struct locks *locks, uint64_t id)
{
    struct lock_hold *hold;
    struct lock *lock;
    LIST_FOREACH(lock, &locks->all, link)
    {
        if (lock->holder && lock->holder->id == id)
            return lock->holder;
    }
    TAILQ_FOREACH(hold, &locks->lost, link)
    {
        if (hold->id == id)
            return hold;
    }
    return NULL;
}

struct lock_hold *locks_find_token(struct locks *locks, const char *name,
                                   const struct lock_token *token)
{
    struct lock *lock = find(locks, name);
    bool has = lock && lock->holder && lock_hold_is_usable(lock->holder) &&
               lock_token_compare(&lock->record.token, token) == 0;
    return has ? lock->holder : NULL;
}

void locks_wake(struct locks *locks, const char *name)
{
    struct lock *lock = find(locks, name);
    if (!lock || lock->state != LOCK_WAITING || TAILQ_EMPTY(&lock->waiters))
        return;
    lock->next_ms = clock_now_ms();
    event_active(locks->timer, EV_TIMEOUT, 0);
}

/* ---- what is known ---- */

static const char *const state_names[] = {
    [LOCK_FREE] = "free",         [LOCK_WAITING] = "waiting", [LOCK_FENCING] = "fencing",
    [LOCK_GRANTING] = "granting", [LOCK_HELD] = "held",       [LOCK_GIVING_BACK] = "releasing",
    [LOCK_CLOSING] = "releasing",
};

bool locks_view(const struct locks *locks, size_t i, struct lock_view *ret_view)
{
    const struct lock *lock;
    LIST_FOREACH(lock, &locks->all, link)
    {
        if (lock->state == LOCK_FREE && TAILQ_EMPTY(&lock->waiters))
            continue; /* its file is just kept open */
        if (i-- > 0)
            continue;
        *ret_view = (struct lock_view){
            .name = lock->name,
            .state = state_names[lock->state],
            .holder = lock->has_record && !lock->record.clean ? &lock->record : NULL,
            .held = lock->holder != NULL,
            .held_ms = lock->holder ? clock_now_ms() - lock->holder->granted_ms : 0,
            .valid_until_ms = lock->holder ? lock->holder->valid_until_ms : 0,
            .waiters = lock->n_waiters,
        };
        return true;
    }
    return false;
}

void locks_count(const struct locks *locks, struct lock_counts *ret_counts)
{
    *ret_counts = locks->counts;
}

/* ---- the whole ---- */

void locks_check(const struct settings *settings, struct config_report *report)
{
    if (settings->lock_proof_interval_ms > settings->fence_ms / 3)
        config_error(report,
                     "lock.proof_interval: it must be at most a third of lease.fence, or a lock "
                     "is lost with the first proof that comes late");
}

int locks_new(const struct locks_options *options, struct locks **ret_locks)
{
    struct locks *locks = calloc(1, sizeof(*locks));
    if (!locks)
        return -ENOMEM;
    locks->options = *options;
    LIST_INIT(&locks->all);
    TAILQ_INIT(&locks->lost);
    locks->begins = true;
    locks_set_unready(locks, "locks are not ready yet", true);
    locks->timer = evtimer_new(options->base, on_timer, locks);
    if (!locks->timer) {
        free(locks);
        return -ENOMEM;
    }
    *ret_locks = locks;
    return 0;
}

void locks_free(struct locks *locks)
{
    if (!locks)
        return;
    for (struct lock *lock; (lock = LIST_FIRST(&locks->all));) {
        lock_failed(lock, NULL);
        if (lock->holder)
            lock_end_hold(lock->holder, LOCK_END_ERROR, NULL);
        forget(lock);
    }
    for (struct lock_hold *hold; (hold = TAILQ_FIRST(&locks->lost));) {
        TAILQ_REMOVE(&locks->lost, hold, link);
        lock_end_hold(hold, LOCK_END_ERROR, NULL);
    }
    event_free(locks->timer);
    free(locks);
}

void locks_set_ready(struct locks *locks, uint64_t generation, bool on_nfs)
{
    struct lock *lock;
    locks->generation = generation;
    locks->on_nfs = on_nfs;
    if (locks->ready)
        return;
    locks->ready = true;
    locks->begins = false;
    LIST_FOREACH(lock, &locks->all, link)
    {
        if (lock->state == LOCK_WAITING)
            lock->next_ms = clock_now_ms();
    }
    event_active(locks->timer, EV_TIMEOUT, 0);
}

void locks_set_unready(struct locks *locks, const char *why, bool begins)
{
    struct error err;
    struct lock *lock;
    bool fails = locks->begins && !begins;
    locks->ready = false;
    locks->begins = locks->begins && begins;
    snprintf(locks->why, sizeof(locks->why), "%s", why);
    if (!fails)
        return;
    error_set(&err, EAGAIN, "%s", why);
    LIST_FOREACH(lock, &locks->all, link)
    {
        lock_failed(lock, &err);
    }
}

void locks_stop(struct locks *locks)
{
    struct error err;
    struct lock *lock;
    if (locks->stopping)
        return;
    locks->stopping = true;
    error_set(&err, ESHUTDOWN, "the sidecar is stopping");
    LIST_FOREACH(lock, &locks->all, link)
    {
        lock_failed(lock, &err);
    }
    step(locks);
}

bool locks_are_free(const struct locks *locks)
{
    const struct lock *lock;
    LIST_FOREACH(lock, &locks->all, link)
    {
        if (lock->state != LOCK_FREE || lock->in_flight)
            return false;
    }
    return TAILQ_EMPTY(&locks->lost);
}
