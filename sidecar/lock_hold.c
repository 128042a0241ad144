#include "sidecar/lock.h"

#include <stdlib.h>

uint64_t lock_hold_id(const struct lock_hold *hold)
{
    return hold->id;
}

void *lock_hold_arg(const struct lock_hold *hold)
{
    return hold->ops ? hold->arg : NULL;
}

bool lock_hold_is_released(const struct lock_hold *hold)
{
    return hold->released;
}

bool lock_hold_is_lost(const struct lock_hold *hold)
{
    return !hold->lock;
}

bool lock_hold_is_usable(const struct lock_hold *hold)
{
    return hold->lock && hold->lock->holder == hold && hold->lock->state == LOCK_HELD &&
           !hold->released;
}

const char *lock_hold_name(const struct lock_hold *hold)
{
    return hold->lock->name;
}

const struct lock_token *lock_hold_token(const struct lock_hold *hold)
{
    return &hold->lock->record.token;
}

int64_t lock_hold_valid_until_ms(const struct lock_hold *hold)
{
    return hold->valid_until_ms;
}

void lock_hold_publish_begin(struct lock_hold *hold)
{
    hold->publishes++;
}

void lock_hold_publish_end(struct lock_hold *hold)
{
    hold->publishes--;
}

void lock_hold_release(struct lock_hold *hold, bool done, uint32_t exit_status)
{
    struct locks *locks = hold->locks;
    if (hold->released)
        return;
    hold->released = true;
    hold->done = done;
    hold->exit_status = exit_status;
    if (!hold->lock) {
        TAILQ_REMOVE(&locks->lost, hold, link);
        lock_end_hold(hold, LOCK_END_LOST, NULL);
        return;
    }
    event_active(locks->timer, EV_TIMEOUT, 0);
}

void lock_hold_abandon(struct lock_hold *hold)
{
    struct locks *locks = hold->locks;
    hold->ops = NULL;
    if (!hold->lock) {
        TAILQ_REMOVE(&locks->lost, hold, link);
        free(hold);
        return;
    }
    event_active(locks->timer, EV_TIMEOUT, 0);
}
