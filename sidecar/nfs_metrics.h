/*
 * nfs_metrics: the metrics of what the kernel's NFS client counts (lib/mountstats), for all mounts
 * from one reading of the file. It asks the kernel only and cannot hang.
 *
 *     r = nfs_metrics_new(NULL, &nfs);
 *     nfs_metrics_follow(nfs, group, "/data", mount.device);    // NULL: no NFS is mounted there
 *     nfs_metrics_collect(nfs);                                 // at the end of each interval
 *     ... group->nfs ...                        // the counters of each operation, or NULL
 *
 * What is counted begins when a mount is first followed; when its counters go back it begins anew.
 * Times are the sums that the kernel keeps for each operation: a distribution gets an operation's
 * mean of the time since the last collection, as often as it was called.
 *
 * One file system instance may be mounted at several paths, its counters are then the same: the
 * first group that follows a device counts, the others have shared_with set to its mount and count
 * nothing, so that sums over a file system are right.
 *
 * Ownership: groups are the caller's and must outlive the metrics of them. Threads: loop thread.
 */
#ifndef SIDECAR_NFS_METRICS_H
#define SIDECAR_NFS_METRICS_H

#include <sys/types.h>

#include "sidecar/metric_group.h"

struct nfs_metrics;

/* file: NULL for /proc/self/mountstats; it must outlive the metrics. */
int nfs_metrics_new(const char *file, struct nfs_metrics **ret_nfs);
void nfs_metrics_free(struct nfs_metrics *nfs); /* NULL is fine */

/* What is mounted for the group now: may be called again and again. -errno: no memory for it. */
int nfs_metrics_follow(struct nfs_metrics *nfs, struct metric_group *group, const char *target,
                       dev_t device);

void nfs_metrics_collect(struct nfs_metrics *nfs);

#endif
