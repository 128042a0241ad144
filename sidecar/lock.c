#include "sidecar/lock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "lib/clock.h"
#include "lib/test_hook.h"
#include "sidecar/promise.h"

enum {
    RETRY_MIN_MS = 100,
    RETRY_SPAN_MS = 150,
    OTHERS_FIRST_MS = RETRY_MIN_MS + RETRY_SPAN_MS + 10, /* each has tried once by then */
    UNREADY_RETRY_MS = 500,
    IN_A_ROW_MOST = 4,
    TURN_MS = 1000, /* then other hosts get a chance */
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
    return promise_valid_until_ms(lock->proven_ms, lock->locks->options.fence_ms);
}

static int64_t lost_ms(const struct lock *lock)
{
    return promise_lost_ms(lock->proven_ms, lock->locks->options.fence_ms);
}

/* ---- clients ---- */

void lock_end_hold(struct lock_hold *hold, enum lock_end end, const struct error *err)
{
    if (hold->ops)
        hold->ops->ended(hold->arg, end, hold->exit_status, err);
    free(hold);
}

/* ---- what follows from the ends of calls ---- */

static void give_back(struct lock *lock, bool write)
{
    lock->state = LOCK_GIVING_BACK;
    lock->write_back = write;
}

void lock_not_granted(struct lock *lock, const struct error *err)
{
    lock_failed(lock, err);
    give_back(lock, false); /* as it was */
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
        lock_end_those_who_want_it_once(lock);
    lock->must_clean = !lock->record.clean;
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
    lock->proven_ms = lock->asked_ms = sent_ms; /* a write proves it too */
    lock->record = *record;
    lock->has_record = true;
    lock->must_clean = false;
    lock_expire_waiters(lock, clock_now_ms());
    struct lock_hold *hold = TAILQ_FIRST(&lock->waiters);
    if (!hold) { /* who wanted it has left meanwhile */
        give_back(lock, true);
        return;
    }
    TAILQ_REMOVE(&lock->waiters, hold, link);
    lock->n_waiters--;
    lock->holder = hold;
    lock->state = LOCK_HELD;
    hold->valid_until_ms = valid_until_ms(lock);
    hold->granted_ms = clock_now_ms();
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
        struct error lost;
        error_set(&lost, EIO, "%s", why);
        lock_end_hold(hold, LOCK_END_LOST, &lost);
        return;
    }
    hold->lock = NULL;
    TAILQ_INSERT_TAIL(&lock->locks->lost, hold, link);
}

static void end_unclean(struct lock_hold *hold)
{
    struct error unclean;
    error_set(&unclean, EIO, "the outcome of a publish under it is not known");
    lock_end_hold(hold, LOCK_END_LOST, &unclean);
}

