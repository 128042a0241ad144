#include "cli/status.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/field.h"
#include "lib/clock.h"
#include "lib/json.h"
#include "lib/text.h"

enum { BLIND_SHOWN = 5 };

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
    return strcmp(field_text(condition, "status"), "True") != 0 &&
           strcmp(field_text(condition, "reason"), "NotEnabled") != 0;
}

static void print_condition(const json_t *condition, FILE *out)
{
    char age[TEXT_SHORT];
    fputs("  ", out);
    text_column(out, 19, field_text(condition, "type"));
    text_column(out, 8, field_text(condition, "status"));
    text_column(out, 8, age_of(field_text(condition, "lastTransition"), age));
    text_put(out, field_text(condition, "reason"));
    fputc('\n', out);
    if (wants_words(condition))
        text_wrap(out, 4, field_text(condition, "message"));
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
    if (field_integer(mount, "stalled_ms") > 0)
        fprintf(out, "not since %s\n", field_duration(mount, "stalled_ms", probe));
    else
        fprintf(out, "in %s, write canary in %s\n", field_duration(mount, "probe_ms", probe),
                field_duration(mount, "canary_ms", canary));
}

static void print_watch(const json_t *watch, FILE *out)
{
    print_label("watch", out);
    text_put(out, field_text(watch, "state"));
    long long dirs = field_integer(watch, "dirs"), changes = field_integer(watch, "changes");
    long long overflows = field_integer(watch, "overflows");
    long long restarts = field_integer(watch, "restarts");
    fprintf(out, ": %lld %s, %lld %s, %lld %s, %lld %s\n", dirs,
            text_plural(dirs, "directory", "directories"), changes,
            text_plural(changes, "change", "changes"), overflows,
            text_plural(overflows, "overflow", "overflows"), restarts,
            text_plural(restarts, "restart", "restarts"));
    json_t *blind = json_object_get(watch, "blind");
    long long total = field_integer(watch, "blind_total");
    size_t shown = 0;
    for (; shown < json_array_size(blind) && shown < BLIND_SHOWN; shown++) {
        const json_t *entry = json_array_get(blind, shown);
        const char *path = field_text(entry, "path");
        print_label(shown == 0 ? "blind in" : "", out);
        text_put(out, *path ? path : ".");
        fputs(" (", out);
        text_put(out, field_text(entry, "reason"));
        fputs(")\n", out);
    }
    if (total > (long long)shown) {
        print_label("", out);
        fprintf(out, "and %lld more\n", total - (long long)shown);
    }
}

static void print_locks(const json_t *locks, FILE *out)
{
    long long held = field_integer(locks, "held"), waiting = field_integer(locks, "waiting");
    if (held + waiting == 0)
        return;
    print_label("locks", out);
    fprintf(out, "%lld held, %lld waiting\n", held, waiting);
}

static void print_mount(const json_t *mount, bool with_conditions, FILE *out)
{
    fputs("\nMount ", out);
    text_put(out, field_text(mount, "path"));
    fputs(" (", out);
    if (*field_text(mount, "file_system")) { /* most mounts on ECS do not name it */
        text_put(out, field_text(mount, "file_system"));
        fputs(", ", out);
    }
    text_put(out, field_text(mount, "fstype"));
    fputs(json_is_true(json_object_get(mount, "read_only")) ? ", read-only)\n" : ", read-write)\n",
          out);
    print_field("source", field_text(mount, "source"), out);
    print_answers(mount, out);
    if (json_is_string(json_object_get(mount, "task_dir")))
        print_field("task dir", field_text(mount, "task_dir"), out);
    if (json_is_string(json_object_get(mount, "task_link")))
        print_field("link", field_text(mount, "task_link"), out);
    print_watch(json_object_get(mount, "watch"), out);
    print_locks(json_object_get(mount, "locks"), out);
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
    text_put(out, field_text(status, "version"));
    fputs(", profile ", out);
    text_put(out, field_text(status, "profile"));
    fprintf(out, ", up %s, pid %lld\ntask ", field_duration(status, "uptime_ms", uptime),
            field_integer(status, "pid"));
    text_put(out, field_text(status, "task"));
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
    const json_t *run_dir = json_object_get(status, "run_dir");
    if (json_is_false(json_object_get(run_dir, "protected"))) {
        fputs("\nEvery user of the task may replace the socket and the links in ", out);
        text_put(out, field_text(run_dir, "path"));
        fputs(": set its sticky bit (chmod 1777)\n", out);
    }
    long long logs = field_integer(status, "logs_dropped");
    long long metrics = field_integer(status, "metrics_dropped");
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
