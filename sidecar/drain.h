/*
 * drain: is this task to be stopped soon? ECS says so in the task's metadata (DesiredStatus) before
 * SIGTERM comes, which reaches the containers one after the other.
 *
 *     struct drain drain = {.pool = pool};
 *     if (drain_step(&drain, somebody_claims)) ...       // about once a second
 *
 * It is asked while somebody wants to know, every few seconds, and never again once the answer was
 * yes. An agent that does not answer says nothing. Ownership: it is there until the pool is closed.
 * Threads: the loop's; the question blocks a worker.
 */
#ifndef SIDECAR_DRAIN_H
#define SIDECAR_DRAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/work_pool.h"

struct drain {
    struct work_pool *pool;
    bool in_flight, draining, told;
    int64_t next_ms;
};

/* Is this an ECS task at all? */
bool drain_is_possible(void);

bool drain_step(struct drain *drain, bool wanted);

#endif
