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
#include "sidecar/nfs_metrics.h"
#include "sidecar/outputs.h"

enum { LAG_TICK_MS = 1000, LOOK_MS = 1000 };

struct metrics {
    const struct settings *settings;
    struct health *health;
    struct event *timer, *lag_timer;
    int64_t tick_due_ms;
    int64_t due_ms;   /* end of the interval */
    int64_t began_ms; /* of the interval; 0 before the first */
    int64_t cpu_us;   /* used when it began */
    struct outputs *outputs;
    struct nfs_metrics *nfs;
    int64_t looked_ms;           /* at what the NFS client counted */
    int64_t n_series, n_refused; /* cells that are sent to CloudWatch, or would be */
    size_t n_groups;
    struct metric_group groups[METRIC_GROUPS_MAX]; /* [0] is the process */
    struct metric_cell cells[METRIC_GROUPS_MAX][METRIC_N];
};

/* ---- groups ---- */

static struct metric_group *add_group(struct metrics *m, const char *mount, const char *file_system)
{
    if (m->n_groups == METRIC_GROUPS_MAX)
        return NULL;
    struct metric_group *group = &m->groups[m->n_groups];
    struct metric_cell *cells = m->cells[m->n_groups];
    if (metric_group_init(group, cells, mount, file_system) < 0)
        return NULL;
    m->n_groups++;
    for (size_t i = 0; i < METRIC_N; i++) {
        if (metrics_table[i].per_mount != (*mount != '\0') || !metric_is_wanted(m->settings, i))
            continue;
        cells[i].sent = m->n_series < m->settings->metrics_max_series;
        if (cells[i].sent)
            m->n_series++;
        else
            m->n_refused++;
    }
    return group;
}

struct metric_group *metrics_add_mount(struct metrics *m, const char *mount,
                                       const char *file_system)
{
    return add_group(m, mount, file_system);
}

void metrics_follow_nfs(struct metrics *m, struct metric_group *group, const char *target,
                        dev_t device)
{
    if (nfs_metrics_follow(m->nfs, group, target, device) < 0)
        log_error("%s: no memory for the metrics of its NFS client", group->mount);
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
    metrics_count_total(process, METRIC_LINE_BYTES, counts.line_bytes);
    metrics_count_total(process, METRIC_DATA_DROPPED, counts.data_dropped);
    metrics_count_total(process, METRIC_AWS_CALLS, counts.calls);
    if (counts.credentials_expire_ms > 0)
        metrics_set(process, METRIC_CREDENTIALS_LEFT,
                    (double)(counts.credentials_expire_ms - clock_now_ms()) / 1000);
}

static void measure_nfs(struct metrics *m)
{
    nfs_metrics_collect(m->nfs);
    m->looked_ms = clock_now_ms();
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
    if (clock_now_ms() - m->looked_ms >= LOOK_MS) /* anybody may ask as often as he likes */
        measure_nfs(m);
    view_at(m, clock_wall_ms(), ret_view);
}

static void end_interval(struct metrics *m, int64_t wall_ms)
{
    metrics_count(&m->groups[0], METRIC_HEARTBEAT, 1);
    metrics_count(&m->groups[0], METRIC_SERIES_REFUSED, (uint64_t)m->n_refused);
    measure_process(m);
    measure_nfs(m);
    struct metrics_view view;
    view_at(m, wall_ms, &view);
    outputs_write(m->outputs, &view);
    outputs_tell(m->outputs, &m->health->conditions);
    for (size_t i = 0; i < m->n_groups; i++)
        metric_group_begin(&m->groups[i]);
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
    for (size_t i = 0; i < settings->metrics_include.n; i++)
        if (!metric_exists(settings->metrics_include.names[i]))
            config_error(report,
                         "metrics.include: there is no metric \"%s\"; docs/metrics.md lists them",
                         settings->metrics_include.names[i]);
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
    int r = m->timer && m->lag_timer && add_group(m, "", "") && nfs_metrics_new(NULL, &m->nfs) == 0
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
    nfs_metrics_free(m->nfs);
    for (size_t i = 0; i < m->n_groups; i++)
        metric_group_release(&m->groups[i]);
    if (m->timer)
        event_free(m->timer);
    if (m->lag_timer)
        event_free(m->lag_timer);
    free(m);
    return r;
}
