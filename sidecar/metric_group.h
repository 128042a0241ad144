/*
 * metric_group: the values of all metrics of one mount, or of the sidecar itself.
 *
 *     metrics_observe(group, METRIC_PROBE_LATENCY, 1.25);
 *     metrics_count(group, METRIC_WATCH_CHANGES, 1);
 *     metrics_set(group, METRIC_MOUNT_READY, 1);
 *
 * An update is an addition: cheap enough for every event. The process's counters are 0 from the
 * start; those of a mount are not known before they are counted for the first time, with 0 at
 * least, by whoever can count them there.
 *
 * Ownership: a group is made and released by the metrics. Threads: loop thread only.
 */
#ifndef SIDECAR_METRIC_GROUP_H
#define SIDECAR_METRIC_GROUP_H

#include "sidecar/metric_table.h"

void metrics_count(struct metric_group *group, enum metric_id id, uint64_t n);
/* For who keeps the total elsewhere; a total that went back means that its keeper was restarted. */
void metrics_count_total(struct metric_group *group, enum metric_id id, uint64_t total);
/* A gauge, or one more candidate for a peak. */
void metrics_set(struct metric_group *group, enum metric_id id, double value);
void metrics_observe(struct metric_group *group, enum metric_id id, double value);
/* n values of which only the mean is known. */
void metrics_observe_mean(struct metric_group *group, enum metric_id id, double mean, uint64_t n);
/* It cannot be measured any more. What was counted stays. */
void metrics_forget(struct metric_group *group, enum metric_id id);

/* file_system may be "" and told later. */
int metrics_set_file_system(struct metric_group *group, const char *file_system);

/* ---- for metrics.c ---- */

/* cells: METRIC_N zeroed ones, the caller's. mount is "" for the process. */
int metric_group_init(struct metric_group *group, struct metric_cell *cells, const char *mount,
                      const char *file_system);
void metric_group_release(struct metric_group *group);

/* A new interval: what is summed up over one begins at 0. */
void metric_group_begin(struct metric_group *group);

#endif
