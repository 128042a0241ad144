/*
 * protection: tells ECS not to end this task by scaling in or by a deployment while it has work
 * that it should finish (task scale-in protection).
 *
 *     struct protection protection = {.pool = pool};
 *     protection_step(&protection, has_work);            // about once a second
 *
 * ECS forgets it after PROTECTION_MINUTES, so a task that hangs does not stay for ever; while there
 * is work it is told again. Work has to be gone for a while before the protection goes, because
 * every change is a call to ECS. What an earlier life of the sidecar said is not known: so the
 * first step says what is so. Failures are logged once, and tried again.
 *
 * Ownership: it is there until the pool is closed. Threads: the loop's; the call blocks a worker.
 */
#ifndef SIDECAR_PROTECTION_H
#define SIDECAR_PROTECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/error.h"
#include "lib/work_pool.h"

enum { PROTECTION_MINUTES = 60 };

enum protection_state { PROTECTION_UNKNOWN, PROTECTION_OFF, PROTECTION_ON };

struct protection {
    struct work_pool *pool;
    enum protection_state state; /* as ECS said */
    bool in_flight, told;
    int64_t work_ms;  /* there was work then */
    int64_t since_ms; /* ON: asked for then */
    int64_t next_ms;  /* not before */
};

/* Has the agent the endpoint? */
bool protection_is_possible(void);

void protection_step(struct protection *protection, bool has_work);

/* What the agent answered: 0, or -EREMOTEIO with its words. */
int protection_parse(const char *body, size_t length, long status, struct error *err);

#endif
