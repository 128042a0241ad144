/* The same metrics as Prometheus text (version 0.0.4), for whoever scrapes GET /metrics. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/mountstats.h"
#include "sidecar/sinks.h"

static const struct {
    const char *suffix;
    double scale; /* to the base unit that Prometheus wants */
} units[] = {
    [UNIT_NONE] = {"", 1},
    [UNIT_COUNT] = {"", 1},
    [UNIT_MILLISECONDS] = {"_seconds", 0.001},
    [UNIT_SECONDS] = {"_seconds", 1},
    [UNIT_BYTES] = {"_bytes", 1},
    [UNIT_PERCENT] = {"_ratio", 0.01},
};

static const char *const kind_names[] = {
    [METRIC_COUNTER] = "counter",
    [METRIC_GAUGE] = "gauge",
    [METRIC_PEAK] = "gauge",
    [METRIC_DISTRIBUTION] = "summary",
};

/* "ProbeLatency" in milliseconds is efs_sidecar_probe_latency_seconds. */
static void full_name(const struct metric *metric, char *buf, size_t size)
{
    size_t used = (size_t)snprintf(buf, size, "efs_sidecar");
    for (const char *p = metric->name; *p && used + 2 < size; p++) {
        if (isupper((unsigned char)*p))
            buf[used++] = '_';
        buf[used++] = (char)tolower((unsigned char)*p);
    }
    const char *unit = units[metric->unit].suffix;
    size_t length = strlen(unit);
    if (used >= length && memcmp(buf + used - length, unit, length) == 0)
        unit = ""; /* the name has it: AppReadBytes */
    snprintf(buf + used, size - used, "%s%s", unit, metric->kind == METRIC_COUNTER ? "_total" : "");
}

static void put_label(FILE *out, const char *name, const char *value, bool *first)
{
    if (!*value)
        return;
    fprintf(out, "%c%s=\"", *first ? '{' : ',', name);
    *first = false;
    for (; *value; value++) {
        if (*value == '\n')
            fputs("\\n", out);
        else if (*value == '\\' || *value == '"')
            fprintf(out, "\\%c", *value);
        else
            fputc(*value, out);
    }
    fputc('"', out);
}

static void put_sample(FILE *out, const char *name, const char *suffix,
                       const struct metric_group *group, const char *op, double value)
{
    bool first = true;
    fprintf(out, "%s%s", name, suffix);
    put_label(out, "mount", group->mount, &first);
    put_label(out, "file_system", group->file_system, &first);
    put_label(out, "op", op, &first);
    fprintf(out, "%s %.15g\n", first ? "" : "}", value);
}

static void put_cell(FILE *out, const struct metric *metric, const char *name,
                     const struct metric_group *group, const struct metric_cell *cell)
{
    double scale = units[metric->unit].scale;
    switch (metric->kind) {
    case METRIC_COUNTER:
        put_sample(out, name, "", group, "", cell->total * scale);
        break;
    case METRIC_GAUGE:
        put_sample(out, name, "", group, "", cell->interval * scale);
        break;
    case METRIC_PEAK: /* a scrape just after an interval ended would miss the peak else */
        put_sample(out, name, "", group, "",
                   (cell->interval > cell->total ? cell->interval : cell->total) * scale);
        break;
    case METRIC_DISTRIBUTION:
        put_sample(out, name, "_sum", group, "", cell->sum * scale);
        put_sample(out, name, "_count", group, "", (double)cell->count);
        break;
    }
}

static void put_metric(FILE *out, const struct metrics_view *view, size_t i)
{
    const struct metric *metric = &view->table[i];
    bool told = false;
    char name[128];
    full_name(metric, name, sizeof(name));
    for (size_t g = 0; g < view->n_groups; g++) {
        const struct metric_group *group = &view->groups[g];
        if (!group->cells[i].known)
            continue;
        if (!told)
            fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, metric->meaning, name,
                    kind_names[metric->kind]);
        told = true;
        put_cell(out, metric, name, group, &group->cells[i]);
    }
}

/* Each operation of the NFS clients. CloudWatch gets classes of them: these would be hundreds. */
static const struct {
    const char *name, *help;
    size_t offset;
    double scale;
} op_columns[] = {
#define COLUMN(name, field, scale, help)                                                           \
    {                                                                                              \
        "efs_sidecar_nfs_op_" name "_total", help, offsetof(struct mountstats_op, field), scale    \
    }
    COLUMN("calls", calls, 1, "Calls by operation since the mount"),
    COLUMN("transmissions", transmissions, 1, "Times that a call was sent"),
    COLUMN("timeouts", timeouts, 1, "Times that a call's timeo ran out"),
    COLUMN("errors", errors, 1, "Calls that failed"),
    COLUMN("sent_bytes", bytes_sent, 1, "Bytes of calls"),
    COLUMN("received_bytes", bytes_received, 1, "Bytes of answers"),
    COLUMN("queue_seconds", queue_ms, 0.001, "Time that calls waited to be sent"),
    COLUMN("round_trip_seconds", round_trip_ms, 0.001, "Time from sending to the answer"),
    COLUMN("execute_seconds", execute_ms, 0.001, "Time of calls, waiting included"),
#undef COLUMN
};

static void put_op_column(FILE *out, const struct metrics_view *view, size_t column)
{
    const char *name = op_columns[column].name;
    bool told = false;
    for (size_t g = 0; g < view->n_groups; g++) {
        const struct mountstats *nfs = view->groups[g].nfs;
        for (size_t i = 0; nfs && i < nfs->n_ops; i++) {
            const struct mountstats_op *op = &nfs->ops[i];
            uint64_t value;
            if (op->calls == 0)
                continue;
            if (!told)
                fprintf(out, "# HELP %s %s\n# TYPE %s counter\n", name, op_columns[column].help,
                        name);
            told = true;
            memcpy(&value, (const char *)op + op_columns[column].offset, sizeof(value));
            put_sample(out, name, "", &view->groups[g], op->name,
                       (double)value * op_columns[column].scale);
        }
    }
}

char *prometheus_render(const struct metrics_view *view, size_t *ret_length)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, ret_length);
    if (!out)
        return NULL;
    for (size_t i = 0; i < view->n_metrics; i++)
        put_metric(out, view, i);
    for (size_t i = 0; i < ARRAY_LEN(op_columns); i++)
        put_op_column(out, view, i);
    return fclose(out) == 0 ? text : NULL;
}
