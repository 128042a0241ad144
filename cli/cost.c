#include "cli/cost.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "cli/field.h"
#include "lib/json.h"
#include "lib/price.h"
#include "lib/text.h"

enum { SERIES_MAX = 4096, LINE_MAX_BYTES = 512 };

static const double month_s = PRICE_MONTH_HOURS * 3600.0, gib = 1024.0 * 1024 * 1024;

/* ---- what was counted ---- */

/* The metric's value, summed over the mounts; 0 when nobody has it. */
static double sum_of(const json_t *metrics, const char *name)
{
    double sum = 0;
    size_t i, j;
    json_t *group, *metric;
    json_array_foreach(json_object_get(metrics, "groups"), i, group)
    {
        json_array_foreach(json_object_get(group, "metrics"), j, metric)
        {
            double value = field_number(metric, "value");
            if (isfinite(value) && strcmp(field_text(metric, "name"), name) == 0)
                sum += value;
        }
    }
    return sum;
}

/* Metrics of CloudWatch: mounts of one file system share theirs. */
static int count_series(const json_t *metrics)
{
    _cleanup_json_ json_t *seen = json_object();
    size_t i, j;
    json_t *group, *metric;
    json_array_foreach(json_object_get(metrics, "groups"), i, group)
    {
        json_array_foreach(json_object_get(group, "metrics"), j, metric)
        {
            char series[LINE_MAX_BYTES];
            snprintf(series, sizeof(series), "%.200s %.200s", field_text(group, "file_system"),
                     field_text(metric, "name"));
            if (json_is_true(json_object_get(metric, "sent")) &&
                json_object_size(seen) < SERIES_MAX)
                json_object_set_new(seen, series, json_true());
        }
    }
    return (int)json_object_size(seen);
}

static const json_t *setting(const json_t *config, const char *name)
{
    return json_object_get(json_object_get(config, name), "value");
}

static bool has_sink(const json_t *config, const char *name)
{
    const char *sinks = json_string_value(setting(config, "metrics.sinks"));
    size_t length = strlen(name);
    for (const char *at = sinks; at && (at = strstr(at, name)); at += length)
        if ((at == sinks || at[-1] == ',') && (at[length] == '\0' || at[length] == ','))
            return true;
    return false;
}

/* ---- what it costs: one line each ---- */

static double put_line(FILE *out, const char *title, double dollars, const char *formula)
{
    char text[LINE_MAX_BYTES], amount[TEXT_SHORT];
    snprintf(amount, sizeof(amount), "$%.2f", dollars);
    snprintf(text, sizeof(text), "  %-9s %9s  ", title, amount);
    text_item(out, (int)strlen(text), text, formula);
    return dollars;
}

static double print_series(const json_t *metrics, const json_t *config, FILE *out)
{
    char text[LINE_MAX_BYTES];
    const char *by_task = json_string_value(setting(config, "metrics.task_dimension"));
    bool per_task = by_task && strcmp(by_task, "true") == 0;
    int n = has_sink(config, "emf") || has_sink(config, "cloudwatch") ? count_series(metrics) : 0;
    snprintf(text, sizeof(text), "%d x $%.2f, %s", n, PRICE_METRIC_MONTH,
             per_task ? "for each task, because of metrics.task_dimension"
                      : "once for all tasks of the service");
    return put_line(out, "metrics", n * PRICE_METRIC_MONTH, text);
}

static double print_lines(const json_t *metrics, FILE *out)
{
    char text[LINE_MAX_BYTES];
    double intervals = sum_of(metrics, "Heartbeat");
    double interval_s = field_number(metrics, "interval_ms") / 1000;
    double bytes = sum_of(metrics, "MetricLineBytes") / (intervals > 0 ? intervals : 1);
    double gb = bytes * (interval_s > 0 ? month_s / interval_s : 0) / 1e9;
    snprintf(text, sizeof(text),
             "%.0f bytes every %.0f s = %.4f GB x $%.2f, EMF lines to CloudWatch Logs", bytes,
             interval_s, gb, PRICE_LOGS_GB);
    return put_line(out, "logs", gb * PRICE_LOGS_GB, text);
}

static double print_calls(const json_t *metrics, double lived_s, FILE *out)
{
    char text[LINE_MAX_BYTES];
    double calls = sum_of(metrics, "PutMetricDataCalls");
    double a_month = calls / lived_s * month_s;
    snprintf(text, sizeof(text), "%.0f PutMetricData in %.0f s = %.0f x $%.2f / 1000", calls,
             lived_s, a_month, PRICE_1000_API_CALLS);
    return put_line(out, "calls", a_month / 1000 * PRICE_1000_API_CALLS, text);
}

static double print_efs(const json_t *metrics, double lived_s, FILE *out)
{
    char text[LINE_MAX_BYTES];
    double per_month = month_s / lived_s / gib;
    double written = sum_of(metrics, "SidecarMeteredWrittenBytes") * per_month;
    double read = sum_of(metrics, "SidecarMeteredBytes") * per_month - written;
    snprintf(text, sizeof(text),
             "%.2f GiB read x $%.2f + %.2f GiB written x $%.2f, the sidecar's own calls to EFS as "
             "Elastic throughput meters them",
             read, PRICE_EFS_READ_GIB, written, PRICE_EFS_WRITE_GIB);
    return put_line(out, "EFS", read * PRICE_EFS_READ_GIB + written * PRICE_EFS_WRITE_GIB, text);
}

void cost_print(const json_t *metrics, const json_t *config, const char *region, FILE *out)
{
    char lived[TEXT_SHORT];
    double lived_s = field_number(metrics, "uptime_ms") / 1000;
    if (!(lived_s > 0 && lived_s < 1e12))
        lived_s = 1;
    fprintf(out, "A month (%d h), if it goes on as in the %s since the start:\n", PRICE_MONTH_HOURS,
            text_duration((int64_t)(lived_s * 1000), lived));
    double service = print_series(metrics, config, out), task = 0;
    if (has_sink(config, "emf"))
        task += print_lines(metrics, out);
    if (has_sink(config, "cloudwatch"))
        task += print_calls(metrics, lived_s, out);
    task += print_efs(metrics, lived_s, out);
    put_line(out, "each task", task, "besides the metrics");
    put_line(out, "first one", service + task, "with the metrics");
    fputs("List prices of " PRICE_REGION ", " PRICE_DATE ", without free tiers", out);
    if (region && strcmp(region, PRICE_REGION) != 0) {
        fputs("; in ", out);
        text_put(out, region);
        fputs(" they differ", out);
    }
    fputs(".\n", out);
}

int cost_run(const struct command_call *call, const char *region)
{
    _cleanup_client_ struct client *first = NULL, *second = NULL;
    _cleanup_json_ json_t *metrics = NULL, *config = NULL;
    int code = command_get(call, "/v1/metrics", COMMAND_TIMEOUT_MS, &first, &metrics, NULL);
    if (code == 0)
        code = command_get(call, "/v1/config", COMMAND_TIMEOUT_MS, &second, &config, NULL);
    if (code != 0)
        return code;
    cost_print(metrics, config, region ? region : getenv("AWS_REGION"), stdout);
    return 0;
}
