/*
 * probe: does with one directory what an app will do with it, in a child process that may hang.
 *
 * Only the child touches the mount. It notes each step in memory shared with the parent before it
 * starts it, so that the parent can say which operation a hung child is in.
 *
 *     r = probe_start(&wish, &child, &err);            // see child.h
 *     const struct probe_log *log = child.shared;
 *     poll(child.done_fd ...);
 *     child_stop(&child);                              // now *log no longer changes
 *     ...
 *     child_close(&child);
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

#include "init/child.h"
#include "init/content.h"

/* No live probe is that old: deadline and lock_hold are at most ten minutes each. */
enum { PROBE_LEFTOVER_AGE_S = 30 * 60 };

/* In the order in which they are done. */
enum probe_step {
    PROBE_IDENTITY, /* take on the ids of --as */
    PROBE_OPEN,
    PROBE_MARKER, /* nothing is written before it is known that it is the right place */
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
    PROBE_MAKE, /* the directories that were asked for */
    PROBE_LIST, /* instead of what writes, on a mount asked for as read-only */
    PROBE_REQUIRE,
    PROBE_SWEEP, /* from here on all is proven */
    PROBE_DATABASES,
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
    struct content_wish content;
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

    bool wrong_place; /* stopped there: a marker is not as expected */
    struct content_log content;
};

int probe_start(const struct probe_wish *wish, struct child *ret_child, struct error *err);

/* Is it a name that probes use, and nobody else? */
bool probe_is_leftover_name(const char *name);

/* May the child of this log, by owner and mode, make files in the directory? */
bool probe_may_write(const struct probe_log *log);

#endif
