/*
 * metric_table: all that is measured. docs/metrics.md has the same rows, and a test compares them.
 *
 * A metric is a row: name in CloudWatch, unit, kind, of each mount or of the sidecar, core or not,
 * meaning. Core are the few (METRICS_CORE_MAX) that alarms and the first row of a dashboard need;
 * CloudWatch gets these and what metrics.set and metrics.include ask for, because each is paid for.
 * GET /metrics and /v1/metrics have them all. Constant, so safe for all threads.
 */
#ifndef SIDECAR_METRIC_TABLE_H
#define SIDECAR_METRIC_TABLE_H

#include "lib/settings.h"
#include "sidecar/sinks.h"

enum { METRICS_CORE_MAX = 8 };

enum metric_id {
    /* of a mount */
    METRIC_MOUNT_STALLED,
    METRIC_MOUNT_READY,
    METRIC_PROBE_LATENCY,  /* ms */
    METRIC_CANARY_LATENCY, /* ms */
    /* of a mount: what its NFS client counted, see nfs_metrics.h */
    METRIC_NFS_TIME, /* ms */
    METRIC_NFS_ERRORS,
    METRIC_NFS_READS, /* four for each class of operations, in this order */
    METRIC_NFS_READ_TIME,
    METRIC_NFS_READ_ROUND_TRIP,
    METRIC_NFS_READ_QUEUE,
    METRIC_NFS_WRITES,
    METRIC_NFS_WRITE_TIME,
    METRIC_NFS_WRITE_ROUND_TRIP,
    METRIC_NFS_WRITE_QUEUE,
    METRIC_NFS_METADATA,
    METRIC_NFS_METADATA_TIME,
    METRIC_NFS_METADATA_ROUND_TRIP,
    METRIC_NFS_METADATA_QUEUE,
    METRIC_NFS_LOCKS,
    METRIC_NFS_LOCK_TIME,
    METRIC_NFS_LOCK_ROUND_TRIP,
    METRIC_NFS_LOCK_QUEUE,
    METRIC_NFS_SESSION,
    METRIC_NFS_FAILED,
    METRIC_NFS_TIMEOUTS,
    METRIC_NFS_RETRANSMISSIONS,
    METRIC_NFS_DELAYS,
    METRIC_NFS_OUTSTANDING,
    METRIC_NFS_BACKLOG,
    METRIC_NFS_RECONNECTS,
    METRIC_NFS_LEASE_TIME,    /* s */
    METRIC_NFS_LEASE_EXPIRED, /* s */
    METRIC_APP_READ_BYTES,
    METRIC_APP_WRITTEN_BYTES,
    METRIC_NFS_READ_BYTES,
    METRIC_NFS_WRITTEN_BYTES,
    METRIC_METERED_BYTES,
    METRIC_METERED_WRITTEN_BYTES,
    METRIC_SIDECAR_CALLS,
    METRIC_SIDECAR_METERED_BYTES,
    METRIC_SIDECAR_METERED_WRITTEN_BYTES,
    /* of a mount: its efs-watch */
    METRIC_WATCH_CHANGES,
    METRIC_WATCH_OVERFLOWS,
    METRIC_WATCH_RESTARTS,
    METRIC_WATCHED_DIRS,
    METRIC_BLIND_DIRS,
    /* of a mount: what it hears of other tasks and says to them */
    METRIC_FEED_STALENESS, /* ms */
    METRIC_FEED_PEERS,
    METRIC_FEED_RECORDS,
    METRIC_FEED_GAPS,
    METRIC_FEED_POLLS,
    METRIC_ANNOUNCED,
    METRIC_ANNOUNCE_PENDING,
    /* of a mount: its locks */
    METRIC_LOCKS_LOST,
    METRIC_LOCKS_HELD,
    METRIC_LOCKS_WAITING,
    METRIC_LOCKS_GRANTED,
    METRIC_LOCK_FENCE_WAITS,
    /* of a mount: what this task publishes */
    METRIC_PUBLISHED,
    METRIC_PUBLISH_FAILED,
    METRIC_PUBLISH_LATENCY, /* ms */
    /* of a mount: files that are worked on */
    METRIC_CLAIMS_HELD,
    METRIC_CLAIMED,
    METRIC_CLAIMS_DONE,
    METRIC_CLAIMS_FAILED,
    METRIC_DEAD_LETTERS,
    /* of a mount: its cache */
    METRIC_CACHE_HITS,
    METRIC_CACHE_MISSES,
    METRIC_CACHE_BYPASSED,
    METRIC_CACHE_BYTES,
    METRIC_CACHE_FILES,
    METRIC_CACHE_FETCHES,
    METRIC_CACHE_FETCH_FAILED,
    METRIC_CACHE_EVICTIONS,
    METRIC_TASK_BYTES,
    METRIC_TASK_FILES,
    METRIC_ORPHANS,
    /* of the process */
    METRIC_HEARTBEAT,
    METRIC_LOOP_LAG, /* ms */
    METRIC_MEMORY,
    METRIC_CPU,
    METRIC_CREDENTIALS_LEFT, /* s */
    METRIC_LOG_DROPPED,
    METRIC_METRICS_DROPPED,
    METRIC_LINE_BYTES,
    METRIC_DATA_DROPPED,
    METRIC_AWS_CALLS,
    METRIC_SERIES_REFUSED,
    METRIC_INTERVALS_MISSED,
    METRIC_API_REQUESTS,
    METRIC_API_REFUSALS,
    METRIC_REACTIONS,
    METRIC_REACTIONS_FAILED,
    METRIC_N
};

extern const struct metric metrics_table[METRIC_N];

/* When to be woken, as statistic and threshold in CloudWatch; NULL for most. */
extern const char *const metric_alarms[METRIC_N];

/* Whether metrics.set or metrics.include ask for it in CloudWatch. */
bool metric_is_wanted(const struct settings *settings, enum metric_id id);

/* Whether there is one of this name. */
bool metric_exists(const char *name);

#endif
