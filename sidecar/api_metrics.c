#include "sidecar/api_metrics.h"

#include "lib/clock.h"
#include "lib/json.h"
#include "lib/mountstats.h"
#include "sidecar/health.h"
#include "sidecar/metrics.h"

static void add_distribution(json_t *object, const struct metric_cell *cell)
{
    const struct distribution *d = cell->values->n > 0 ? cell->values : cell->last;
    json_object_set_new(object, "count", json_integer((json_int_t)cell->count));
    json_object_set_new(object, "sum", json_real(cell->sum));
    if (d->n == 0)
        return;
    json_object_set_new(object, "min", json_real(d->values[0]));
    json_object_set_new(object, "max", json_real(d->values[d->n - 1]));
    json_object_set_new(object, "p50", json_real(distribution_percentile(d, 50)));
    json_object_set_new(object, "p90", json_real(distribution_percentile(d, 90)));
    json_object_set_new(object, "p99", json_real(distribution_percentile(d, 99)));
}

static double value_of(const struct metric *metric, const struct metric_cell *cell)
{
    if (metric->kind == METRIC_COUNTER)
        return cell->total;
    if (metric->kind == METRIC_PEAK && cell->total > cell->interval)
        return cell->total;
    return cell->interval;
}

static json_t *metric_json(const struct metric *metric, const struct metric_cell *cell)
{
    json_t *object = json_pack(
        "{s:s, s:s, s:s, s:b, s:b}", "name", metric->name, "unit", metric_unit_names[metric->unit],
        "kind", metric_kind_names[metric->kind], "core", metric->core, "sent", cell->sent);
    if (metric->kind == METRIC_DISTRIBUTION)
        add_distribution(object, cell);
    else
        json_object_set_new(object, "value", json_real(value_of(metric, cell)));
    return object;
}

/* Those that were called at all. */
static json_t *operations_json(const struct mountstats *nfs)
{
    json_t *operations = json_array();
    for (size_t i = 0; i < nfs->n_ops; i++) {
        const struct mountstats_op *op = &nfs->ops[i];
        if (op->calls == 0)
            continue;
        json_array_append_new(
            operations,
            json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "name", op->name,
                      "calls", (json_int_t)op->calls, "transmissions",
                      (json_int_t)op->transmissions, "timeouts", (json_int_t)op->timeouts, "errors",
                      (json_int_t)op->errors, "bytes_sent", (json_int_t)op->bytes_sent,
                      "bytes_received", (json_int_t)op->bytes_received, "queue_ms",
                      (json_int_t)op->queue_ms, "round_trip_ms", (json_int_t)op->round_trip_ms,
                      "execute_ms", (json_int_t)op->execute_ms));
    }
    return operations;
}

static json_t *group_json(const struct metrics_view *view, const struct metric_group *group)
{
    json_t *metrics = json_array();
    for (size_t i = 0; i < view->n_metrics; i++)
        if (group->cells[i].known)
            json_array_append_new(metrics, metric_json(&view->table[i], &group->cells[i]));
    json_t *object =
        json_pack("{s:o, s:o, s:o}", "mount", json_string_lossy(group->mount), "file_system",
                  json_string_lossy(group->file_system), "metrics", metrics);
    if (group->nfs)
        json_object_set_new(object, "operations", operations_json(group->nfs));
    if (group->shared_with)
        json_object_set_new(object, "shared_with", json_string_lossy(group->shared_with));
    return object;
}

json_t *api_metrics_json(const struct api_sources *from)
{
    struct metrics_view view;
    metrics_look(from->metrics, &view);
    json_t *groups = json_array(), *meanings = json_object();
    for (size_t i = 0; i < view.n_groups; i++)
        json_array_append_new(groups, group_json(&view, &view.groups[i]));
    for (size_t i = 0; i < view.n_metrics; i++)
        json_object_set_new(meanings, view.table[i].name, json_string(view.table[i].meaning));
    return json_pack("{s:I, s:I, s:I, s:o, s:o}", "interval_ms",
                     (json_int_t)from->settings->metrics_interval_ms, "wall_ms",
                     (json_int_t)view.wall_ms, "uptime_ms",
                     (json_int_t)(clock_now_ms() - from->health->started_ms), "groups", groups,
                     "meanings", meanings);
}
