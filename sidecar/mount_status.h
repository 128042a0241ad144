/*
 * mount_status: a look at one mount, for the API. The strings are the mount's, until the loop
 * turns. Threads: the loop's.
 */
#ifndef SIDECAR_MOUNT_STATUS_H
#define SIDECAR_MOUNT_STATUS_H

#include <stdbool.h>
#include <stdint.h>

#include "sidecar/health.h"
#include "sidecar/watcher.h"

struct mount_cache;
struct mountstats;

struct mount_status {
    const char *path;
    const char *file_system;     /* as configured, else as the source names it, else "" */
    const char *fstype, *source; /* "" when nothing is mounted there */
    bool read_only;              /* used read-only, by the settings or by the mount */
    const struct conditions *conditions;
    int64_t probe_ms, canary_ms; /* the last one's duration; -1: none has ended */
    int64_t stalled_ms;          /* how long the oldest call has been stuck; 0: it is not stalled */
    const char *task_dir, *task_link; /* NULL: there is none (yet) */
    const struct mountstats *nfs;     /* what its client counted since it was mounted, or NULL */
    const char *nfs_shared_with;      /* the mount whose counters are this one's too, or NULL */
    bool has_locks;
    unsigned locks_held, locks_waiting;
    bool has_claims;
    unsigned claims_held, claimers;
    const struct mount_cache *cache; /* NULL: there is none */
    struct watcher_status watch;
};

#endif