void lock_given_back(struct lock *lock)
{
    struct locks *locks = lock->locks;
    struct lock_hold *hold = take_holder(lock);
    lock->state = LOCK_FREE;
    lock->used_ms = lock->next_ms = clock_now_ms();
    if (!TAILQ_EMPTY(&lock->waiters))
        lock->next_ms += OTHERS_FIRST_MS;
    if (hold && lock->write_back)
        lock_end_hold(hold, LOCK_END_RELEASED, NULL);
    else if (hold)
        end_unclean(hold);
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

/* Of a hold that was abandoned: what used the lock is ended by then, and what that had under way.
 */
static int64_t kept_until_ms(const struct lock_hold *hold)
{
    return test_hook_omits("keep_after_close") ? 0 : hold->valid_until_ms + PROMISE_MARGIN_MS;
}

/* The client said so, or its time is up and it cannot say anything any more. */
static bool is_over(const struct lock_hold *hold, int64_t now_ms)
{
    return !hold || hold->released || (!hold->ops && now_ms >= kept_until_ms(hold));
}

static void step_held(struct lock *lock, int64_t now_ms)
{
    struct lock_hold *hold = lock->holder;
    if (!hold)
        return; /* it is never held by nobody */
    if (!is_over(hold, now_ms)) {
        if (now_ms - lock->asked_ms >= lock->locks->options.proof_interval_ms)
            lock_call_prove(lock);
        return;
    }
    bool clean = hold->publishes == 0 || test_hook_omits("unclean_publish");
    bool next_here = clean && !TAILQ_EMPTY(&lock->waiters) && !hold->done &&
                     !lock->locks->stopping && lock->in_a_row < IN_A_ROW_MOST &&
                     now_ms - lock->since_ms < TURN_MS;
    if (!next_here) {
        lock->record.done = hold->done;
        lock->record.exit_status = hold->exit_status;
        give_back(lock, clean);
        lock_call_give_back(lock);
        return;
    }
    lock->in_a_row++;
    lock_end_hold(take_holder(lock), LOCK_END_RELEASED, NULL);
    lock->state = LOCK_GRANTING;
    lock_call_grant(lock);
}

static void step_granting(struct lock *lock)
{
    struct error err;
    bool heals = lock->must_clean && !lock->locks->stopping;
    if (TAILQ_EMPTY(&lock->waiters) && !heals) {
        give_back(lock, lock->in_a_row > 0); /* as it was, or on the word of the last one here */
        lock_call_give_back(lock);
    } else if (lock->record.token.generation > lock->locks->generation) {
        error_set(&err, EUCLEAN,
                  "the file of lock \"%s\" is of generation %llu, the state directory of %llu: it "
                  "was restored from a backup; see efsctl state reset",
                  lock->name, (unsigned long long)lock->record.token.generation,
                  (unsigned long long)lock->locks->generation);
        lock_not_granted(lock, &err);
        lock_call_give_back(lock);
    } else {
        lock->state = LOCK_GRANTING;
        lock_call_grant(lock);
    }
}

/* It goes on when all who waited have left: otherwise nobody who waits for less than the fence
 * would ever have this lock again. */
static void step_fencing(struct lock *lock, int64_t now_ms)
{
    if (lock->locks->stopping || now_ms >= lock->next_ms)
        step_granting(lock);
    else if (now_ms - lock->asked_ms >= lock->locks->options.proof_interval_ms)
        lock_call_prove(lock);
}

static void step_waiting(struct lock *lock, int64_t now_ms)
{
    if (TAILQ_EMPTY(&lock->waiters)) {
        lock->state = LOCK_FREE;
        lock->used_ms = now_ms;
    } else if (now_ms >= lock->next_ms && lock->locks->ready) {
        lock_call_take(lock);
    } else if (now_ms >= lock->next_ms) {
        lock->next_ms = now_ms + UNREADY_RETRY_MS;
    }
}

static void step_free(struct lock *lock, int64_t now_ms)
{
    if (!TAILQ_EMPTY(&lock->waiters)) {
        lock->state = LOCK_WAITING;
        step_waiting(lock, now_ms);
    } else if (lock->fd >= 0 && now_ms - lock->used_ms >= KEEP_OPEN_MS) {
        lock->state = LOCK_CLOSING;
        lock_call_close(lock);
    }
}

/* Somebody has to hear of it. */
static bool may_be_lost(const struct lock *lock)
{
    return lock->holder && !lock->holder->lost && !lock->holder->released;
}

void lock_step(struct lock *lock)
{
    int64_t now_ms = clock_now_ms();
    lock_expire_waiters(lock, now_ms);
    if (may_be_lost(lock) && now_ms >= lost_ms(lock))
        tell_lost(lock->holder, "the mount does not answer: the lock cannot be proven any more");
    if (lock->state != LOCK_GRANTING)
        lock_tell_waiters(lock, now_ms);
    if (lock->in_flight || now_ms < lock->pause_ms)
        return;
    switch (lock->state) {
    case LOCK_FREE:
        step_free(lock, now_ms);
        break;
    case LOCK_WAITING:
        step_waiting(lock, now_ms);
        break;
    case LOCK_FENCING:
        step_fencing(lock, now_ms);
        break;
    case LOCK_GRANTING:
        step_granting(lock);
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

/* When its state goes on without an event. */
static int64_t state_due_ms(const struct lock *lock)
{
    int64_t prove_ms = lock->asked_ms + lock->locks->options.proof_interval_ms;
    switch (lock->state) {
    case LOCK_FREE: /* not even open: it is forgotten */
        return lock->fd >= 0 ? lock->used_ms + KEEP_OPEN_MS : 0;
    case LOCK_WAITING:
        return lock->next_ms;
    case LOCK_FENCING:
        return clock_sooner(lock->next_ms, prove_ms);
    case LOCK_HELD:
        if (!lock->holder || is_over(lock->holder, clock_now_ms()))
            return 0;
        return lock->holder->ops ? prove_ms : clock_sooner(prove_ms, kept_until_ms(lock->holder));
    case LOCK_GRANTING:
    case LOCK_GIVING_BACK:
    case LOCK_CLOSING:
        break;
    }
    return 0;
}

int64_t lock_due_ms(const struct lock *lock)
{
    int64_t due_ms = CLOCK_NEVER;
    if (!TAILQ_EMPTY(&lock->waiters)) /* their deadlines, and what they are told */
        due_ms = clock_now_ms() + WAITERS_STEP_MS;
    if (may_be_lost(lock))
        due_ms = clock_sooner(due_ms, lost_ms(lock));
    if (lock->in_flight)
        return due_ms;
    int64_t go_on_ms = state_due_ms(lock);
    return clock_sooner(due_ms, go_on_ms > lock->pause_ms ? go_on_ms : lock->pause_ms);
}
