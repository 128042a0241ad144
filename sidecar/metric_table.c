#include "sidecar/metric_table.h"

#include <string.h>

#define OF_MOUNT true
#define OF_ALL   false
#define CORE     true
#define MORE     false

#define COUNTER     METRIC_COUNTER
#define MS          UNIT_MILLISECONDS
#define LATENCY     UNIT_MILLISECONDS, METRIC_DISTRIBUTION, OF_MOUNT
#define PER_MOUNT   UNIT_COUNT, METRIC_COUNTER, OF_MOUNT
#define BYTE_COUNT  UNIT_BYTES, METRIC_COUNTER, OF_MOUNT
#define MOUNT_GAUGE METRIC_GAUGE, OF_MOUNT

/* What exists, in the order in which it is shown. */
const struct metric metrics_table[METRIC_N] = {
    [METRIC_MOUNT_STALLED] = {"MountStalled", UNIT_NONE, MOUNT_GAUGE, CORE,
                              "1 when a call to the file system has been out for too long"},
    [METRIC_MOUNT_READY] = {"MountReady", UNIT_NONE, MOUNT_GAUGE, MORE,
                            "1 when the mount answers and is what was asked for, else 0"},
    [METRIC_PROBE_LATENCY] = {"ProbeLatency", LATENCY, CORE,
                              "Time of one uncached GETATTR of the mount's root"},
    [METRIC_CANARY_LATENCY] = {"CanaryWriteLatency", LATENCY, CORE,
                               "Time to write and sync a small file"},

    [METRIC_NFS_TIME] = {"NfsOperationTime", LATENCY, CORE,
                         "Time that calls of all classes but session took, waiting included"},
    [METRIC_NFS_ERRORS] = {"NfsErrors", PER_MOUNT, CORE,
                           "READ, WRITE and COMMIT calls that failed, and calls that timed out"},
    [METRIC_NFS_READS] = {"NfsReads", PER_MOUNT, MORE, "READ and READ_PLUS calls"},
    [METRIC_NFS_READ_TIME] = {"NfsReadTime", LATENCY, MORE,
                              "Time that reading calls took, waiting included"},
    [METRIC_NFS_READ_ROUND_TRIP] = {"NfsReadRoundTripTime", LATENCY, MORE,
                                    "Time from sending a reading call to its answer"},
    [METRIC_NFS_READ_QUEUE] = {"NfsReadQueueTime", LATENCY, MORE,
                               "Time that reading calls waited to be sent"},
    [METRIC_NFS_WRITES] = {"NfsWrites", PER_MOUNT, MORE, "WRITE and COMMIT calls"},
    [METRIC_NFS_WRITE_TIME] = {"NfsWriteTime", LATENCY, MORE,
                               "Time that writing calls took, waiting included"},
    [METRIC_NFS_WRITE_ROUND_TRIP] = {"NfsWriteRoundTripTime", LATENCY, MORE,
                                     "Time from sending a writing call to its answer"},
    [METRIC_NFS_WRITE_QUEUE] = {"NfsWriteQueueTime", LATENCY, MORE,
                                "Time that writing calls waited to be sent"},
    [METRIC_NFS_METADATA] = {"NfsMetadataCalls", PER_MOUNT, MORE,
                             "OPEN, CLOSE, LOOKUP, GETATTR and all calls of no other class"},
    [METRIC_NFS_METADATA_TIME] = {"NfsMetadataTime", LATENCY, MORE,
                                  "Time that metadata calls took, waiting included"},
    [METRIC_NFS_METADATA_ROUND_TRIP] = {"NfsMetadataRoundTripTime", LATENCY, MORE,
                                        "Time from sending a metadata call to its answer"},
    [METRIC_NFS_METADATA_QUEUE] = {"NfsMetadataQueueTime", LATENCY, MORE,
                                   "Time that metadata calls waited to be sent"},
    [METRIC_NFS_LOCKS] = {"NfsLockCalls", PER_MOUNT, MORE,
                          "LOCK, LOCKT, LOCKU and RELEASE_LOCKOWNER calls"},
    [METRIC_NFS_LOCK_TIME] = {"NfsLockTime", LATENCY, MORE,
                              "Time that lock calls took, waiting included"},
    [METRIC_NFS_LOCK_ROUND_TRIP] = {"NfsLockRoundTripTime", LATENCY, MORE,
                                    "Time from sending a lock call to its answer"},
    [METRIC_NFS_LOCK_QUEUE] = {"NfsLockQueueTime", LATENCY, MORE,
                               "Time that lock calls waited to be sent"},
    [METRIC_NFS_SESSION] = {"NfsSessionCalls", PER_MOUNT, MORE,
                            "Calls that keep session and lease alive; they are not metered"},
    [METRIC_NFS_FAILED] = {"NfsFailedCalls", PER_MOUNT, MORE,
                           "Calls of all kinds that failed, also because a file is not there"},
    [METRIC_NFS_TIMEOUTS] = {"NfsTimeouts", PER_MOUNT, MORE, "Times that a call's timeo ran out"},
    [METRIC_NFS_RETRANSMISSIONS] = {"NfsRetransmissions", PER_MOUNT, MORE,
                                    "Times that a call was sent again"},
    [METRIC_NFS_DELAYS] = {"NfsDelays", PER_MOUNT, MORE,
                           "Times that the server asked to come back later (NFS4ERR_DELAY)"},
    [METRIC_NFS_OUTSTANDING] = {"NfsOutstandingCalls", UNIT_COUNT, MOUNT_GAUGE, MORE,
                                "Calls that were sent and are not answered"},
    [METRIC_NFS_BACKLOG] = {"NfsBacklog", UNIT_COUNT, MOUNT_GAUGE, MORE,
                            "Calls that waited for a slot when one was sent, on average"},
    [METRIC_NFS_RECONNECTS] = {"NfsReconnects", PER_MOUNT, MORE,
                               "Times that the connection was made again"},
    [METRIC_NFS_LEASE_TIME] = {"NfsLeaseTime", UNIT_SECONDS, MOUNT_GAUGE, MORE,
                               "How long the server keeps locks for a silent client"},
    [METRIC_NFS_LEASE_EXPIRED] = {"NfsLeaseExpired", UNIT_SECONDS, MOUNT_GAUGE, MORE,
                                  "For how long the lease has been over, 0 while it is held"},
    [METRIC_APP_READ_BYTES] = {"AppReadBytes", BYTE_COUNT, MORE,
                               "What programs read, from the server or the page cache"},
    [METRIC_APP_WRITTEN_BYTES] = {"AppWrittenBytes", BYTE_COUNT, MORE, "What programs wrote"},
    [METRIC_NFS_READ_BYTES] = {"NfsReadBytes", BYTE_COUNT, MORE,
                               "File content that was read from the server"},
    [METRIC_NFS_WRITTEN_BYTES] = {"NfsWrittenBytes", BYTE_COUNT, MORE,
                                  "File content that was written to the server"},
    [METRIC_METERED_BYTES] = {"MeteredBytes", BYTE_COUNT, MORE,
                              "What Elastic throughput bills, with its minimums, as computed"},
    [METRIC_METERED_WRITTEN_BYTES] = {"MeteredWrittenBytes", BYTE_COUNT, MORE,
                                      "The part of MeteredBytes that is billed as written"},
    [METRIC_SIDECAR_CALLS] = {"SidecarCalls", PER_MOUNT, MORE,
                              "Calls of the mount that are the sidecar's own, as computed"},
    [METRIC_SIDECAR_METERED_BYTES] = {"SidecarMeteredBytes", BYTE_COUNT, MORE,
                                      "Metered bytes that are the sidecar's own, as computed"},
    [METRIC_SIDECAR_METERED_WRITTEN_BYTES] =
        {"SidecarMeteredWrittenBytes", BYTE_COUNT, MORE,
         "The part of SidecarMeteredBytes that is billed as written"},

    [METRIC_WATCH_CHANGES] = {"WatchChanges", PER_MOUNT, MORE, "Changes that were reported"},
    [METRIC_WATCH_OVERFLOWS] = {"WatchOverflows", PER_MOUNT, MORE,
                                "Times that the kernel's queue of changes overflowed"},
    [METRIC_WATCH_RESTARTS] = {"WatchRestarts", PER_MOUNT, MORE,
                               "Times that efs-watch had to be started again"},
    [METRIC_WATCHED_DIRS] = {"WatchedDirectories", UNIT_COUNT, MOUNT_GAUGE, MORE,
                             "Directories that are watched"},
    [METRIC_BLIND_DIRS] = {"BlindDirectories", UNIT_COUNT, MOUNT_GAUGE, MORE,
                           "Subtrees that should be watched and are not"},

    [METRIC_FEED_STALENESS] = {"FeedStaleness", MS, METRIC_PEAK, OF_MOUNT, CORE,
                               "Time since which other tasks' changes may not have been reported"},
    [METRIC_FEED_PEERS] = {"FeedPeers", UNIT_COUNT, MOUNT_GAUGE, MORE,
                           "Other tasks that have a slot on the board"},
    [METRIC_FEED_RECORDS] = {"FeedRecords", PER_MOUNT, MORE, "Records that were read of others"},
    [METRIC_FEED_GAPS] = {"FeedGaps", PER_MOUNT, MORE,
                          "Times that another task's records were lost, told as a resync"},
    [METRIC_FEED_POLLS] = {"FeedPolls", PER_MOUNT, MORE, "Looks at the board, one GETATTR each"},
    [METRIC_ANNOUNCED] = {"FeedAnnounced", PER_MOUNT, MORE,
                          "Changes that other tasks were told of"},
    [METRIC_ANNOUNCE_PENDING] = {"FeedAnnouncePending", UNIT_COUNT, MOUNT_GAUGE, MORE,
                                 "Changes that other tasks are still to be told of"},

    [METRIC_LOCKS_LOST] = {"LocksLost", PER_MOUNT, CORE,
                           "Locks that were lost, or could not be proven, while they were held"},
    [METRIC_LOCKS_HELD] = {"LocksHeld", UNIT_COUNT, MOUNT_GAUGE, MORE, "Locks held by this task"},
    [METRIC_LOCKS_WAITING] = {"LocksWaiting", UNIT_COUNT, MOUNT_GAUGE, MORE,
                              "Clients of this task that wait for a lock"},
    [METRIC_LOCKS_GRANTED] = {"LocksGranted", PER_MOUNT, MORE, "Locks granted to this task"},
    [METRIC_LOCK_FENCE_WAITS] =
        {"LockFenceWaits", PER_MOUNT, MORE,
         "Times that the promise of a holder which vanished was waited out"},

    [METRIC_PUBLISHED] = {"Published", PER_MOUNT, MORE, "Files that this task published"},
    [METRIC_PUBLISH_FAILED] = {"PublishFailed", PER_MOUNT, MORE,
                               "Files that were not published, or nobody knows"},
    [METRIC_PUBLISH_LATENCY] = {"PublishLatency", LATENCY, MORE,
                                "Time from the request until the file had its place"},
    [METRIC_CLAIMS_HELD] = {"ClaimsHeld", UNIT_COUNT, MOUNT_GAUGE, MORE,
                            "Files that this task works on"},
    [METRIC_CLAIMED] = {"Claimed", PER_MOUNT, MORE, "Files claimed by this task"},
    [METRIC_CLAIMS_DONE] = {"ClaimsDone", PER_MOUNT, MORE, "Claimed files that were done"},
    [METRIC_CLAIMS_FAILED] = {"ClaimsFailed", PER_MOUNT, MORE,
                              "Claimed files that were given back as failed"},
    [METRIC_DEAD_LETTERS] = {"DeadLetters", PER_MOUNT, MORE,
                             "Claimed files that failed too often and were put aside"},
    [METRIC_TASK_BYTES] = {"TaskDirectoryBytes", UNIT_BYTES, MOUNT_GAUGE, MORE,
                           "What lies in this task's write directory, as measured last"},
    [METRIC_TASK_FILES] = {"TaskDirectoryFiles", UNIT_COUNT, MOUNT_GAUGE, MORE, "Files in it"},
    [METRIC_ORPHANS] = {"OrphanedTasks", UNIT_COUNT, MOUNT_GAUGE, MORE,
                        "Write directories of tasks that ended, from the one task that counts"},

    [METRIC_CACHE_HITS] = {"CacheHits", PER_MOUNT, MORE, "Opens that were served from a copy"},
    [METRIC_CACHE_MISSES] = {"CacheMisses", PER_MOUNT, MORE,
                             "Opens that might have been, and went to EFS"},
    [METRIC_CACHE_BYPASSED] = {"CacheBypassed", PER_MOUNT, MORE,
                               "Opens that only EFS can serve, such as those for writing"},
    [METRIC_CACHE_BYTES] = {"CacheBytes", UNIT_BYTES, MOUNT_GAUGE, MORE,
                            "What copies fill on the cache volume"},
    [METRIC_CACHE_FILES] = {"CacheFiles", UNIT_COUNT, MOUNT_GAUGE, MORE,
                            "Files of which there is a copy"},
    [METRIC_CACHE_FETCHES] = {"CacheFetches", PER_MOUNT, MORE, "Files that were copied"},
    [METRIC_CACHE_FETCH_FAILED] = {"CacheFetchFailed", PER_MOUNT, MORE,
                                   "Files that were to be copied and could not"},
    [METRIC_CACHE_EVICTIONS] = {"CacheEvictions", PER_MOUNT, MORE,
                                "Copies that made room for others"},

    [METRIC_HEARTBEAT] = {"Heartbeat", UNIT_COUNT, COUNTER, OF_ALL, CORE,
                          "1 per interval in which the sidecar's loop lived"},
    [METRIC_LOOP_LAG] = {"LoopLag", MS, METRIC_PEAK, OF_ALL, MORE,
                         "The longest that the loop was late"},
    [METRIC_MEMORY] = {"ResidentMemory", UNIT_BYTES, METRIC_GAUGE, OF_ALL, MORE,
                       "Resident memory of efs-sidecar itself"},
    [METRIC_CPU] = {"CpuUsed", UNIT_PERCENT, METRIC_GAUGE, OF_ALL, MORE,
                    "Share of one core that efs-sidecar and its ended children used"},
    [METRIC_CREDENTIALS_LEFT] = {"CredentialsLeft", UNIT_SECONDS, METRIC_GAUGE, OF_ALL, MORE,
                                 "How long the role's credentials are still good, when used"},
    [METRIC_LOG_DROPPED] = {"LogLinesDropped", UNIT_COUNT, COUNTER, OF_ALL, MORE,
                            "Log lines lost because stderr was not drained"},
    [METRIC_METRICS_DROPPED] = {"MetricLinesDropped", UNIT_COUNT, COUNTER, OF_ALL, MORE,
                                "Metric lines lost because stdout was not drained"},
    [METRIC_LINE_BYTES] = {"MetricLineBytes", UNIT_BYTES, COUNTER, OF_ALL, MORE,
                           "Metric lines on stdout, which CloudWatch Logs is paid for"},
    [METRIC_DATA_DROPPED] = {"MetricDataDropped", UNIT_COUNT, COUNTER, OF_ALL, MORE,
                             "Values for PutMetricData that were lost: refused, too old, or more "
                             "than metrics.buffer holds"},
    [METRIC_AWS_CALLS] = {"PutMetricDataCalls", UNIT_COUNT, COUNTER, OF_ALL, MORE,
                          "Calls of PutMetricData, which are paid for"},
    [METRIC_SERIES_REFUSED] = {"MetricSeriesRefused", UNIT_COUNT, COUNTER, OF_ALL, MORE,
                               "Values that were not sent because of metrics.max_series"},
    [METRIC_INTERVALS_MISSED] = {"MetricIntervalsMissed", UNIT_COUNT, COUNTER, OF_ALL, MORE,
                                 "Intervals in which the sidecar did not run and sent nothing"},
    [METRIC_API_REQUESTS] = {"ApiRequests", UNIT_COUNT, COUNTER, OF_ALL, MORE,
                             "Requests to the API"},
    [METRIC_REACTIONS] = {"Reactions", UNIT_COUNT, COUNTER, OF_ALL, MORE,
                          "Requests and signals of on_change that were taken"},
    [METRIC_REACTIONS_FAILED] = {"ReactionsFailed", UNIT_COUNT, COUNTER, OF_ALL, MORE,
                                 "Attempts at them that failed"},
    [METRIC_API_REFUSALS] = {"ApiRefusals", UNIT_COUNT, COUNTER, OF_ALL, MORE,
                             "Requests to the API that were answered with an error"},
};

