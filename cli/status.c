#include "cli/status.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/clock.h"
#include "lib/json.h"
#include "lib/text.h"

enum { BLIND_SHOWN = 5 };

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "-";
}

static long long number_of(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static const char *duration_of(const json_t *object, const char *key, char *buf)
{
    json_t *value = json_object_get(object, key);
    return json_is_integer(value) ? text_duration(json_integer_value(value), buf) : "-";
}

/* How long ago "2026-11-23T09:55:54.123Z" was, by the clock that wrote it: ours. */
static const char *age_of(const char *time_text, char *buf)
{
    struct tm tm = {0};
    const char *fraction = strptime(time_text, "%Y-%m-%dT%H:%M:%S", &tm);
    if (!fraction)
        return "-";
    int64_t age_ms = clock_wall_ms() - (int64_t)timegm(&tm) * 1000;
    if (*fraction == '.')
        age_ms -= (int64_t)(strtod(fraction, NULL) * 1000);
    return text_duration(age_ms > 0 ? age_ms : 0, buf);
}

static bool wants_words(const json_t *condition)
{
    return strcmp(text_of(condition, "status"), "True") != 0 &&
           strcmp(text_of(condition, "reason"), "NotEnabled") != 0;
}

static void print_condition(const json_t *condition, FILE *out)
{
    char age[TEXT_SHORT];
    fputs("  ", out);
    text_column(out, 19, text_of(condition, "type"));
    text_column(out, 8, text_of(condition, "status"));
    text_column(out, 8, age_of(text_of(condition, "lastTransition"), age));
    text_put(out, text_of(condition, "reason"));
    fputc('\n', out);
    if (wants_words(condition))
        text_wrap(out, 4, text_of(condition, "message"));
}

/* "  name      " */
static void print_label(const char *name, FILE *out)
{
    fputs("  ", out);
    text_column(out, 9, name);
}

static void print_field(const char *name, const char *text, FILE *out)
{
    print_label(name, out);
    text_put(out, text);
    fputc('\n', out);
}

static void print_answers(const json_t *mount, FILE *out)
{
    char probe[TEXT_SHORT], canary[TEXT_SHORT];
    print_label("answers", out);
    if (number_of(mount, "stalled_ms") > 0)
        fprintf(out, "not since %s\n", duration_of(mount, "stalled_ms", probe));
    else
        fprintf(out, "in %s, write canary in %s\n", duration_of(mount, "probe_ms", probe),
                duration_of(mount, "canary_ms", canary));
}

static void print_watch(const json_t *watch, FILE *out)
{
    print_label("watch", out);
    text_put(out, text_of(watch, "state"));
    fprintf(out, ": %lld directories, %lld changes, %lld overflows, %lld restarts\n",
            number_of(watch, "dirs"), number_of(watch, "changes"), number_of(watch, "overflows"),
            number_of(watch, "restarts"));
    json_t *blind = json_object_get(watch, "blind");
    long long total = number_of(watch, "blind_total");
    size_t shown = 0;
    for (; shown < json_array_size(blind) && shown < BLIND_SHOWN; shown++) {
        const json_t *entry = json_array_get(blind, shown);
        const char *path = text_of(entry, "path");
        print_label(shown == 0 ? "blind in" : "", out);
        text_put(out, *path ? path : ".");
        fputs(" (", out);
        text_put(out, text_of(entry, "reason"));
        fputs(")\n", out);
    }
    if (total > (long long)shown) {
        print_label("", out);
        fprintf(out, "and %lld more\n", total - (long long)shown);
    }
}

static void print_mount(const json_t *mount, bool with_conditions, FILE *out)
{
    fputs("\nMount ", out);
    text_put(out, text_of(mount, "path"));
    fputs(" (", out);
    if (*text_of(mount, "file_system")) { /* most mounts on ECS do not name it */
        text_put(out, text_of(mount, "file_system"));
        fputs(", ", out);
    }
    text_put(out, text_of(mount, "fstype"));
    fputs(json_is_true(json_object_get(mount, "read_only")) ? ", read-only)\n" : ", read-write)\n",
          out);
    print_field("source", text_of(mount, "source"), out);
    print_answers(mount, out);
    if (json_is_string(json_object_get(mount, "task_dir")))
        print_field("task dir", text_of(mount, "task_dir"), out);
    if (json_is_string(json_object_get(mount, "task_link")))
        print_field("link", text_of(mount, "task_link"), out);
    print_watch(json_object_get(mount, "watch"), out);
    size_t i;
    json_t *condition;
    json_array_foreach(json_object_get(mount, "conditions"), i, condition)
    {
        if (with_conditions && wants_words(condition))
            print_condition(condition, out);
    }
}

static void print_title(const json_t *status, FILE *out)
{
    char uptime[TEXT_SHORT];
    fputs("efs-sidecar ", out);
    text_put(out, text_of(status, "version"));
    fputs(", profile ", out);
    text_put(out, text_of(status, "profile"));
    fprintf(out, ", up %s, pid %lld\ntask ", duration_of(status, "uptime_ms", uptime),
            number_of(status, "pid"));
    text_put(out, text_of(status, "task"));
    fputs("\n\n  CONDITION           STATUS   SINCE    REASON\n", out);
}

void status_print(const json_t *status, FILE *out)
{
    print_title(status, out);
    size_t i;
    json_t *entry;
    json_array_foreach(json_object_get(status, "conditions"), i, entry) print_condition(entry, out);
    json_t *mounts = json_object_get(status, "mounts");
    json_array_foreach(mounts, i, entry) print_mount(entry, json_array_size(mounts) > 1, out);
    long long logs = number_of(status, "logs_dropped");
    long long metrics = number_of(status, "metrics_dropped");
    if (logs > 0 || metrics > 0)
        fprintf(out, "\nDropped, because nobody read them: %lld log lines, %lld metric lines\n",
                logs, metrics);
}

int status_run(const struct command_call *call)
{
    _cleanup_client_ struct client *client = NULL;
    _cleanup_json_ json_t *root = NULL;
    const char *text;
    int code = command_get(call, "/v1/status", COMMAND_TIMEOUT_MS, &client, &root, &text);
    if (code != 0)
        return code;
    if (call->values[0])
        puts(text);
    else
        status_print(root, stdout);
    return 0;
}
