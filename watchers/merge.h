/*
 * merge: local changes, those of the peers and what the reconcile scan finds become one stream, the
 * tracker's.
 *
 *     merge_open(&merge, peers, &tracker);             // peers NULL: there are none to merge
 *     poll merge_fd(&merge) for POLLIN, then merge_look(&merge);
 *     poll merge_scan_fd(&merge) too
 *     r = merge_step(&merge);                          // after each tracker_step()
 *
 * What peers tell is taken over when every local event that happened before it was handed over has
 * been noted: so no old news of this host is told behind newer ones from elsewhere. When too much
 * is pending nothing is taken, and the peers' thread stops reading. What the scan finds is
 * announced to the others as well.
 *
 * Returns 0 or -ENOMEM. Ownership: both stay the caller's. Threads: one.
 */
#ifndef WATCHERS_MERGE_H
#define WATCHERS_MERGE_H

#include "watchers/peers.h"
#include "watchers/tracker.h"

struct merge {
    struct peers *peers;
    struct tracker *tracker;
    uint64_t ticket;       /* what waits, waits for it; 0: nothing waits */
    uint64_t until, taken; /* items that may be taken with it, and that were taken */
};

void merge_open(struct merge *merge, struct peers *peers, struct tracker *tracker);

int merge_fd(const struct merge *merge);      /* -1: not now */
int merge_scan_fd(const struct merge *merge); /* the same */
void merge_look(struct merge *merge);
int merge_step(struct merge *merge);

#endif
