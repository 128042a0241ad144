/*
 * mountstats: what the kernel's NFS client counted for one mount, from /proc/self/mountstats.
 * Reading it sends nothing to the server and cannot hang.
 *
 *     struct mountstats before, after, delta;
 *     r = mountstats_read(NULL, "/data", &before, &err);
 *     ...
 *     r = mountstats_read(NULL, "/data", &after, &err);
 *     r = mountstats_since(&before, &after, &delta);
 *     const struct mountstats_op *op = mountstats_op(&delta, "READ");       // NULL: none counted
 *
 * A call is counted when it has ended: during a hang all counters stand still, except the sends of
 * the connections. Unknown lines, operations, transports and columns are no error. Counters that
 * the kernel shows below zero are 0. Ownership: plain values. Threads: safe. Errors: 0 or -errno.
 */
#ifndef LIB_MOUNTSTATS_H
#define LIB_MOUNTSTATS_H

#include <stddef.h>
#include <stdint.h>

#include "lib/error.h"

enum { MOUNTSTATS_OPS_MAX = 96, MOUNTSTATS_NAME_MAX = 31 };

struct mountstats_op {
    char name[MOUNTSTATS_NAME_MAX + 1]; /* "READ" */
    uint64_t calls;
    uint64_t transmissions; /* more than calls: some were sent again */
    uint64_t timeouts;      /* major ones */
    uint64_t bytes_sent, bytes_received;
    uint64_t queue_ms, round_trip_ms, execute_ms; /* sums over the calls */
    uint64_t errors;                              /* 0 before Linux 5.3 */
};

struct mountstats {
    int64_t age_s;   /* of the mount */
    int64_t lease_s; /* what the server grants; -1: not told */
    struct {         /* sums over the connections */
        uint64_t n, connects, sends, receives;
    } transport;
    size_t n_ops;
    struct mountstats_op ops[MOUNTSTATS_OPS_MAX];
};

/* file: NULL for /proc/self/mountstats. Of several mounts at the path the last, which is the one
 * that is seen. -ENOENT: nothing is mounted there; -ENODATA: what is mounted there is not NFS. */
int mountstats_read(const char *file, const char *path, struct mountstats *ret_stats,
                    struct error *err);

/* -ESTALE: a counter went back, it is another mount now. */
int mountstats_since(const struct mountstats *before, const struct mountstats *after,
                     struct mountstats *ret_delta);

const struct mountstats_op *mountstats_op(const struct mountstats *stats, const char *name);

#endif
