#include "sidecar/lock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "lib/clock.h"
#include "lib/test_hook.h"

enum {
    RETRY_MIN_MS = 100,
    RETRY_SPAN_MS = 150,
    FAILED_RETRY_MS = 1000,
    IN_A_ROW_MOST = 4,
    TURN_MS = 1000,     /* then other hosts get a chance */
    LOOK_MS = 5 * 1000, /* how often waiters are told */
    FIRST_WORD_MS = 50, /* and when first */
    KEEP_OPEN_MS = 60 * 1000,
    WAITERS_STEP_MS = 100,
};

static int64_t retry_ms(void)
{
    uint16_t noise = 0;
    if (getrandom(&noise, sizeof(noise), GRND_NONBLOCK) < 0)
        noise = 0;
    return RETRY_MIN_MS + noise % (RETRY_SPAN_MS + 1);
}

static int64_t valid_until_ms(const struct lock *lock)
{
    return lock->proven_ms + lock->locks->options.fence_ms - LOCKS_MARGIN_MS;
}

/* Early enough for a polite end. */
static int64_t lost_ms(const struct lock *lock)
{
    return valid_until_ms(lock) - lock->locks->options.fence_ms / 6;
}

/* ---- clients ---- */

void lock_end_hold(struct lock_hold *hold, enum lock_end end, const struct error *err)
{
    if (hold->ops)
        hold->ops->ended(hold->arg, end, hold->exit_status, err);
    free(hold);
}

static void drop_waiter(struct lock *lock, struct lock_hold *hold, enum lock_end end,
                        const struct error *err)
{
    TAILQ_REMOVE(&lock->waiters, hold, link);
    lock->n_waiters--;
    lock->locks->counts.waiting--;
    lock_end_hold(hold, end, err);
}

static void expire_waiters(struct lock *lock, int64_t now_ms)
{
    struct lock_hold *hold = TAILQ_FIRST(&lock->waiters);
    for (struct lock_hold *next; hold; hold = next) {
        next = TAILQ_NEXT(hold, link);
        /* Who does not want to wait gets one try all the same. */
        bool tried = hold->tried || lock->holder || lock->state == LOCK_FENCING;
        if (!hold->ops || (tried && now_ms >= hold->deadline_ms))
            drop_waiter(lock, hold, LOCK_END_TIMEOUT, NULL);
    }
}

