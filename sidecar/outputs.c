#include "sidecar/outputs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/log.h"

enum { OUTPUTS_MAX = 4 };

struct output {
    const struct sink *ops;
    void *state;
    bool lost;                                   /* something of the last interval */
    struct metric_cell *kept[METRIC_GROUPS_MAX]; /* what it lost of each group, or NULL */
    struct conditions conditions;
};

struct outputs {
    size_t n, n_metrics;
    struct output of[OUTPUTS_MAX];
};

/* ---- what a sink lost ---- */

static void free_cells(struct metric_cell *cells, size_t n)
{
    for (size_t i = 0; cells && i < n; i++)
        free(cells[i].values);
    free(cells);
}

static struct metric_cell *copy_cells(const struct metric_cell *cells, size_t n)
{
    struct metric_cell *copy = calloc(n, sizeof(*copy));
    bool whole = copy;
    for (size_t i = 0; copy && i < n; i++) {
        copy[i] = cells[i];
        if (!cells[i].values)
            continue;
        copy[i].values = malloc(sizeof(*copy[i].values));
        if (copy[i].values)
            *copy[i].values = *cells[i].values;
        else
            whole = false;
    }
    if (whole)
        return copy;
    free_cells(copy, n);
    return NULL;
}

static void add_cell(enum metric_kind kind, struct metric_cell *into,
                     const struct metric_cell *from)
{
    struct metric_cell sum = *from;
    sum.values = into->values;
    switch (kind) {
    case METRIC_COUNTER:
        sum.interval += into->interval;
        break;
    case METRIC_PEAK:
        if (into->interval > sum.interval)
            sum.interval = into->interval;
        break;
    case METRIC_DISTRIBUTION:
        if (from->values)
            distribution_merge(sum.values, from->values);
        break;
    case METRIC_GAUGE:
        break;
    }
    *into = sum;
}

/* What it takes replaces what it lost before; what it does not take is kept for the next time. */
static void write_group(struct output *output, const struct metrics_view *view, size_t at)
{
    struct metric_group group = view->groups[at];
    struct metric_cell **kept = &output->kept[at];
    for (size_t i = 0; *kept && i < view->n_metrics; i++)
        add_cell(view->table[i].kind, &(*kept)[i], &group.cells[i]);
    if (*kept)
        group.cells = *kept;
    if (output->ops->write(output->state, view, &group) == 0) {
        free_cells(*kept, view->n_metrics);
        *kept = NULL;
        return;
    }
    output->lost = true;
    if (!*kept)
        *kept = copy_cells(group.cells, view->n_metrics); /* no memory: lost for good */
}

void outputs_write(struct outputs *outputs, const struct metrics_view *view)
{
    outputs->n_metrics = view->n_metrics;
    for (size_t i = 0; i < outputs->n; i++) {
        outputs->of[i].lost = false;
        for (size_t g = 0; g < view->n_groups; g++)
            write_group(&outputs->of[i], view, g);
    }
}

/* ---- state ---- */

void outputs_count(const struct outputs *outputs, struct sink_counts *ret_counts)
{
    struct sink_counts sum = {0};
    for (size_t i = 0; i < outputs->n; i++)
        outputs->of[i].ops->count(outputs->of[i].state, &sum);
    *ret_counts = sum;
}

/* The worst of what the outputs say of it; those that do not have it say nothing. */
static void tell_worst(struct outputs *outputs, enum condition_type type, const char *none,
                       struct conditions *conditions)
{
    const struct output *worst = NULL;
    enum condition_status before = conditions->of[type].status;
    for (size_t i = 0; i < outputs->n; i++) {
        const struct condition *its = &outputs->of[i].conditions.of[type];
        if (strcmp(its->reason, CONDITION_NOT_ENABLED) != 0 &&
            (!worst || its->status > worst->conditions.of[type].status))
            worst = &outputs->of[i];
    }
    if (!worst) {
        conditions_set(conditions, type, CONDITION_UNKNOWN, CONDITION_NOT_ENABLED, "%s", none);
        return;
    }
    const struct condition *its = &worst->conditions.of[type];
    bool changed = conditions_set(conditions, type, its->status, its->reason, "%s%s%s",
                                  outputs->n > 1 ? worst->ops->name : "",
                                  outputs->n > 1 ? ": " : "", its->message);
    if (changed && (its->status == CONDITION_FALSE || before == CONDITION_FALSE))
        log_event(its->status == CONDITION_FALSE ? LOG_WARN : LOG_INFO, its->message, "condition",
                  condition_type_names[type], "status", condition_status_names[its->status],
                  "reason", its->reason, "sink", worst->ops->name, NULL);
}

