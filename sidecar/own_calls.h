/*
 * own_calls: what the sidecar itself asks of the server, so that it can be told from the app's.
 *
 *     own_calls_add(&own, OWN_PROBE, 1);
 *     metrics_count_total(group, METRIC_SIDECAR_CALLS, own.calls);
 *
 * The kernel counts calls by mount, not by process: these are computed, from how often each chore
 * ran and what it costs on Linux's NFS client once its caches are warm. In it is what comes again
 * and again. Not in it: making and removing directories, board and files at start and stop, what is
 * looked up again after the kernel forgot it, directories that are read again after an overflow,
 * the journals, whose cost goes with the changes, and what write directories cost,
 * this task's and those of tasks that ended: a few calls an hour. Calls to a state mount count for
 * the mount that they serve. Ownership: plain values. Threads: one at a time.
 */
#ifndef SIDECAR_OWN_CALLS_H
#define SIDECAR_OWN_CALLS_H

#include <stdint.h>

enum own_kind {
    OWN_PROBE,
    OWN_CANARY,  /* of a mount that is written to */
    OWN_LISTING, /* the canary of one that is only read */
    OWN_PROOF,   /* that the slot on the board is held */
    OWN_WATCH,   /* of a directory that is watched from now on */
    OWN_POLL,    /* of the board's attributes */
    OWN_BOARD_READ,
    OWN_CACHE_LOOK, /* at a file that may be copied, or was */
    OWN_CACHE_COPY, /* of it, without what is read */
    OWN_KINDS
};

struct own_calls {
    uint64_t calls, metered_bytes, metered_written_bytes; /* the latter are part of the former */
};

void own_calls_add(struct own_calls *own, enum own_kind kind, uint64_t n);

/* Content of files, with so many calls. */
void own_calls_add_read(struct own_calls *own, uint64_t calls, uint64_t bytes);

#endif
