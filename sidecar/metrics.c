#include "sidecar/metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/fs.h"
#include "lib/log.h"
#include "sidecar/health.h"
#include "sidecar/outputs.h"

#define OF_MOUNT true
#define OF_ALL   false
#define CORE     true
#define MORE     false

/* What exists, in the order in which it is shown. */
const struct metric metrics_table[METRIC_N] = {
    [METRIC_MOUNT_READY] = {"MountReady", UNIT_NONE, METRIC_GAUGE, OF_MOUNT, CORE,
                            "1 when the mount answers and is what was asked for, else 0"},
    [METRIC_MOUNT_STALLED] = {"MountStalled", UNIT_NONE, METRIC_GAUGE, OF_MOUNT, CORE,
                              "1 when a call to the file system has been out for too long"},
    [METRIC_PROBE_LATENCY] = {"ProbeLatency", UNIT_MILLISECONDS, METRIC_DISTRIBUTION, OF_MOUNT,
                              CORE, "Time of one uncached GETATTR of the mount's root"},
    [METRIC_CANARY_LATENCY] = {"CanaryWriteLatency", UNIT_MILLISECONDS, METRIC_DISTRIBUTION,
                               OF_MOUNT, CORE, "Time to write and sync a small file"},
    [METRIC_WATCH_CHANGES] = {"WatchChanges", UNIT_COUNT, METRIC_COUNTER, OF_MOUNT, MORE,
                              "Changes that were reported"},
    [METRIC_WATCH_OVERFLOWS] = {"WatchOverflows", UNIT_COUNT, METRIC_COUNTER, OF_MOUNT, CORE,
                                "Times that the kernel's queue of changes overflowed"},
    [METRIC_WATCH_RESTARTS] = {"WatchRestarts", UNIT_COUNT, METRIC_COUNTER, OF_MOUNT, CORE,
                               "Times that efs-watch had to be started again"},
    [METRIC_WATCHED_DIRS] = {"WatchedDirectories", UNIT_COUNT, METRIC_GAUGE, OF_MOUNT, MORE,
                             "Directories that are watched"},
    [METRIC_BLIND_DIRS] = {"BlindDirectories", UNIT_COUNT, METRIC_GAUGE, OF_MOUNT, CORE,
                           "Subtrees that should be watched and are not"},
    [METRIC_HEARTBEAT] = {"Heartbeat", UNIT_COUNT, METRIC_COUNTER, OF_ALL, CORE,
                          "1 per interval in which the sidecar's loop lived"},
    [METRIC_LOOP_LAG] = {"LoopLag", UNIT_MILLISECONDS, METRIC_PEAK, OF_ALL, MORE,
                         "The longest that the loop was late"},
    [METRIC_MEMORY] = {"ResidentMemory", UNIT_BYTES, METRIC_GAUGE, OF_ALL, MORE,
                       "Resident memory of efs-sidecar itself"},
    [METRIC_CPU] = {"CpuUsed", UNIT_PERCENT, METRIC_GAUGE, OF_ALL, MORE,
                    "Share of one core that efs-sidecar and its ended children used"},
    [METRIC_LOG_DROPPED] = {"LogLinesDropped", UNIT_COUNT, METRIC_COUNTER, OF_ALL, MORE,
                            "Log lines lost because stderr was not drained"},
    [METRIC_METRICS_DROPPED] = {"MetricLinesDropped", UNIT_COUNT, METRIC_COUNTER, OF_ALL, MORE,
                                "Metric lines lost because stdout was not drained"},
    [METRIC_DATA_DROPPED] = {"MetricDataDropped", UNIT_COUNT, METRIC_COUNTER, OF_ALL, MORE,
                             "Values for PutMetricData that were lost: refused, too old, or more "
                             "than metrics.buffer holds"},
    [METRIC_AWS_CALLS] = {"PutMetricDataCalls", UNIT_COUNT, METRIC_COUNTER, OF_ALL, MORE,
                          "Calls of PutMetricData, which are paid for"},
    [METRIC_INTERVALS_MISSED] = {"MetricIntervalsMissed", UNIT_COUNT, METRIC_COUNTER, OF_ALL, MORE,
                                 "Intervals in which the sidecar did not run and sent nothing"},
    [METRIC_API_REQUESTS] = {"ApiRequests", UNIT_COUNT, METRIC_COUNTER, OF_ALL, MORE,
                             "Requests to the API"},
    [METRIC_API_REFUSALS] = {"ApiRefusals", UNIT_COUNT, METRIC_COUNTER, OF_ALL, MORE,
                             "Requests to the API that were answered with an error"},
};

enum { LAG_TICK_MS = 1000 };

struct metrics {
    const struct settings *settings;
    struct health *health;
    struct event *timer, *lag_timer;
    int64_t tick_due_ms;
    int64_t due_ms;   /* end of the interval */
    int64_t began_ms; /* of the interval; 0 before the first */
    int64_t cpu_us;   /* used when it began */
    struct outputs *outputs;
    size_t n_groups;
    struct metric_group groups[METRIC_GROUPS_MAX]; /* [0] is the process */
    struct metric_cell cells[METRIC_GROUPS_MAX][METRIC_N];
};

