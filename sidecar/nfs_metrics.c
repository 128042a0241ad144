#include "sidecar/nfs_metrics.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "lib/metering.h"
#include "lib/mountstats.h"

struct nfs_mount {
    struct metric_group *group;
    char *target; /* NULL: no NFS */
    dev_t device;
    bool counted; /* stats is where the next difference begins */
    struct mountstats stats;
    int64_t least_unanswered;
    bool reconnected; /* and no answer has come since */
};

struct nfs_metrics {
    const char *file;
    bool failed; /* was said */
    size_t n;
    struct nfs_mount *mounts[CONFIG_MOUNTS_MAX];
    struct mountstats read[CONFIG_MOUNTS_MAX];
};

/* ---- one mount ---- */

static const struct class_ids {
    enum metric_id calls, time, round_trip, queue;
} ids_of[MOUNTSTATS_SESSION] = {
    [MOUNTSTATS_READ] = {METRIC_NFS_READS, METRIC_NFS_READ_TIME, METRIC_NFS_READ_ROUND_TRIP,
                         METRIC_NFS_READ_QUEUE},
    [MOUNTSTATS_WRITE] = {METRIC_NFS_WRITES, METRIC_NFS_WRITE_TIME, METRIC_NFS_WRITE_ROUND_TRIP,
                          METRIC_NFS_WRITE_QUEUE},
    [MOUNTSTATS_METADATA] = {METRIC_NFS_METADATA, METRIC_NFS_METADATA_TIME,
                             METRIC_NFS_METADATA_ROUND_TRIP, METRIC_NFS_METADATA_QUEUE},
    [MOUNTSTATS_LOCK] = {METRIC_NFS_LOCKS, METRIC_NFS_LOCK_TIME, METRIC_NFS_LOCK_ROUND_TRIP,
                         METRIC_NFS_LOCK_QUEUE},
};

static double mean(uint64_t sum, uint64_t n)
{
    return (double)sum / (double)n;
}

static void count_times(struct metric_group *group, const struct class_ids *ids,
                        const struct mountstats_op *op)
{
    uint64_t n = op->calls;
    metrics_count(group, ids->calls, n);
    metrics_observe_mean(group, METRIC_NFS_TIME, mean(op->execute_ms, n), n);
    metrics_observe_mean(group, ids->time, mean(op->execute_ms, n), n);
    metrics_observe_mean(group, ids->round_trip, mean(op->round_trip_ms, n), n);
    metrics_observe_mean(group, ids->queue, mean(op->queue_ms, n), n);
}

static void count_op(struct metric_group *group, const struct mountstats_op *op)
{
    enum mountstats_class class = mountstats_class(op->name);
    if (op->calls == 0)
        return;
    if (class == MOUNTSTATS_SESSION)
        metrics_count(group, METRIC_NFS_SESSION, op->calls);
    else
        count_times(group, &ids_of[class], op);
    metrics_count(group, METRIC_NFS_FAILED, op->errors);
    metrics_count(group, METRIC_NFS_TIMEOUTS, op->timeouts);
    metrics_count(group, METRIC_NFS_ERRORS, op->timeouts);
    /* Other operations fail all the time and nothing is wrong: no such file, locked by another. */
    if (class == MOUNTSTATS_READ || class == MOUNTSTATS_WRITE)
        metrics_count(group, METRIC_NFS_ERRORS, op->errors);
    if (op->transmissions > op->calls)
        metrics_count(group, METRIC_NFS_RETRANSMISSIONS, op->transmissions - op->calls);
}

static void count_delta(struct metric_group *group, const struct mountstats *delta)
{
    struct metering_sum metered;
    for (size_t i = 0; i < delta->n_ops; i++)
        count_op(group, &delta->ops[i]);
    metering_of(delta, &metered);
    metrics_count(group, METRIC_METERED_BYTES, metered.read_bytes + metered.write_bytes);
    metrics_count(group, METRIC_METERED_WRITTEN_BYTES, metered.write_bytes);
    metrics_count(group, METRIC_APP_READ_BYTES, delta->bytes.app_read);
    metrics_count(group, METRIC_APP_WRITTEN_BYTES, delta->bytes.app_written);
    metrics_count(group, METRIC_NFS_READ_BYTES, delta->bytes.server_read);
    metrics_count(group, METRIC_NFS_WRITTEN_BYTES, delta->bytes.server_written);
    metrics_count(group, METRIC_NFS_DELAYS, delta->delays);
    metrics_count(group, METRIC_NFS_RECONNECTS, delta->transport.connects);
    uint64_t sends = delta->transport.sends;
    metrics_set(group, METRIC_NFS_BACKLOG, sends ? mean(delta->transport.backlog, sends) : 0);
}

/*
 * Sends that have no answer yet. With a connection some are lost for good (sent again, given up),
 * so the least that was ever seen is nothing, and what is seen when answers come again after a
 * reconnect is nothing too. Before they come, a proxy may take any number of new connections.
 */
static uint64_t outstanding(struct nfs_mount *mount, const struct mountstats *stats)
{
    int64_t now = (int64_t)(stats->transport.sends - stats->transport.receives);
    if (stats->transport.connects != mount->stats.transport.connects)
        mount->reconnected = true;
    bool answers = stats->transport.receives > mount->stats.transport.receives;
    if (now < mount->least_unanswered || (mount->reconnected && answers)) {
        mount->least_unanswered = now;
        mount->reconnected = false;
    }
    return (uint64_t)now - (uint64_t)mount->least_unanswered;
}

