#include "cli/top_view.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "cli/field.h"
#include "lib/cleanup.h"
#include "lib/text.h"

enum { NAME_COLUMNS = 18, OPERATIONS_MAX = 128, NUMBER_MAX = 32 };

struct view {
    const struct top_look *now, *before;
    double seconds; /* between the two; NAN: no rates */
    FILE *out;
};

/* ---- numbers ---- */

static double seconds_between(const struct top_look *now, const struct top_look *before)
{
    if (!before->status || !before->metrics ||
        field_integer(now->status, "pid") != field_integer(before->status, "pid"))
        return NAN;
    double ms =
        field_number(now->metrics, "uptime_ms") - field_number(before->metrics, "uptime_ms");
    return ms > 0 ? ms / 1000 : NAN;
}

/* An entry of the array whose key has the value. */
static const json_t *find(const json_t *array, const char *key, const char *value)
{
    size_t i;
    json_t *entry;
    json_array_foreach(array, i,
                       entry) if (strcmp(field_text(entry, key), value) == 0) return entry;
    return NULL;
}

static const json_t *find_group(const struct top_look *look, const char *mount)
{
    return find(json_object_get(look->metrics, "groups"), "mount", mount);
}

/* What the NFS client counted, or NULL. */
static const json_t *operations_of(const struct top_look *look, const char *mount)
{
    const json_t *status = find(json_object_get(look->status, "mounts"), "path", mount);
    const json_t *operations = json_object_get(json_object_get(status, "nfs"), "operations");
    return json_is_array(operations) ? operations : NULL;
}

static double metric(const struct top_look *look, const char *mount, const char *name)
{
    const json_t *metrics = json_object_get(find_group(look, mount), "metrics");
    return field_number(find(metrics, "name", name), "value");
}

static double latency(const struct view *view, const char *mount, const char *name,
                      const char *which)
{
    const json_t *metrics = json_object_get(find_group(view->now, mount), "metrics");
    return field_number(find(metrics, "name", name), which);
}

/* Of a counter, per second. */
static double rate(const struct view *view, const char *mount, const char *name)
{
    double grown = metric(view->now, mount, name) - metric(view->before, mount, name);
    return grown >= 0 ? grown / view->seconds : NAN;
}

static const char *number(double value, char buf[NUMBER_MAX])
{
    if (!isfinite(value))
        snprintf(buf, NUMBER_MAX, "-");
    else
        snprintf(buf, NUMBER_MAX, value > 0 && value < 9.95 ? "%.1f" : "%.0f", value);
    return buf;
}

static const char *count(double value, char buf[NUMBER_MAX])
{
    snprintf(buf, NUMBER_MAX, "%.0f", isfinite(value) && value > 0 ? value : 0);
    return buf;
}

static const char *bytes(double value, char buf[NUMBER_MAX])
{
    if (!isfinite(value) || value < 0 || value > 9e18)
        return "-";
    return text_size((int64_t)value, buf);
}

static const char *percent(double value, char buf[NUMBER_MAX])
{
    if (!isfinite(value))
        return "-";
    snprintf(buf, NUMBER_MAX, "%.2f %%", value);
    return buf;
}

static const char *milliseconds(double value, char buf[NUMBER_MAX])
{
    if (!isfinite(value))
        return "-";
    if (value >= 10000 && value < 1e15)
        return text_duration((int64_t)value, buf);
    if (value >= 1000)
        snprintf(buf, NUMBER_MAX, "%.1fs", value / 1000);
    else
        snprintf(buf, NUMBER_MAX, value < 9.995 ? "%.2fms" : "%.0fms", value);
    return buf;
}

/* Of a path that is too long the end says most. */
static void put_name(FILE *out, const char *path)
{
    char text[NAME_COLUMNS + 1];
    size_t length = strlen(path);
    if (length > NAME_COLUMNS) {
        snprintf(text, sizeof(text), "..%s", path + length - (NAME_COLUMNS - 2));
        path = text;
    }
    text_column(out, NAME_COLUMNS, path);
}

/* ---- the sections, from the top ---- */

static void print_sidecar(const struct view *view)
{
    char up[TEXT_SHORT], a[NUMBER_MAX], b[NUMBER_MAX], c[NUMBER_MAX], d[NUMBER_MAX];
    const json_t *status = view->now->status;
    FILE *out = view->out;
    fputs("efs-sidecar ", out);
    text_put(out, field_text(status, "version"));
    fprintf(out, "  up %s  task ", field_duration(status, "uptime_ms", up));
    text_put(out, field_text(status, "task"));
    fprintf(out, "\nmemory %s  cpu %s  loop lag %s  requests %s/s",
            bytes(metric(view->now, "", "ResidentMemory"), a),
            percent(metric(view->now, "", "CpuUsed"), b),
            milliseconds(metric(view->now, "", "LoopLag"), c),
            number(rate(view, "", "ApiRequests"), d));
    long long logs = field_integer(status, "logs_dropped");
    long long metrics = field_integer(status, "metrics_dropped");
    if (logs > 0 || metrics > 0)
        fprintf(out, "  DROPPED %lld logs, %lld metrics", logs, metrics);
    fputc('\n', out);
}