void outputs_tell(struct outputs *outputs, struct conditions *conditions)
{
    for (size_t i = 0; i < outputs->n; i++)
        outputs->of[i].ops->tell(outputs->of[i].state, outputs->of[i].lost,
                                 &outputs->of[i].conditions);
    tell_worst(outputs, CONDITION_METRICS_PUBLISHING,
               "metrics.sinks is none: only GET /metrics shows metrics", conditions);
    tell_worst(outputs, CONDITION_CREDENTIALS_VALID, "nothing here calls AWS", conditions);
}

/* ---- open and close ---- */

static bool is_none(const struct name_list *names)
{
    return names->n == 0 || (names->n == 1 && strcmp(names->names[0], "none") == 0);
}

static int check_sink(const struct settings *settings, size_t at, struct error *err)
{
    const struct name_list *names = &settings->metrics_sinks;
    const char *name = names->names[at];
    const struct sink *sink = sink_find(name);
    if (!sink)
        return error_set(err, EINVAL, "metrics.sinks: \"%s\" is not one of %s", name, sink_names());
    for (size_t i = 0; i < at; i++)
        if (strcmp(names->names[i], name) == 0)
            return error_set(err, EINVAL, "metrics.sinks: \"%s\" is given twice", name);
    return sink->check ? sink->check(settings, err) : 0;
}

void outputs_check(const struct settings *settings, struct config_report *report)
{
    const struct name_list *names = &settings->metrics_sinks;
    struct error err;
    for (size_t i = 0; !is_none(names) && i < names->n; i++)
        if (check_sink(settings, i, &err) < 0)
            config_error(report, "%s", err.text);
}

int outputs_open(const struct settings *settings, struct outputs **ret_outputs, struct error *err)
{
    const struct name_list *names = &settings->metrics_sinks;
    struct outputs *outputs = calloc(1, sizeof(*outputs));
    if (!outputs)
        return error_set(err, ENOMEM, "no memory for the metrics");
    for (size_t i = 0; !is_none(names) && i < names->n && i < OUTPUTS_MAX; i++) {
        struct output *output = &outputs->of[outputs->n];
        int r = check_sink(settings, i, err);
        output->ops = sink_find(names->names[i]);
        if (r == 0)
            r = output->ops->open(settings, &output->state, err);
        if (r < 0) {
            outputs_close(outputs, 0);
            return r;
        }
        conditions_init(&output->conditions, NULL);
        outputs->n++;
    }
    *ret_outputs = outputs;
    return 0;
}

void outputs_flush(struct outputs *outputs)
{
    for (size_t i = 0; i < outputs->n; i++)
        if (outputs->of[i].ops->flush)
            outputs->of[i].ops->flush(outputs->of[i].state);
}

/* All of them go on writing while one is waited for. */
int outputs_close(struct outputs *outputs, int64_t timeout_ms)
{
    int64_t deadline_ms = clock_now_ms() + timeout_ms;
    int busy = 0;
    for (size_t i = 0; outputs && i < outputs->n; i++) {
        struct output *output = &outputs->of[i];
        int64_t left_ms = deadline_ms - clock_now_ms();
        int r = output->ops->close(output->state, left_ms > 0 ? left_ms : 0);
        busy = r < 0 ? r : busy;
        for (size_t g = 0; g < METRIC_GROUPS_MAX; g++)
            free_cells(output->kept[g], outputs->n_metrics);
    }
    free(outputs);
    return busy;
}
