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
 * A mount is known by its path only: mounts through a local proxy all have the same source. Two
 * paths may show one mount, in blocks that are the same; who adds mounts up must tell by their
 * device (mountinfo). Connections are shared by all mounts from one server.
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
    int64_t age_s;           /* of the mount */
    int64_t lease_s;         /* what the server grants; -1: not told */
    int64_t lease_expired_s; /* for how long it has not been renewed in time; -1: not told */
    uint64_t delays;         /* "come back later" (JUKEBOX) */
    struct {                 /* of files' contents; the application's may come from the cache */
        uint64_t app_read, app_written, server_read, server_written;
    } bytes;
    struct { /* sums over the connections */
        uint64_t n, connects, sends, receives;
        uint64_t backlog; /* sum over the sends of those that were waiting for a slot */
        int64_t idle_s;   /* of the one that was used last */
    } transport;
    size_t n_ops;
    struct mountstats_op ops[MOUNTSTATS_OPS_MAX];
};

/* file: NULL for /proc/self/mountstats. Of several mounts at the path the last, which is the one
 * that is seen. -ENOENT: nothing is mounted there; -ENODATA: what is mounted there is not NFS. */
int mountstats_read(const char *file, const char *path, struct mountstats *ret_stats,
                    struct error *err);

struct mountstats_request {
    const char *path;
    struct mountstats *stats; /* the caller's; of no meaning unless result is 0 */
    int result;               /* 0, -ENOENT, -ENODATA as above */
};

/* The same for several mounts at once. Fails only when the file cannot be read. */
int mountstats_read_several(const char *file, struct mountstats_request requests[], size_t n,
                            struct error *err);

/* -ESTALE: a counter went back, it is another mount now. Lease and idle time of the delta are those
 * of after. */
int mountstats_since(const struct mountstats *before, const struct mountstats *after,
                     struct mountstats *ret_delta);

const struct mountstats_op *mountstats_op(const struct mountstats *stats, const char *name);

enum mountstats_class {
    MOUNTSTATS_READ,     /* content of files */
    MOUNTSTATS_WRITE,    /* and COMMIT */
    MOUNTSTATS_METADATA, /* all that is not known too */
    MOUNTSTATS_LOCK,
    MOUNTSTATS_SESSION, /* keeps session and lease alive, on behalf of no file */
    MOUNTSTATS_CLASSES
};

enum mountstats_class mountstats_class(const char *op_name);

#endif