static void set_seconds(struct metric_group *group, enum metric_id id, int64_t seconds)
{
    if (seconds >= 0)
        metrics_set(group, id, (double)seconds);
}

static bool is_counter_of_nfs(size_t id)
{
    return id >= METRIC_NFS_TIME && id <= METRIC_METERED_WRITTEN_BYTES &&
           metrics_table[id].kind == METRIC_COUNTER;
}

static void begin(struct nfs_mount *mount, const struct mountstats *stats)
{
    for (size_t i = 0; i < METRIC_N; i++)
        if (is_counter_of_nfs(i))
            metrics_count(mount->group, i, 0);
    mount->least_unanswered = INT64_MAX;
    mount->reconnected = false;
    mount->stats = *stats;
    mount->counted = true;
}

static void take(struct nfs_mount *mount, const struct mountstats *stats)
{
    struct mountstats delta;
    if (mount->counted && mountstats_since(&mount->stats, stats, &delta) == 0)
        count_delta(mount->group, &delta);
    else
        begin(mount, stats);
    metrics_set(mount->group, METRIC_NFS_OUTSTANDING, (double)outstanding(mount, stats));
    mount->stats = *stats;
    mount->group->nfs = &mount->stats;
    set_seconds(mount->group, METRIC_NFS_LEASE_TIME, stats->lease_s);
    set_seconds(mount->group, METRIC_NFS_LEASE_EXPIRED, stats->lease_expired_s);
}

static void stop_counting(struct nfs_mount *mount)
{
    static const enum metric_id gauges[] = {METRIC_NFS_LEASE_TIME, METRIC_NFS_LEASE_EXPIRED,
                                            METRIC_NFS_OUTSTANDING, METRIC_NFS_BACKLOG};
    for (size_t i = 0; i < ARRAY_LEN(gauges); i++)
        metrics_forget(mount->group, gauges[i]);
    mount->counted = false;
    mount->group->nfs = NULL;
    mount->group->shared_with = NULL;
}

/* ---- all ---- */

/* The first mount of the same device counts. */
static const struct nfs_mount *first_of_device(const struct nfs_metrics *nfs,
                                               const struct nfs_mount *mount)
{
    for (size_t i = 0; nfs->mounts[i] != mount; i++)
        if (nfs->mounts[i]->target && nfs->mounts[i]->device == mount->device)
            return nfs->mounts[i];
    return mount;
}

static void find_shared(struct nfs_metrics *nfs)
{
    for (size_t i = 0; i < nfs->n; i++) {
        struct nfs_mount *mount = nfs->mounts[i];
        if (!mount->target)
            continue;
        const struct nfs_mount *first = first_of_device(nfs, mount);
        if (first != mount)
            stop_counting(mount);
        mount->group->shared_with = first != mount ? first->group->mount : NULL;
    }
}

void nfs_metrics_collect(struct nfs_metrics *nfs)
{
    struct mountstats_request requests[CONFIG_MOUNTS_MAX];
    struct nfs_mount *asked[CONFIG_MOUNTS_MAX];
    struct error err;
    size_t n = 0;
    for (size_t i = 0; i < nfs->n; i++) {
        if (!nfs->mounts[i]->target || nfs->mounts[i]->group->shared_with)
            continue;
        asked[n] = nfs->mounts[i];
        requests[n] = (struct mountstats_request){.path = asked[n]->target, .stats = &nfs->read[n]};
        n++;
    }
    if (n == 0)
        return;
    int r = mountstats_read_several(nfs->file, requests, n, &err);
    if (r < 0 && !nfs->failed)
        log_error("%s: there are no metrics of the NFS client", err.text);
    nfs->failed = r < 0;
    for (size_t i = 0; r == 0 && i < n; i++)
        if (requests[i].result == 0)
            take(asked[i], requests[i].stats);
}

static struct nfs_mount *mount_of(struct nfs_metrics *nfs, struct metric_group *group)
{
    for (size_t i = 0; i < nfs->n; i++)
        if (nfs->mounts[i]->group == group)
            return nfs->mounts[i];
    struct nfs_mount *mount = nfs->n < CONFIG_MOUNTS_MAX ? calloc(1, sizeof(*mount)) : NULL;
    if (!mount)
        return NULL;
    mount->group = group;
    nfs->mounts[nfs->n++] = mount;
    return mount;
}

int nfs_metrics_follow(struct nfs_metrics *nfs, struct metric_group *group, const char *target,
                       dev_t device)
{
    struct nfs_mount *mount = mount_of(nfs, group);
    char *copy = target ? strdup(target) : NULL;
    if (!mount || (target && !copy)) {
        free(copy);
        return -ENOMEM;
    }
    bool same =
        target && mount->target && strcmp(target, mount->target) == 0 && mount->device == device;
    free(mount->target);
    mount->target = copy;
    mount->device = device;
    if (same)
        return 0;
    stop_counting(mount);
    find_shared(nfs);
    nfs_metrics_collect(nfs);
    return 0;
}

int nfs_metrics_new(const char *file, struct nfs_metrics **ret_nfs)
{
    struct nfs_metrics *nfs = calloc(1, sizeof(*nfs));
    if (!nfs)
        return -ENOMEM;
    nfs->file = file;
    *ret_nfs = nfs;
    return 0;
}

void nfs_metrics_free(struct nfs_metrics *nfs)
{
    for (size_t i = 0; nfs && i < nfs->n; i++) {
        free(nfs->mounts[i]->target);
        free(nfs->mounts[i]);
    }
    free(nfs);
}
