/*
 * sinks: where metrics go. A sink is a const table of operations; outputs.c calls it once per
 * interval and group with a view of everything that was measured.
 *
 *     const struct sink *sink = sink_find("emf");
 *     r = sink->open(settings, &state, &err);
 *     r = sink->write(state, &view, group);       // never blocks
 *     r = sink->close(state, timeout_ms);         // what was written goes out first, if it can
 *
 * Ownership: a view belongs to the metrics and holds during the call only. Threads: loop thread.
 */
#ifndef SIDECAR_SINKS_H
#define SIDECAR_SINKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/error.h"
#include "lib/settings.h"
#include "sidecar/distribution.h"
#include "sidecar/health.h"

enum { METRIC_GROUPS_MAX = CONFIG_MOUNTS_MAX + 1 }; /* each mount, and the process */

enum metric_kind {
    METRIC_COUNTER,      /* only grows */
    METRIC_GAUGE,        /* the last value */
    METRIC_PEAK,         /* the highest value of the interval */
    METRIC_DISTRIBUTION, /* all values of the interval */
};

enum metric_unit {
    UNIT_NONE,
    UNIT_COUNT,
    UNIT_MILLISECONDS,
    UNIT_SECONDS,
    UNIT_BYTES,
    UNIT_PERCENT,
};

extern const char *const metric_kind_names[]; /* "counter" */
extern const char *const metric_unit_names[]; /* as CloudWatch calls them */

struct metric {
    const char *name; /* as in CloudWatch */
    enum metric_unit unit;
    enum metric_kind kind;
    bool per_mount; /* else of the whole sidecar */
    bool core;      /* one of the few that the alarms and the dashboard's first row need */
    const char *meaning;
};

struct metric_cell {
    bool known;                  /* what was never measured is not sent */
    bool sent;                   /* to CloudWatch: wanted, and within metrics.max_series */
    double interval;             /* counter: since the interval began; gauge, peak: the value */
    double total;                /* counter: since start; peak: that of the interval before */
    uint64_t seen;               /* counter: the keeper's own total */
    struct distribution *values; /* distribution: of the interval */
    struct distribution *last;   /* of the last interval before that had any */
    double sum;                  /* distribution: of all values since start */
    uint64_t count;
};

struct mountstats;

/* One per mount, and one for the whole sidecar (mount is ""). */
struct metric_group {
    char *mount, *file_system;    /* file_system is "" when not known */
    struct metric_cell *cells;    /* one per entry of metrics_view.table */
    const struct mountstats *nfs; /* what the NFS client counted in all, or NULL */
    const char *shared_with;      /* the mount that counts for this one too, or NULL */
};

struct metrics_view {
    const struct metric *table;
    size_t n_metrics;
    const struct metric_group *groups;
    size_t n_groups;
    int64_t wall_ms; /* when the interval ended, not when it was written */
    const struct settings *settings;
};

struct sink_counts {
    /* Since open; data: values for PutMetricData. */
    uint64_t lines_dropped, line_bytes, data_dropped, calls;
    int64_t credentials_expire_ms; /* 0: not known, or never */
};

enum dimension {
    DIMENSION_CLUSTER,
    DIMENSION_SERVICE,
    DIMENSION_FILE_SYSTEM,
    DIMENSION_TASK, /* each task would be a set of metrics of its own, at $0.30 a metric */
    DIMENSIONS
};

extern const char *const dimension_names[DIMENSIONS];

/* What CloudWatch's metrics of the group are told apart by; "" is left out. */
const char *metric_dimension(const struct metrics_view *view, const struct metric_group *group,
                             enum dimension dimension);

struct sink {
    const char *name;                                                 /* in metrics.sinks */
    int (*check)(const struct settings *settings, struct error *err); /* or NULL */
    int (*open)(const struct settings *settings, void **ret_state, struct error *err);
    /* -errno: nothing of the group was taken. */
    int (*write)(void *state, const struct metrics_view *view, const struct metric_group *group);
    void (*count)(void *state, struct sink_counts *sum); /* adds its own */
    /* Set MetricsPublishing, and CredentialsValid if it needs any; lost: write() just failed. */
    void (*tell)(void *state, bool lost, struct conditions *conditions);
    void (*flush)(void *state); /* send what waits, now; NULL: nothing ever waits */
    int (*close)(void *state, int64_t timeout_ms); /* -EBUSY: a thread was left behind in a call
                                                      that must not see exit handlers run */
};

extern const struct sink sink_emf, sink_emf_file, sink_cloudwatch;

const struct sink *sink_find(const char *name); /* NULL: no such sink */
const char *sink_names(void);                   /* "emf, ..., none" for messages */

/* The JSON line of one group, without '\n'; NULL when it has nothing to tell. The caller frees. */
char *emf_render(const struct metrics_view *view, const struct metric_group *group);

/* Everything as Prometheus text; the caller frees. NULL: no memory. */
char *prometheus_render(const struct metrics_view *view, size_t *ret_length);

#endif