static void print_condition(const json_t *condition, FILE *out)
{
    text_column(out, 17, field_text(condition, "type"));
    text_column(out, 7, field_text(condition, "status"));
    text_put(out, field_text(condition, "reason"));
    fputc('\n', out);
    if (strcmp(field_text(condition, "status"), "True") != 0)
        text_wrap(out, 2, field_text(condition, "message"));
}

/* All that are well in one line, each other one with its words. */
static void print_conditions(const struct view *view)
{
    size_t i, n = 0;
    json_t *condition;
    const json_t *conditions = json_object_get(view->now->status, "conditions");
    json_array_foreach(conditions, i, condition)
    {
        if (strcmp(field_text(condition, "status"), "True") == 0) {
            fputs(n++ == 0 ? "well: " : ", ", view->out);
            text_put(view->out, field_text(condition, "type"));
        }
    }
    if (n > 0)
        fputc('\n', view->out);
    json_array_foreach(conditions, i, condition)
    {
        if (strcmp(field_text(condition, "status"), "True") != 0 &&
            strcmp(field_text(condition, "reason"), "NotEnabled") != 0)
            print_condition(condition, view->out);
    }
}

static void put_state(const json_t *mount, FILE *out)
{
    char since[TEXT_SHORT], text[2 * TEXT_SHORT];
    const json_t *ready = find(json_object_get(mount, "conditions"), "type", "MountReady");
    const char *status = field_text(ready, "status");
    if (field_integer(mount, "stalled_ms") > 0) {
        snprintf(text, sizeof(text), "HUNG %s", field_duration(mount, "stalled_ms", since));
        text_column(out, 11, text);
    } else {
        text_column(out, 11,
                    strcmp(status, "True") == 0    ? "ready"
                    : strcmp(status, "False") == 0 ? "NOT READY"
                                                   : "unknown");
    }
}

static double calls_of(const struct top_look *look, const char *mount)
{
    const json_t *operations = operations_of(look, mount);
    double sum = operations ? 0 : NAN;
    size_t i;
    json_t *operation;
    json_array_foreach(operations, i, operation) sum += field_number(operation, "calls");
    return sum;
}

/* While it hangs, what it took before says nothing. */
static void put_latencies(const struct view *view, const json_t *status)
{
    char a[NUMBER_MAX], b[NUMBER_MAX], c[NUMBER_MAX];
    const char *mount = field_text(status, "path");
    if (field_integer(status, "stalled_ms") > 0)
        fprintf(view->out, "%6s %6s %6s ", "-", "-", "-");
    else
        fprintf(view->out, "%6s %6s %6s ",
                milliseconds(latency(view, mount, "ProbeLatency", "p50"), a),
                milliseconds(latency(view, mount, "ProbeLatency", "p99"), b),
                field_duration(status, "canary_ms", c));
}

static void print_mount(const struct view *view, const json_t *status)
{
    char a[NUMBER_MAX], b[NUMBER_MAX], c[NUMBER_MAX];
    const char *mount = field_text(status, "path");
    double calls = calls_of(view->now, mount) - calls_of(view->before, mount);
    put_name(view->out, mount);
    put_state(status, view->out);
    put_latencies(view, status);
    fprintf(view->out, "%6s %9s %9s\n", number(calls >= 0 ? calls / view->seconds : NAN, a),
            bytes(rate(view, mount, "NfsReadBytes"), b),
            bytes(rate(view, mount, "NfsWrittenBytes"), c));
}

static void print_mounts(const struct view *view)
{
    size_t i;
    json_t *mount;
    fputs("\nMOUNT              STATE        PROBE    P99 CANARY  OPS/S    READ/S   WRITE/S\n",
          view->out);
    json_array_foreach(json_object_get(view->now->status, "mounts"), i, mount)
        print_mount(view, mount);
}

static void print_watch(const struct view *view, const json_t *mount)
{
    char changes[NUMBER_MAX];
    const json_t *watch = json_object_get(mount, "watch");
    const char *path = field_text(mount, "path");
    put_name(view->out, path);
    text_column(view->out, 11, field_text(watch, "state"));
    fprintf(view->out, "%9s %9lld %7lld %5lld %6lld %6lld\n",
            number(rate(view, path, "WatchChanges"), changes), field_integer(watch, "changes"),
            field_integer(watch, "dirs"), field_integer(watch, "blind_total"),
            field_integer(watch, "overflows"), field_integer(watch, "restarts"));
}

