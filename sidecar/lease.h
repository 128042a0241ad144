/*
 * lease: this task's slot on the board of a mount, and the proof that it is still held.
 *
 *     r = lease_new(&(struct lease_options){...}, &lease);
 *     lease_start(lease, on_nfs);          // the board exists
 *     lease_tick(lease);                   // about once a second
 *     lease_note_silence(lease, ms);       // a call to this mount took so long
 *     lease_fenced(lease);                 // efs-watch found that the slot is not ours any more
 *     lease_stop(lease, clean);  ... until lease_stopped(lease) ...  lease_free(lease);
 *
 * The slot is proven every lease.proof_interval, or as lease_set_interval() says; a proof counts
 * from before it was sent. A loss is told as what it is: after an outage (LeaseLost), or although
 * the mount answered all the time (ClientIdentityShared). Then every descriptor of the board is
 * closed, efs-watch's too, and a slot is taken on a new one; until in_use() says that efs-watch is
 * gone nothing is taken, however long that lasts. Where identities are shared, that is what the
 * other one is hurt by: so the attempts come slower each time, and LocksReady stays False until the
 * slot has been held for a while.
 *
 * All calls go through a pool of one thread that nothing else uses. Ownership: options' pointers
 * are the caller's. Threads: the loop's.
 */
#ifndef SIDECAR_LEASE_H
#define SIDECAR_LEASE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/work_pool.h"
#include "sidecar/health.h"
#include "sidecar/membership.h"
#include "sidecar/place.h"

struct lease_options {
    const struct place *place;
    struct work_pool *pool;
    struct conditions *conditions;
    void (*taken)(void *arg, const struct membership *member); /* a slot, as a new epoch */
    void (*trouble)(void *arg); /* none was to be had; it is tried again */
    void (*lost)(void *arg);    /* it is not ours any more: let go of the descriptor */
    bool (*in_use)(void *arg);  /* somebody else has the descriptor still */
    void (*gone)(void *arg);    /* the board itself is gone: make it, start again */
    void *arg;
};

struct lease;

int lease_new(const struct lease_options *options, struct lease **ret_lease);
void lease_free(struct lease *lease);

void lease_start(struct lease *lease, bool on_nfs);
void lease_tick(struct lease *lease);
void lease_note_silence(struct lease *lease, int64_t silence_ms);
uint64_t lease_proofs(const struct lease *lease); /* how many were sent */

/* When the last one that succeeded was sent, of the slot that is held. */
int64_t lease_proven_ms(const struct lease *lease);

/* The slot is in doubt: prove it, and join anew whatever that finds. */
void lease_fenced(struct lease *lease);

/* Between proofs; more often while something is held under the slot. */
void lease_set_interval(struct lease *lease, int64_t interval_ms);

/* clean: all that happened was announced, so the slot is given back and not just dropped. Nobody
 * else has the descriptor by then, or in_use() says so. */
void lease_stop(struct lease *lease, bool clean);
bool lease_stopped(const struct lease *lease);

#endif