const char *const metric_alarms[METRIC_N] = {
    [METRIC_MOUNT_STALLED] = "Maximum >= 1 in 3 of 3 minutes: file calls of the app hang",
    [METRIC_MOUNT_READY] = "Minimum < 1 in 3 of 3 minutes",
    [METRIC_PROBE_LATENCY] = "p99 above three times its usual value in 15 of 15 minutes",
    [METRIC_CANARY_LATENCY] = "p99 > 1000 in 3 of 3 periods of 5 minutes",
    [METRIC_NFS_TIME] = "p90 above three times its usual value in 15 of 15 minutes",
    [METRIC_NFS_ERRORS] = "Sum > 0 in 5 of 5 minutes",
    [METRIC_NFS_TIMEOUTS] = "Sum > 0 in 5 of 5 minutes",
    [METRIC_NFS_RETRANSMISSIONS] = "Sum > 0 in 15 of 15 minutes: the network loses packets",
    [METRIC_NFS_RECONNECTS] = "Sum > 0 in 3 of 15 minutes",
    [METRIC_NFS_LEASE_EXPIRED] = "Maximum > 0: locks may be lost",
    [METRIC_BLIND_DIRS] = "Minimum > 0: raise watch.max_dirs, or narrow watch.paths",
    [METRIC_WATCH_RESTARTS] = "Sum >= 3 in 2 of 2 periods of 5 minutes: FeedReady says why",
    [METRIC_FEED_STALENESS] =
        "Maximum > 60000 in 3 of 3 minutes: the board cannot be read, changes of others come late",
    [METRIC_FEED_GAPS] = "Sum > 0 again and again: raise feed.segments on the task that writes",
    [METRIC_LOCKS_LOST] = "Sum > 0: a command under a lock was ended",
    [METRIC_HEARTBEAT] = "Sum < 1 in 5 of 5 minutes, missing data breaching: no sidecar lives",
    [METRIC_LOOP_LAG] = "Maximum > 5000 in 3 of 3 minutes: too little processor time",
    [METRIC_CREDENTIALS_LEFT] = "Minimum < 300",
    [METRIC_METRICS_DROPPED] = "Sum > 0 in 5 of 5 minutes",
    [METRIC_DATA_DROPPED] = "Sum > 0 in 5 of 5 minutes",
    [METRIC_SERIES_REFUSED] = "Sum > 0: raise metrics.max_series, or send fewer",
};

bool metric_is_wanted(const struct settings *settings, enum metric_id id)
{
    if (metrics_table[id].core || settings->metrics_set == METRICS_ALL)
        return true;
    for (size_t i = 0; i < settings->metrics_include.n; i++)
        if (strcmp(settings->metrics_include.names[i], metrics_table[id].name) == 0)
            return true;
    return false;
}

bool metric_exists(const char *name)
{
    for (size_t i = 0; i < METRIC_N; i++)
        if (strcmp(metrics_table[i].name, name) == 0)
            return true;
    return false;
}