/* ---- updates ---- */

void metrics_count(struct metric_group *group, enum metric_id id, uint64_t n)
{
    struct metric_cell *cell = &group->cells[id];
    cell->known = true;
    cell->interval += (double)n;
    cell->total += (double)n;
}

void metrics_count_total(struct metric_group *group, enum metric_id id, uint64_t total)
{
    uint64_t *seen = &group->cells[id].seen;
    metrics_count(group, id, total >= *seen ? total - *seen : total);
    *seen = total;
}

void metrics_set(struct metric_group *group, enum metric_id id, double value)
{
    struct metric_cell *cell = &group->cells[id];
    if (metrics_table[id].kind == METRIC_GAUGE || value > cell->interval)
        cell->interval = value;
    cell->known = true;
}

void metrics_observe(struct metric_group *group, enum metric_id id, double value)
{
    struct metric_cell *cell = &group->cells[id];
    cell->known = true;
    distribution_add(cell->values, value);
    cell->sum += value;
    cell->count++;
}

static void begin_interval(struct metric_group *group)
{
    for (size_t i = 0; i < METRIC_N; i++) {
        struct metric_cell *cell = &group->cells[i];
        switch (metrics_table[i].kind) {
        case METRIC_PEAK:
            cell->total = cell->interval;
            cell->interval = 0;
            break;
        case METRIC_COUNTER:
            cell->interval = 0;
            break;
        case METRIC_DISTRIBUTION:
            if (cell->values)
                memset(cell->values, 0, sizeof(*cell->values));
            break;
        case METRIC_GAUGE:
            break;
        }
    }
}

/* ---- groups ---- */

static struct metric_group *add_group(struct metrics *m, const char *mount, const char *file_system)
{
    if (m->n_groups == METRIC_GROUPS_MAX)
        return NULL;
    struct metric_group *group = &m->groups[m->n_groups];
    group->cells = m->cells[m->n_groups++]; /* from here on metrics_close() frees what there is */
    group->mount = strdup(mount);
    group->file_system = strdup(file_system);
    if (!group->mount || !group->file_system)
        return NULL;
    for (size_t i = 0; i < METRIC_N; i++) {
        const struct metric *metric = &metrics_table[i];
        if (metric->per_mount != (*mount != '\0'))
            continue;
        group->cells[i].known = metric->kind == METRIC_COUNTER; /* 0 is a fact */
        if (metric->kind == METRIC_DISTRIBUTION &&
            !(group->cells[i].values = calloc(1, sizeof(struct distribution))))
            return NULL;
    }
    return group;
}

static void release_group(struct metric_group *group)
{
    for (size_t i = 0; i < METRIC_N; i++)
        free(group->cells[i].values);
    free(group->mount);
    free(group->file_system);
}

struct metric_group *metrics_add_mount(struct metrics *m, const char *mount,
                                       const char *file_system)
{
    return add_group(m, mount, file_system);
}

int metrics_set_file_system(struct metric_group *group, const char *file_system)
{
    char *copy = strdup(file_system);
    if (!copy)
        return -ENOMEM;
    free(group->file_system);
    group->file_system = copy;
    return 0;
}

struct metric_group *metrics_of_process(struct metrics *m)
{
    return &m->groups[0];
}

/* ---- the process itself ---- */

