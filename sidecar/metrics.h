/*
 * metrics: what is measured, kept in memory and handed to the sinks once per interval.
 *
 *     metrics_open(base, &settings, &health, &metrics, &err);
 *     struct metric_group *data = metrics_add_mount(metrics, "/data", "fs-0123456789abcdef0");
 *     metrics_observe(data, METRIC_PROBE_LATENCY, 1.25);
 *     metrics_count(data, METRIC_WATCH_CHANGES, 1);
 *     metrics_set(metrics_of_process(metrics), METRIC_..., 1);
 *     metrics_close(metrics, 500);                  // sends the last, shorter interval
 *
 * The table of all metrics is in metric_table.c, updates are in metric_group.h. An update is an
 * addition: cheap enough for every event. The loop's lag, memory, processor time and lost lines are
 * measured here, nobody has to report them; the condition MetricsPublishing is kept here too.
 *
 * An interval is stamped with the time at which it was due. When the process did not run at that
 * time, the counters go on and MetricIntervalsMissed says how many intervals have no line. What a
 * sink loses is the sink's: see outputs.h.
 *
 * Ownership: groups belong to the metrics and live as long. Threads: loop thread only. Errors: a
 * file system that is not known and a value that was never set are left out.
 */
#ifndef SIDECAR_METRICS_H
#define SIDECAR_METRICS_H

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/error.h"
#include "lib/settings.h"
#include "sidecar/metric_group.h"

struct health;
struct metrics;

/* Tell all that is wrong with the metrics' settings. */
void metrics_check(const struct settings *settings, struct config_report *report);

/* settings and health must outlive the metrics. */
int metrics_open(struct event_base *base, const struct settings *settings, struct health *health,
                 struct metrics **ret_metrics, struct error *err);

/* NULL: no memory. file_system may be "" and told later. */
struct metric_group *metrics_add_mount(struct metrics *metrics, const char *mount,
                                       const char *file_system);
/* Where the NFS file system of the group is mounted now, or NULL; see nfs_metrics.h. */
void metrics_follow_nfs(struct metrics *metrics, struct metric_group *group, const char *target,
                        dev_t device);
struct metric_group *metrics_of_process(struct metrics *metrics);

/* End the interval if it is over. The timer does that; tests that move the clock do it too. */
void metrics_tick(struct metrics *metrics);

/* As of now, for GET /metrics. */
void metrics_look(struct metrics *metrics, struct metrics_view *ret_view);

/* The longest that the loop was late, in this interval or the last. */
int64_t metrics_loop_lag_ms(const struct metrics *metrics);
uint64_t metrics_dropped(const struct metrics *metrics); /* lines and data */

/* The process is about to end: what waits to be sent goes out now. */
void metrics_flush(struct metrics *metrics);

/* NULL is fine. -EBUSY: see outputs.h. */
int metrics_close(struct metrics *metrics, int64_t timeout_ms);

#endif