static void tell_waiters(struct lock *lock, int64_t now_ms)
{
    const struct lock_record *holder =
        lock->has_record && !lock->record.clean && !lock->holder ? &lock->record : NULL;
    unsigned position = 1;
    struct lock_hold *hold;
    TAILQ_FOREACH(hold, &lock->waiters, link)
    {
        if (hold->ops && now_ms >= hold->told_ms) {
            hold->told_ms = now_ms + LOOK_MS;
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

static void end_those_who_want_it_once(struct lock *lock)
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

/* ---- what follows from the ends of calls ---- */

static void give_back(struct lock *lock, bool write)
{
    lock->state = LOCK_GIVING_BACK;
    lock->write_back = write;
}

void lock_taken(struct lock *lock, bool has_record, int64_t sent_ms)
{
    int64_t now_ms = clock_now_ms();
    lock->has_record = has_record;
    lock->proven_ms = lock->asked_ms = sent_ms;
    lock->since_ms = now_ms;
    lock->in_a_row = 0;
    lock->state = LOCK_GRANTING;
    if (!has_record)
        lock->record = (struct lock_record){.clean = true};
    if (lock->record.done)
        end_those_who_want_it_once(lock);
    if (lock->record.clean || test_hook_omits("fence_wait"))
        return;
    lock->state = LOCK_FENCING;
    lock->next_ms = now_ms + lock->record.fence_ms;
    lock->locks->counts.fence_waits++;
}

void lock_not_taken(struct lock *lock)
{
    struct lock_hold *hold;
    lock->next_ms = clock_now_ms() + retry_ms();
    TAILQ_FOREACH(hold, &lock->waiters, link)
    {
        hold->tried = true;
    }
}

void lock_granted(struct lock *lock, const struct lock_record *record, int64_t sent_ms)
{
    struct locks *locks = lock->locks;
    struct lock_hold *hold = TAILQ_FIRST(&lock->waiters);
    lock->proven_ms = lock->asked_ms = sent_ms; /* a write proves it too */
    lock->record = *record;
    lock->has_record = true;
    if (!hold) { /* who wanted it has left meanwhile */
        give_back(lock, true);
        return;
    }
    TAILQ_REMOVE(&lock->waiters, hold, link);
    lock->n_waiters--;
    lock->holder = hold;
    lock->state = LOCK_HELD;
    hold->valid_until_ms = valid_until_ms(lock);
    locks->counts.waiting--;
    locks->counts.granted++;
    if (locks->counts.held++ == 0)
        locks->options.holding(locks->options.arg, true);
    if (hold->ops)
        hold->ops->granted(hold->arg, &record->token, hold->valid_until_ms);
}

void lock_proven(struct lock *lock, int64_t sent_ms)
{
    struct lock_hold *hold = lock->holder;
    lock->proven_ms = sent_ms;
    if (!hold || hold->lost || !hold->ops)
        return;
    hold->valid_until_ms = valid_until_ms(lock);
    hold->ops->valid(hold->arg, hold->valid_until_ms);
}

/* The holder, if there is one, has nothing to do with this lock any more. */
static struct lock_hold *take_holder(struct lock *lock)
{
    struct locks *locks = lock->locks;
    struct lock_hold *hold = lock->holder;
    lock->holder = NULL;
    if (hold && --locks->counts.held == 0)
        locks->options.holding(locks->options.arg, false);
    return hold;
}

static void tell_lost(struct lock_hold *hold, const char *why)
{
    if (hold->lost)
        return;
    hold->lost = true;
    hold->locks->counts.lost++;
    if (hold->ops)
        hold->ops->lost(hold->arg, why, hold->valid_until_ms);
}

void lock_lost(struct lock *lock, const char *why)
{
    struct lock_hold *hold = take_holder(lock);
    lock->state = LOCK_CLOSING;
    if (!hold)
        return;
    tell_lost(hold, why);
    if (hold->released || !hold->ops) {
        lock_end_hold(hold, LOCK_END_RELEASED, NULL);
        return;
    }
    hold->lock = NULL;
    TAILQ_INSERT_TAIL(&lock->locks->lost, hold, link);
}

void lock_given_back(struct lock *lock)
{
    struct locks *locks = lock->locks;
    struct lock_hold *hold = take_holder(lock);
    lock->state = LOCK_FREE;
    lock->used_ms = lock->next_ms = clock_now_ms();
    if (!TAILQ_EMPTY(&lock->waiters))
        lock->next_ms += retry_ms(); /* others first */
    if (hold)
        lock_end_hold(hold, LOCK_END_RELEASED, NULL);
    if (lock->write_back)
        locks->options.released(locks->options.arg, lock->name, lock->record.token.n);
}

void lock_closed(struct lock *lock)
{
    lock->fd = -1;
    lock->has_record = false;
    lock->state = LOCK_FREE;
    lock->next_ms = clock_now_ms() + retry_ms();
}

/* ---- steps ---- */

/* The client said so, or its time is up and it cannot say anything any more. */
static bool is_over(const struct lock_hold *hold, int64_t now_ms)
{
    if (hold->released)
        return true;
    return !hold->ops && (now_ms >= hold->valid_until_ms || test_hook_omits("keep_after_close"));
}

static void step_held(struct lock *lock, int64_t now_ms)
{
    struct lock_hold *hold = lock->holder;
    if (!is_over(hold, now_ms)) {
        if (now_ms - lock->asked_ms >= lock->locks->options.proof_interval_ms)
            lock_call_prove(lock);
        return;
    }
    bool next_here = !TAILQ_EMPTY(&lock->waiters) && !hold->done && !lock->locks->stopping &&
                     lock->in_a_row < IN_A_ROW_MOST && now_ms - lock->since_ms < TURN_MS;
    if (!next_here) {
        lock->record.done = hold->done;
        lock->record.exit_status = hold->exit_status;
        give_back(lock, true);
        lock_call_give_back(lock);
        return;
    }
    lock->in_a_row++;
    lock_end_hold(take_holder(lock), LOCK_END_RELEASED, NULL);
    lock->state = LOCK_GRANTING;
    lock_call_grant(lock, false);
}

static void step_granting(struct lock *lock, bool clean_stage)
{
    struct error err;
    if (TAILQ_EMPTY(&lock->waiters)) {
        give_back(lock, false); /* as it was */
        lock_call_give_back(lock);
    } else if (lock->record.token.generation > lock->locks->generation) {
        error_set(&err, EUCLEAN,
                  "the file of lock \"%s\" is of generation %llu, the state directory of %llu: it "
                  "was restored from a backup; see efsctl state reset",
                  lock->name, (unsigned long long)lock->record.token.generation,
                  (unsigned long long)lock->locks->generation);
        lock_failed(lock, &err);
        give_back(lock, false);
        lock_call_give_back(lock);
    } else {
        lock->state = LOCK_GRANTING;
        lock_call_grant(lock, clean_stage);
    }
}

static void step_fencing(struct lock *lock, int64_t now_ms)
{
    if (TAILQ_EMPTY(&lock->waiters) || now_ms >= lock->next_ms)
        step_granting(lock, true);
    else if (now_ms - lock->asked_ms >= lock->locks->options.proof_interval_ms)
        lock_call_prove(lock);
}

static void step_free(struct lock *lock, int64_t now_ms)
{
    if (!TAILQ_EMPTY(&lock->waiters)) {
        lock->state = LOCK_WAITING;
        if (now_ms >= lock->next_ms)
            lock_call_take(lock);
    } else if (lock->fd >= 0 && now_ms - lock->used_ms >= KEEP_OPEN_MS) {
        lock->state = LOCK_CLOSING;
        lock_call_close(lock);
    }
}

void lock_step(struct lock *lock)
{
    int64_t now_ms = clock_now_ms();
    expire_waiters(lock, now_ms);
    if (lock->holder && now_ms >= lost_ms(lock))
        tell_lost(lock->holder, "the mount does not answer: the lock cannot be proven any more");
    if (lock->state != LOCK_GRANTING)
        tell_waiters(lock, now_ms);
    if (lock->in_flight)
        return;
    switch (lock->state) {
    case LOCK_FREE:
        step_free(lock, now_ms);
        break;
    case LOCK_WAITING:
        if (TAILQ_EMPTY(&lock->waiters)) {
            lock->state = LOCK_FREE;
            lock->used_ms = now_ms;
        } else if (now_ms >= lock->next_ms) {
            lock_call_take(lock);
        }
        break;
    case LOCK_FENCING:
        step_fencing(lock, now_ms);
        break;
    case LOCK_GRANTING:
        step_granting(lock, false);
        break;
    case LOCK_HELD:
        step_held(lock, now_ms);
        break;
    case LOCK_GIVING_BACK:
        lock_call_give_back(lock);
        break;
    case LOCK_CLOSING:
        lock_call_close(lock);
        break;
    }
}

static int64_t sooner(int64_t a_ms, int64_t b_ms)
{
    return a_ms < b_ms ? a_ms : b_ms;
}

int64_t lock_due_ms(const struct lock *lock)
{
    const struct locks_options *options = &lock->locks->options;
    int64_t due_ms = CLOCK_NEVER;
    if (!TAILQ_EMPTY(&lock->waiters)) /* their deadlines, and what they are told */
        due_ms = clock_now_ms() + WAITERS_STEP_MS;
    if (lock->holder && !lock->holder->lost)
        due_ms = sooner(due_ms, lost_ms(lock));
    if (lock->in_flight)
        return due_ms;
    switch (lock->state) {
    case LOCK_FREE:
        return lock->fd >= 0 ? sooner(due_ms, lock->used_ms + KEEP_OPEN_MS) : due_ms;
    case LOCK_WAITING:
        return sooner(due_ms, lock->next_ms);
    case LOCK_FENCING:
        due_ms = sooner(due_ms, lock->next_ms);
        return sooner(due_ms, lock->asked_ms + options->proof_interval_ms);
    case LOCK_HELD:
        if (is_over(lock->holder, clock_now_ms()))
            return 0;
        if (!lock->holder->ops)
            due_ms = sooner(due_ms, lock->holder->valid_until_ms);
        return sooner(due_ms, lock->asked_ms + options->proof_interval_ms);
    case LOCK_GRANTING:
    case LOCK_GIVING_BACK:
    case LOCK_CLOSING:
        break;
    }
    return 0;
}
