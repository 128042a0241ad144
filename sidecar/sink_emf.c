/*
 * CloudWatch's embedded metric format: a JSON object per line on stdout, which the log driver takes
 * to CloudWatch Logs, which makes metrics of it. No permission and no call is needed. The same
 * lines may go to a file, for an agent that reads it.
 */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/json.h"
#include "lib/line_queue.h"
#include "sidecar/sinks.h"

enum {
    STDOUT_BUFFER_BYTES = 256 * 1024,
    LINE_BYTES_MAX = 16 * 1024 - 1, /* Docker cuts a longer line in pieces, which are no JSON */
    ARRAY_MAX = 100,
    ARRAY_LEAST = 6,
    DRAIN_MAX_MS = 350,
};

/*
 * The specification knows plain numbers, and arrays of at most 100. With more samples than that the
 * object of Values and Counts is left, which the collector of AWS sends too (awsemfexporter).
 */
static json_t *distribution_json(const struct distribution *full, size_t array_max)
{
    struct distribution merged = *full, *d = &merged;
    distribution_shrink(d, array_max);
    json_t *values = json_array(), *counts = json_array();
    bool plain = d->count <= array_max;
    for (size_t i = 0; i < d->n; i++) {
        for (uint64_t n = plain ? d->counts[i] : 1; n > 0; n--)
            json_array_append_new(values, json_double(d->values[i]));
        json_array_append_new(counts, json_integer((json_int_t)d->counts[i]));
    }
    if (plain) {
        json_decref(counts);
        return values;
    }
    return json_pack("{s:o, s:o, s:o, s:o, s:I, s:f}", "Values", values, "Counts", counts, "Min",
                     json_double(d->values[0]), "Max", json_double(d->values[d->n - 1]), "Count",
                     (json_int_t)d->count, "Sum", d->sum);
}

/* NULL: nothing to tell. */
static json_t *value_json(const struct metric *metric, const struct metric_cell *cell,
                          size_t array_max)
{
    if (!cell->known || !cell->sent)
        return NULL;
    if (metric->kind != METRIC_DISTRIBUTION)
        return json_double(cell->interval);
    return cell->values->n ? distribution_json(cell->values, array_max) : NULL;
}

static void add_dimension(json_t *root, json_t *names, const char *name, const char *value)
{
    if (!*value)
        return;
    json_object_set_new(root, name, json_string_lossy(value));
    json_array_append_new(names, json_string(name));
}

static char *render(const struct metrics_view *view, const struct metric_group *group,
                    size_t array_max)
{
    _cleanup_json_ json_t *root = json_object();
    json_t *metrics = json_array(), *dimensions = json_array();
    json_object_set_new(root, "_aws",
                        json_pack("{s:I, s:[{s:o, s:[o], s:o}]}", "Timestamp",
                                  (json_int_t)view->wall_ms, "CloudWatchMetrics", "Namespace",
                                  json_string_lossy(view->settings->metrics_namespace),
                                  "Dimensions", dimensions, "Metrics", metrics));

    for (size_t i = 0; i < DIMENSIONS; i++)
        add_dimension(root, dimensions, dimension_names[i], metric_dimension(view, group, i));

    for (size_t i = 0; i < view->n_metrics; i++) {
        const struct metric *metric = &view->table[i];
        json_t *value = value_json(metric, &group->cells[i], array_max);
        if (!value)
            continue;
        json_object_set_new(root, metric->name, value);
        json_array_append_new(metrics, json_pack("{s:s, s:s}", "Name", metric->name, "Unit",
                                                 metric_unit_names[metric->unit]));
    }
    if (json_array_size(metrics) == 0)
        return NULL;
    return json_dumps(root, JSON_COMPACT | JSON_REAL_PRECISION(9));
}

char *emf_render(const struct metrics_view *view, const struct metric_group *group)
{
    size_t array_max = ARRAY_MAX;
    char *line = render(view, group, array_max);
    while (line && strlen(line) > LINE_BYTES_MAX && array_max / 2 >= ARRAY_LEAST) {
        free(line);
        array_max /= 2;
        line = render(view, group, array_max);
    }
    return line;
}

struct emf {
    struct line_queue *queue;
    uint64_t bytes; /* that were taken */
};