/* Where something is watched. */
static void print_feed(const struct view *view)
{
    size_t i, n = 0;
    json_t *mount;
    json_array_foreach(json_object_get(view->now->status, "mounts"), i, mount)
    {
        const char *state = field_text(json_object_get(mount, "watch"), "state");
        if (strcmp(state, "-") == 0 || strcmp(state, "off") == 0)
            continue;
        if (n++ == 0)
            fputs("\nFEED               STATE       CHANGES/S   CHANGES    DIRS BLIND OVERFL "
                  "RESTRT\n",
                  view->out);
        print_watch(view, mount);
    }
}

/* ---- NFS operations ---- */

struct operation {
    const char *name;
    double calls, resent, errors, bytes, queue_ms, round_trip_ms, execute_ms; /* since before */
};

static bool read_operation(const json_t *now, const json_t *before, struct operation *ret)
{
#define GROWN(key) (field_number(now, key) - (before ? field_number(before, key) : 0))
    *ret = (struct operation){
        .name = field_text(now, "name"),
        .calls = GROWN("calls"),
        .resent = GROWN("transmissions") - GROWN("calls"),
        .errors = GROWN("errors"),
        .bytes = GROWN("sent_bytes") + GROWN("received_bytes"),
        .queue_ms = GROWN("queue_ms"),
        .round_trip_ms = GROWN("round_trip_ms"),
        .execute_ms = GROWN("execute_ms"),
    };
#undef GROWN
    return ret->calls > 0;
}

/* What took most time first. */
static int by_time(const void *a, const void *b)
{
    const struct operation *x = a, *y = b;
    if (x->execute_ms != y->execute_ms)
        return x->execute_ms < y->execute_ms ? 1 : -1;
    return x->calls < y->calls ? 1 : x->calls > y->calls ? -1 : 0;
}

static void print_operation(const struct view *view, const struct operation *o)
{
    char a[NUMBER_MAX], b[NUMBER_MAX], c[NUMBER_MAX], d[NUMBER_MAX], e[NUMBER_MAX], f[NUMBER_MAX],
        g[NUMBER_MAX];
    fputs("  ", view->out);
    text_column(view->out, NAME_COLUMNS - 2, o->name);
    fprintf(view->out, "%8s %8s %8s %8s %10s %6s %6s\n", number(o->calls / view->seconds, a),
            milliseconds(o->execute_ms / o->calls, b), milliseconds(o->round_trip_ms / o->calls, c),
            milliseconds(o->queue_ms / o->calls, d), bytes(o->bytes / o->calls, e),
            count(o->resent, f), count(o->errors, g));
}

static void print_calls(const struct view *view, const char *mount)
{
    struct operation operations[OPERATIONS_MAX];
    char waiting[NUMBER_MAX];
    size_t i, n = 0;
    json_t *entry;
    const json_t *now = operations_of(view->now, mount);
    const json_t *before = operations_of(view->before, mount);
    double unanswered = metric(view->now, mount, "NfsOutstandingCalls");
    json_array_foreach(now, i, entry)
    {
        if (n < OPERATIONS_MAX && isfinite(view->seconds) &&
            read_operation(entry, find(before, "name", field_text(entry, "name")), &operations[n]))
            n++;
    }
    text_put(view->out, mount);
    if (unanswered > 0)
        fprintf(view->out, ": %s without an answer", count(unanswered, waiting));
    fputc('\n', view->out);
    qsort(operations, n, sizeof(operations[0]), by_time);
    for (i = 0; i < n; i++)
        print_operation(view, &operations[i]);
}

/* Where the mount is NFS. */
static void print_nfs(const struct view *view)
{
    size_t i, n = 0;
    json_t *mount;
    json_array_foreach(json_object_get(view->now->status, "mounts"), i, mount)
    {
        const char *path = field_text(mount, "path");
        if (!operations_of(view->now, path))
            continue;
        if (n++ == 0)
            fputs("\nNFS CALLS           CALLS/S     TIME  ON WIRE   QUEUED BYTES/CALL RESENT "
                  "ERRORS\n",
                  view->out);
        print_calls(view, path);
    }
}

void top_print(const struct top_look *now, const struct top_look *before, int rows, FILE *out)
{
    static void (*const sections[])(const struct view *) = {
        print_sidecar, print_conditions, print_mounts, print_feed, print_nfs,
    };
    _cleanup_free_ char *text = NULL;
    size_t size;
    struct view view = {now, before, seconds_between(now, before), open_memstream(&text, &size)};
    if (!view.out)
        return;
    for (size_t i = 0; i < ARRAY_LEN(sections); i++)
        sections[i](&view);
    if (fclose(view.out) != 0)
        return;
    for (const char *line = text; *line && rows-- > 0;) {
        size_t length = strcspn(line, "\n") + 1;
        fwrite(line, 1, length, out);
        line += length;
    }
}
