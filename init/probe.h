/*
 * probe: does with one directory what an app will do with it, in a child process that may hang.
 *
 * Only the child touches the mount. It notes each step in memory shared with the parent before it
 * starts it, so that the parent can say which operation a hung child is in. The parent waits on
 * probe.done_fd (it becomes readable when the child is gone), at a deadline it stops the child
 * without waiting for it: a child in an uninterruptible sleep cannot be reaped.
 *
 *     r = probe_start(&wish, &probe, &err);
 *     poll(probe.done_fd ...);
 *     probe_stop(&probe);              // now probe.log no longer changes
 *     ... read probe.log ...
 *     probe_release(&probe);
 *
 * What a killed child leaves on the share has names that only probes use; a later probe removes
 * what is older than any live probe can be and not locked by one.
 *
 * Threads: the parent must have only one, since the child goes on after fork(). Errors: -errno.
 */
#ifndef INIT_PROBE_H
#define INIT_PROBE_H

#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/error.h"

/* No live probe is that old: deadline and lock_hold are at most ten minutes each. */
enum { PROBE_LEFTOVER_AGE_S = 30 * 60 };

/* In the order in which they are done. */
enum probe_step {
    PROBE_IDENTITY, /* take on the ids of --as */
    PROBE_OPEN,
    PROBE_CREATE,
    PROBE_WRITE,
    PROBE_FSYNC,
    PROBE_READ,
    PROBE_LOCK,
    PROBE_PROVE,
    PROBE_LINK,
    PROBE_RENAME,
    PROBE_MKDIR,
    PROBE_RMDIR,
    PROBE_HOLD,
    PROBE_REMOVE,
    PROBE_LIST, /* instead of what writes, on a mount asked for as read-only */
    PROBE_SWEEP,
    PROBE_END,
};

extern const char *const probe_step_names[PROBE_END + 1];

struct probe_wish {
    const char *path;
    bool read_only;   /* look, do not write */
    bool allow_local; /* write although it is not NFS */
    bool change_ids;  /* to uid and gid, without other groups */
    uid_t uid;
    gid_t gid;
    int64_t hold_ms; /* go on proving the lock for so long */
};

/* What the child found out. step and step_since_ms are for a parent that looks while it runs; a
 * parent that sets cancel asks it to tidy up and end before its next step. */
struct probe_log {
    _Atomic bool cancel;
    _Atomic int step;
    _Atomic int64_t step_since_ms;
    int error;                  /* of the step that failed, positive; 0 none */
    enum probe_step failed;     /* meaningful with error */
    int64_t took_us[PROBE_END]; /* -1: not done */

    uid_t uid; /* who the child was */
    gid_t gid;
    int groups;

    int mount_id;        /* of the directory; 0 until it was opened */
    bool not_nfs;        /* stopped there for that reason */
    char path[PATH_MAX]; /* the directory without symbolic links, or the last part that exists */
    uid_t owner;         /* of what path names */
    gid_t group;
    mode_t mode;
    bool in_group; /* the child is a member of group */

    bool made; /* a file was made: */
    uid_t file_owner;
    gid_t file_group;

    int proofs;               /* of the lock, that succeeded */
    int64_t longest_proof_ms; /* the failed one included: the longest silence of the mount */
    int leftovers;            /* of killed probes, removed */
};

struct probe {
    pid_t pid;
    int done_fd;
    struct probe_log *log;
};

int probe_start(const struct probe_wish *wish, struct probe *ret_probe, struct error *err);
void probe_stop(struct probe *probe);
void probe_release(struct probe *probe);

/* Is it a name that probes use, and nobody else? */
bool probe_is_leftover_name(const char *name);

/* May the child of this log, by owner and mode, make files in the directory? */
bool probe_may_write(const struct probe_log *log);

#endif
