#include "sidecar/lock.h"

#include <errno.h>

#include "lib/clock.h"

enum {
    LOOK_MS = 5 * 1000, /* how often waiters are told */
    SILENCE_MS = 3000,  /* of a mount, after which not even a try waits for it */
};

static void drop_waiter(struct lock *lock, struct lock_hold *hold, enum lock_end end,
                        const struct error *err)
{
    TAILQ_REMOVE(&lock->waiters, hold, link);
    lock->n_waiters--;
    lock->locks->counts.waiting--;
    lock_end_hold(hold, end, err);
}

static void say_unanswered(const struct lock *lock, struct error *err)
{
    const struct locks *locks = lock->locks;
    if (!locks->ready)
        error_set(err, EAGAIN, "%s", locks->why);
    else
        error_set(err, ETIMEDOUT, "%s did not answer, so nobody knows whether lock \"%s\" is free",
                  locks->options.place->path, lock->name);
}

void lock_expire_waiters(struct lock *lock, int64_t now_ms)
{
    struct error err;
    struct lock_hold *hold = TAILQ_FIRST(&lock->waiters);
    for (struct lock_hold *next; hold; hold = next) {
        next = TAILQ_NEXT(hold, link);
        /* Who does not want to wait gets one try all the same. */
        bool tried = hold->tried || lock->holder || lock->state == LOCK_FENCING;
        if (!hold->ops || (tried && now_ms >= hold->deadline_ms)) {
            drop_waiter(lock, hold, LOCK_END_TIMEOUT, NULL);
        } else if (now_ms - SILENCE_MS >= hold->deadline_ms) {
            say_unanswered(lock, &err);
            drop_waiter(lock, hold, LOCK_END_ERROR, &err);
        }
    }
}

/* At first, and when something changed. */
void lock_tell_waiters(struct lock *lock, int64_t now_ms)
{
    const struct lock_record *holder =
        lock->has_record && !lock->record.clean ? &lock->record : NULL;
    uint64_t serial = holder ? holder->serial : 0;
    unsigned position = 1;
    struct lock_hold *hold;
    TAILQ_FOREACH(hold, &lock->waiters, link)
    {
        if (hold->ops && now_ms >= hold->told_ms &&
            (hold->told_position != position || hold->told_serial != serial)) {
            hold->told_ms = now_ms + LOOK_MS;
            hold->told_position = position;
            hold->told_serial = serial;
            hold->ops->waiting(hold->arg, position, holder);
        }
        position++;
    }
}

void lock_failed(struct lock *lock, const struct error *err)
{
    struct lock_hold *hold;
    while ((hold = TAILQ_FIRST(&lock->waiters)))
        drop_waiter(lock, hold, LOCK_END_ERROR, err);
}

void lock_end_those_who_want_it_once(struct lock *lock)
{
    struct lock_hold *hold = TAILQ_FIRST(&lock->waiters);
    for (struct lock_hold *next; hold; hold = next) {
        next = TAILQ_NEXT(hold, link);
        if (!hold->once)
            continue;
        hold->exit_status = lock->record.exit_status;
        drop_waiter(lock, hold, LOCK_END_DONE, NULL);
    }
}
