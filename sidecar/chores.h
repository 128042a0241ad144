/*
 * chores: calls to a mount that are made again and again, each at most once at a time, in the
 * mount's work pool.
 *
 *     chores_init(&chores, kinds, n, owner, prepare);
 *     chores.pool = pool;
 *     chores_plan(&chores, CHORE_PROBE, 0);            // due now; a later plan replaces it
 *     chores_start_due(&chores, may_start);            // about once a second, and after each end
 *
 * run() is called by a worker and touches only the call; done() is called in the loop, may plan,
 * and is not called for what the end of the pool cut off. Calls have no deadline: that one is stuck
 * is seen by its age (work_pool_oldest_ms), and one that comes back late has just taken long.
 *
 * Ownership: kinds, pool and owner are the caller's. Threads: the loop's, but for run().
 */
#ifndef SIDECAR_CHORES_H
#define SIDECAR_CHORES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/error.h"
#include "lib/share/owner.h"
#include "lib/work_pool.h"

enum { CHORES_MAX = 16 };

struct claim_recovery;
struct janitor;
struct mount_tasks;
struct place;

/* What a worker needs, filled by prepare(), and what it found. */
struct chore_call {
    struct chores *chores;
    unsigned chore;
    const struct place *place;
    struct janitor *janitor;   /* for one call at a time */
    struct mount_tasks *tasks; /* each part for one */
    struct claim_recovery *recovery;
    bool on_nfs, state_on_nfs, has_slot, made;
    unsigned slot;
    uint32_t epoch;
    struct owner owner;  /* of the task's directory, to be said */
    uint64_t root_inode; /* found by the probe */

    int64_t took_us;
    struct error err; /* code 0: it worked */
};

struct chore_kind {
    const char *what; /* for messages: "... has not come back for 17 s" */
    bool namespace_op;
    int (*run)(struct chore_call *call);
    void (*done)(void *owner, const struct chore_call *call);
};

struct chores {
    const struct chore_kind *kinds;
    size_t n;
    struct work_pool *pool;
    void *owner;
    void (*prepare)(void *owner, struct chore_call *call);
    struct {
        struct job job;
        bool in_flight;
        int64_t next_ms;
    } of[CHORES_MAX];
};

void chores_init(struct chores *chores, const struct chore_kind kinds[], size_t n, void *owner,
                 void (*prepare)(void *owner, struct chore_call *call));

void chores_plan(struct chores *chores, unsigned chore, int64_t in_ms);

/* Start what is due and may be started; what may not stays due. */
void chores_start_due(struct chores *chores, bool (*may_start)(const void *owner, unsigned chore));

bool chores_in_flight(const struct chores *chores, unsigned chore);

#endif