static int emf_open(const struct settings *settings, void **ret_state, struct error *err)
{
    struct emf *emf = calloc(1, sizeof(*emf));
    int r = emf ? line_queue_open(STDOUT_FILENO, STDOUT_BUFFER_BYTES, &emf->queue) : -ENOMEM;
    if (r < 0) {
        free(emf);
        return error_set_errno(err, -r, "metrics.sinks: emf cannot start its writer thread");
    }
    *ret_state = emf;
    return 0;
}

static int file_check(const struct settings *settings, struct error *err)
{
    return *settings->metrics_emf_file
               ? 0
               : error_set(err, EINVAL,
                           "metrics.emf_file: metrics.sinks has emf_file, so name the file");
}

static int file_open(const struct settings *settings, void **ret_state, struct error *err)
{
    struct line_file *file;
    int r = line_file_open(settings->metrics_emf_file, (size_t)settings->metrics_emf_file_bytes,
                           &file, err);
    if (r < 0) {
        error_prefix(err, "metrics.emf_file");
        return r;
    }
    struct emf *emf = calloc(1, sizeof(*emf));
    r = emf ? line_queue_open_file(file, STDOUT_BUFFER_BYTES, &emf->queue) : -ENOMEM;
    if (r < 0) {
        line_file_close(file);
        free(emf);
        return error_set_errno(err, -r, "metrics.sinks: emf_file cannot start its writer thread");
    }
    *ret_state = emf;
    return 0;
}

static int emf_write(void *state, const struct metrics_view *view, const struct metric_group *group)
{
    struct emf *emf = state;
    _cleanup_free_ char *line = emf_render(view, group);
    size_t length = line ? strlen(line) : 0;
    int r = line ? line_queue_push(emf->queue, line, length) : 0;
    if (line && r == 0)
        emf->bytes += length + 1;
    return r;
}

static void emf_count(void *state, struct sink_counts *sum)
{
    const struct emf *emf = state;
    sum->lines_dropped += line_queue_dropped(emf->queue);
    sum->line_bytes += emf->bytes;
}

static void emf_tell(void *state, bool lost, struct conditions *conditions)
{
    if (lost)
        conditions_set(conditions, CONDITION_METRICS_PUBLISHING, CONDITION_FALSE, "OutputBlocked",
                       "stdout is not drained or closed, probably because the log driver blocks: "
                       "metric lines are dropped and counted");
    else
        conditions_set(conditions, CONDITION_METRICS_PUBLISHING, CONDITION_TRUE, "Publishing",
                       "metrics are written to stdout");
}

/* Its bytes cost nothing. */
static void file_count(void *state, struct sink_counts *sum)
{
    const struct emf *emf = state;
    sum->lines_dropped += line_queue_dropped(emf->queue);
}

static void file_tell(void *state, bool lost, struct conditions *conditions)
{
    const struct emf *emf = state;
    int error = line_queue_error(emf->queue);
    if (error)
        conditions_set(conditions, CONDITION_METRICS_PUBLISHING, CONDITION_FALSE, "FileError",
                       "metrics.emf_file cannot be written, lines are dropped and counted: %s",
                       error_name(error));
    else if (lost)
        conditions_set(conditions, CONDITION_METRICS_PUBLISHING, CONDITION_FALSE, "OutputBlocked",
                       "writing to metrics.emf_file takes too long");
    else
        conditions_set(conditions, CONDITION_METRICS_PUBLISHING, CONDITION_TRUE, "Publishing",
                       "metrics are written to metrics.emf_file");
}

static int emf_close(void *state, int64_t timeout_ms)
{
    struct emf *emf = state;
    line_queue_close(emf->queue, timeout_ms < DRAIN_MAX_MS ? timeout_ms : DRAIN_MAX_MS);
    free(emf);
    return 0;
}

const struct sink sink_emf = {
    .name = "emf",
    .open = emf_open,
    .write = emf_write,
    .count = emf_count,
    .tell = emf_tell,
    .close = emf_close,
};

const struct sink sink_emf_file = {
    .name = "emf_file",
    .check = file_check,
    .open = file_open,
    .write = emf_write,
    .count = file_count,
    .tell = file_tell,
    .close = emf_close,
};
