#include "cli/metrics.h"

#include <math.h>
#include <string.h>
#include <time.h>

#include "cli/cost.h"
#include "cli/field.h"
#include "cli/terminal.h"
#include "lib/clock.h"
#include "lib/json.h"
#include "lib/parse.h"
#include "lib/text.h"

enum { OPTION_WATCH, OPTION_INTERVAL, OPTION_COST, OPTION_REGION, OPTION_JSON };

enum {
    NAME_COLUMNS = 26,
    UNIT_COLUMNS = 12,
    VALUE_COLUMNS = 37,
    VALUE_MAX = 128,
    INTERVAL_DEFAULT_MS = 60 * 1000,
    INTERVAL_MAX_MS = 24 * 3600 * 1000,
};

/* A number as its unit wants it; missing ones are NAN. */
static void put_number(double value, const char *unit, char *buf, size_t size)
{
    char bytes[TEXT_SHORT];
    if (!isfinite(value))
        snprintf(buf, size, "-");
    else if (strcmp(unit, "Bytes") == 0 && value >= 0 && value < 9e18)
        snprintf(buf, size, "%s", text_size((int64_t)value, bytes));
    else
        snprintf(buf, size, fabs(value) < 1000 ? "%.3g" : "%.0f", value);
}

static void put_distribution(const json_t *metric, const char *unit, char *buf, size_t size)
{
    char p50[TEXT_SHORT], p99[TEXT_SHORT], max[TEXT_SHORT], mean[TEXT_SHORT];
    double count = field_number(metric, "count");
    put_number(field_number(metric, "p50"), unit, p50, sizeof(p50));
    put_number(field_number(metric, "p99"), unit, p99, sizeof(p99));
    put_number(field_number(metric, "max"), unit, max, sizeof(max));
    put_number(field_number(metric, "sum") / count, unit, mean, sizeof(mean));
    if (json_object_get(metric, "p50"))
        snprintf(buf, size, "p50 %s, p99 %s, max %s", p50, p99, max);
    else
        snprintf(buf, size, "mean %s of %.0f", mean, isfinite(count) ? count : 0);
}

static void print_metric(const json_t *metric, const json_t *meanings, FILE *out)
{
    const char *name = field_text(metric, "name"), *unit = field_text(metric, "unit");
    char value[VALUE_MAX];
    if (strcmp(field_text(metric, "kind"), "distribution") == 0)
        put_distribution(metric, unit, value, sizeof(value));
    else
        put_number(field_number(metric, "value"), unit, value, sizeof(value));
    fputs("  ", out);
    text_column(out, NAME_COLUMNS, name);
    text_column(out, UNIT_COLUMNS, strcmp(unit, "None") == 0 ? "" : unit);
    if (meanings) {
        text_column(out, VALUE_COLUMNS, value);
        text_put(out, field_text(meanings, name));
    } else {
        text_put(out, value);
    }
    fputc('\n', out);
}

static void print_group(const json_t *group, const json_t *meanings, FILE *out)
{
    const char *mount = field_text(group, "mount");
    const char *file_system = field_text(group, "file_system");
    if (*mount) {
        fputs("Mount ", out);
        text_put(out, mount);
        if (*file_system) {
            fputs(" (", out);
            text_put(out, file_system);
            fputc(')', out);
        }
    } else {
        fputs("The sidecar", out);
    }
    fputc('\n', out);
    size_t i;
    json_t *metric;
    json_array_foreach(json_object_get(group, "metrics"), i, metric)
        print_metric(metric, meanings, out);
}

void metrics_print(const json_t *metrics, int columns, FILE *out)
{
    const json_t *meanings = columns >= METRICS_WIDE ? json_object_get(metrics, "meanings") : NULL;
    size_t i;
    json_t *group;
    json_array_foreach(json_object_get(metrics, "groups"), i, group)
    {
        if (i > 0)
            fputc('\n', out);
        print_group(group, meanings, out);
    }
}

static int show_table(const struct command_call *call, int64_t *ret_interval_ms)
{
    _cleanup_client_ struct client *client = NULL;
    _cleanup_json_ json_t *root = NULL;
    const char *text;
    int columns, rows;
    int code = command_get(call, "/v1/metrics", COMMAND_TIMEOUT_MS, &client, &root, &text);
    if (code != 0)
        return code;
    terminal_size(&columns, &rows);
    if (call->values[OPTION_JSON])
        puts(text);
    else
        metrics_print(root, columns, stdout);
    if (json_get_i64(root, "interval_ms", 1, INTERVAL_MAX_MS, ret_interval_ms, &(struct error){0}) <
        0)
        *ret_interval_ms = INTERVAL_DEFAULT_MS;
    return 0;
}

/* Until it is interrupted, stdout is closed or the sidecar is gone. */
static int watch(const struct command_call *call, int64_t interval_ms)
{
    char now[CLOCK_TEXT];
    for (bool first = true;; first = false) {
        int64_t told_ms, begun_ms = clock_now_ms();
        if (!call->values[OPTION_JSON])
            printf("%s%s\n", first ? "" : "\n", clock_format(clock_wall_ms(), now));
        int code = show_table(call, &told_ms);
        if (code != 0 || fflush(stdout) != 0)
            return code;
        int64_t left_ms = begun_ms + (interval_ms > 0 ? interval_ms : told_ms) - clock_now_ms();
        if (left_ms > 0)
            nanosleep(&(struct timespec){left_ms / 1000, left_ms % 1000 * 1000000}, NULL);
    }
}

int metrics_run(const struct command_call *call)
{
    const char *interval = call->values[OPTION_INTERVAL];
    int64_t interval_ms = 0, told_ms;
    if (call->values[OPTION_COST] && (call->values[OPTION_WATCH] || call->values[OPTION_JSON]))
        return command_misuse(call, "--cost goes with neither --watch nor --json");
    if (call->values[OPTION_REGION] && !call->values[OPTION_COST])
        return command_misuse(call, "--region belongs to --cost");
    if (interval && !call->values[OPTION_WATCH])
        return command_misuse(call, "--interval belongs to --watch");
    if (interval && parse_duration_ms(interval, 100, INTERVAL_MAX_MS, &interval_ms) < 0)
        return command_misuse(call, "--interval is a time from 100ms to 24h, not \"%.64s\"",
                              interval);
    if (call->values[OPTION_COST])
        return cost_run(call, call->values[OPTION_REGION]);
    if (call->values[OPTION_WATCH])
        return watch(call, interval_ms);
    return show_table(call, &told_ms);
}