static int64_t cpu_used_us(void)
{
    int64_t us = 0;
    for (int who = RUSAGE_CHILDREN; who <= RUSAGE_SELF; who++) {
        struct rusage usage;
        if (getrusage(who, &usage) == 0)
            us += (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000LL +
                  usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
    }
    return us;
}

static void measure_process(struct metrics *m)
{
    struct metric_group *process = &m->groups[0];
    _cleanup_free_ char *text = NULL;
    size_t length;
    if (fs_read_file(AT_FDCWD, "/proc/self/statm", 4096, &text, &length) == 0) {
        const char *resident = strchr(text, ' '); /* the second number, in pages */
        if (resident)
            metrics_set(process, METRIC_MEMORY,
                        (double)strtoll(resident, NULL, 10) * (double)sysconf(_SC_PAGESIZE));
    }

    int64_t elapsed_ms = clock_now_ms() - m->began_ms;
    if (elapsed_ms > 0)
        metrics_set(process, METRIC_CPU,
                    (double)(cpu_used_us() - m->cpu_us) / 10.0 / (double)elapsed_ms);
    metrics_count_total(process, METRIC_LOG_DROPPED, log_dropped());

    struct sink_counts counts;
    outputs_count(m->outputs, &counts);
    metrics_count_total(process, METRIC_METRICS_DROPPED, counts.lines_dropped);
    metrics_count_total(process, METRIC_DATA_DROPPED, counts.data_dropped);
    metrics_count_total(process, METRIC_AWS_CALLS, counts.calls);
}

static void on_lag_tick(evutil_socket_t fd, short what, void *arg)
{
    struct metrics *m = arg;
    int64_t now_ms = clock_now_ms();
    metrics_set(&m->groups[0], METRIC_LOOP_LAG,
                now_ms > m->tick_due_ms ? (double)(now_ms - m->tick_due_ms) : 0);
    m->tick_due_ms = now_ms + LAG_TICK_MS;
    outputs_tell(m->outputs, &m->health->conditions);
    event_add(m->lag_timer, &(struct timeval){.tv_sec = LAG_TICK_MS / 1000});
}

int64_t metrics_loop_lag_ms(const struct metrics *m)
{
    const struct metric_cell *lag = &m->groups[0].cells[METRIC_LOOP_LAG];
    return (int64_t)(lag->interval > lag->total ? lag->interval : lag->total);
}

/* ---- intervals ---- */

static void view_at(struct metrics *m, int64_t wall_ms, struct metrics_view *ret_view)
{
    *ret_view = (struct metrics_view){
        .table = metrics_table,
        .n_metrics = METRIC_N,
        .groups = m->groups,
        .n_groups = m->n_groups,
        .wall_ms = wall_ms,
        .settings = m->settings,
    };
}

void metrics_look(struct metrics *m, struct metrics_view *ret_view)
{
    measure_process(m);
    view_at(m, clock_wall_ms(), ret_view);
}

static void end_interval(struct metrics *m, int64_t wall_ms)
{
    metrics_count(&m->groups[0], METRIC_HEARTBEAT, 1);
    measure_process(m);
    struct metrics_view view;
    view_at(m, wall_ms, &view);
    outputs_write(m->outputs, &view);
    outputs_tell(m->outputs, &m->health->conditions);
    for (size_t i = 0; i < m->n_groups; i++)
        begin_interval(&m->groups[i]);
    m->began_ms = clock_now_ms();
    m->cpu_us = cpu_used_us();
}

static void arm(struct metrics *m)
{
    int64_t ms = clock_poll_timeout(m->due_ms);
    event_add(m->timer, &(struct timeval){.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000});
}

void metrics_tick(struct metrics *m)
{
    int64_t late_ms = clock_now_ms() - m->due_ms;
    if (late_ms >= 0) {
        int64_t missed = late_ms / m->settings->metrics_interval_ms;
        metrics_count(&m->groups[0], METRIC_INTERVALS_MISSED, (uint64_t)missed);
        end_interval(m, clock_wall_ms() - late_ms);
        m->due_ms += (missed + 1) * m->settings->metrics_interval_ms;
    }
    arm(m);
}

static void on_interval(evutil_socket_t fd, short what, void *arg)
{
    metrics_tick(arg);
}

uint64_t metrics_dropped(const struct metrics *m)
{
    struct sink_counts counts;
    outputs_count(m->outputs, &counts);
    return counts.lines_dropped + counts.data_dropped;
}

void metrics_flush(struct metrics *m)
{
    outputs_flush(m->outputs);
}

/* ---- open and close ---- */

void metrics_check(const struct settings *settings, struct config_report *report)
{
    outputs_check(settings, report);
    if (settings->metrics_namespace[0] == ':' ||
        strncmp(settings->metrics_namespace, "AWS/", 4) == 0)
        config_error(report,
                     "metrics.namespace: \"%s\" is reserved: it must not begin with \":\" or "
                     "\"AWS/\"",
                     settings->metrics_namespace);
}

static void begin(struct metrics *m)
{
    m->began_ms = clock_now_ms();
    m->cpu_us = cpu_used_us();
    m->due_ms = m->began_ms + m->settings->metrics_interval_ms;
    m->tick_due_ms = m->began_ms + LAG_TICK_MS;
    event_add(m->lag_timer, &(struct timeval){.tv_sec = LAG_TICK_MS / 1000});
    outputs_tell(m->outputs, &m->health->conditions);
    arm(m);
}

int metrics_open(struct event_base *base, const struct settings *settings, struct health *health,
                 struct metrics **ret_metrics, struct error *err)
{
    struct metrics *m = calloc(1, sizeof(*m));
    if (!m)
        return error_set(err, ENOMEM, "no memory for the metrics");
    m->settings = settings;
    m->health = health;
    m->timer = event_new(base, -1, 0, on_interval, m);
    m->lag_timer = event_new(base, -1, 0, on_lag_tick, m);
    int r = m->timer && m->lag_timer && add_group(m, "", "")
                ? outputs_open(settings, &m->outputs, err)
                : error_set(err, ENOMEM, "no memory for the metrics");
    if (r < 0) {
        metrics_close(m, 0);
        return r;
    }
    begin(m);
    *ret_metrics = m;
    return 0;
}

int metrics_close(struct metrics *m, int64_t timeout_ms)
{
    if (!m)
        return 0;
    if (m->began_ms > 0)
        end_interval(m, clock_wall_ms());
    int r = outputs_close(m->outputs, timeout_ms);
    for (size_t i = 0; i < m->n_groups; i++)
        release_group(&m->groups[i]);
    if (m->timer)
        event_free(m->timer);
    if (m->lag_timer)
        event_free(m->lag_timer);
    free(m);
    return r;
}
