#include "init/report.h"

#include <ctype.h>
#include <stdarg.h>

#include "lib/clock.h"
#include "lib/json.h"

static const char *const verdict_names[] = {
    [VERDICT_OK] = "ok",     [VERDICT_WARN] = "warn",       [VERDICT_FAIL] = "fail",
    [VERDICT_SKIP] = "skip", [VERDICT_UNKNOWN] = "unknown",
};

void report_release(struct report *report)
{
    for (size_t i = 0; i < report->n; i++)
        json_decref(report->mounts[i].facts);
    report->n = 0;
}

static struct check *next_check(struct mount_report *mount, const char *id, enum verdict verdict)
{
    static struct check dropped;
    struct check *check = mount->n < REPORT_CHECKS_MAX ? &mount->checks[mount->n++] : &dropped;
    *check = (struct check){.id = id, .verdict = verdict, .took_us = -1};
    return check;
}

/* Paths and sources come from outside: no byte of them may start a line of its own. */
static void __attribute__((format(printf, 3, 0)))
put_text(char *text, size_t size, const char *format, va_list args)
{
    vsnprintf(text, size, format, args);
    for (char *byte = text; *byte; byte++)
        if (iscntrl((unsigned char)*byte))
            *byte = '?';
}

struct check *report_add(struct mount_report *mount, const char *id, enum verdict verdict,
                         const char *format, ...)
{
    struct check *check = next_check(mount, id, verdict);
    va_list args;
    va_start(args, format);
    put_text(check->message, sizeof(check->message), format, args);
    va_end(args);
    return check;
}

struct check *report_fail(struct mount_report *mount, const char *id, enum cause cause,
                          const char *format, ...)
{
    struct check *check = next_check(mount, id, VERDICT_FAIL);
    va_list args;
    va_start(args, format);
    put_text(check->message, sizeof(check->message), format, args);
    va_end(args);
    check->cause = cause;
    report_fix(check, "%s", cause_table[cause].fix);
    return check;
}

void report_fix(struct check *check, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    put_text(check->fix, sizeof(check->fix), format, args);
    va_end(args);
}

void report_detail(struct check *check, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    put_text(check->detail, sizeof(check->detail), format, args);
    va_end(args);
}

void report_fail_all(struct report *report, enum cause cause, const char *format, ...)
{
    if (report->cause != CAUSE_NONE)
        return;
    va_list args;
    va_start(args, format);
    put_text(report->message, sizeof(report->message), format, args);
    va_end(args);
    report->cause = cause;
}

static size_t count_warnings(const struct report *report)
{
    size_t n = 0;
    for (size_t i = 0; i < report->n; i++)
        for (size_t j = 0; j < report->mounts[i].n; j++)
            n += report->mounts[i].checks[j].verdict == VERDICT_WARN;
    return n;
}

static const struct check *first_failure(const struct mount_report *mount)
{
    for (size_t i = 0; i < mount->n; i++)
        if (mount->checks[i].verdict == VERDICT_FAIL)
            return &mount->checks[i];
    return NULL;
}

/* A mount's own failure says more than one of the whole gate, so it comes first. */
static const struct check *answer(const struct report *report, const char **ret_path, size_t *ret_n)
{
    const struct check *first = NULL;
    *ret_n = 0;
    for (size_t i = 0; i < report->n; i++) {
        const struct check *failure = first_failure(&report->mounts[i]);
        if (!failure)
            continue;
        ++*ret_n;
        if (!first) {
            first = failure;
            *ret_path = report->mounts[i].asked->path;
        }
    }
    return first;
}

enum cause report_cause(const struct report *report)
{
    const char *path;
    size_t n;
    const struct check *first = answer(report, &path, &n);
    return first ? first->cause : report->cause;
}

static void print_path(const struct mount_report *mount, FILE *out)
{
    for (const char *byte = mount->asked->path; *byte; byte++)
        fputc(iscntrl((unsigned char)*byte) ? '?' : *byte, out);
}

void report_print_checks(const struct report *report, FILE *out)
{
    for (size_t i = 0; i < report->n; i++) {
        const struct mount_report *mount = &report->mounts[i];
        for (size_t j = 0; j < mount->n; j++) {
            const struct check *check = &mount->checks[j];
            fputs("efs-init: ", out);
            print_path(mount, out);
            fprintf(out, ": %-7s %-8s %s\n", verdict_names[check->verdict], check->id,
                    check->message);
        }
    }
}

void report_print_answer(const struct report *report, FILE *out)
{
    const char *path = NULL;
    size_t failures;
    const struct check *first = answer(report, &path, &failures);

    if (first) {
        const struct cause_info *cause = &cause_table[first->cause];
        fprintf(out, "efs-init: NOT READY (%s, exit %d): %s. %s", cause->name, cause->exit_code,
                first->message, first->fix);
        if (failures > 1)
            fprintf(out, " Mounts with failures: %zu, see the lines above.", failures);
    } else if (report->cause != CAUSE_NONE) {
        const struct cause_info *cause = &cause_table[report->cause];
        fprintf(out, "efs-init: NOT READY (%s, exit %d): %s. %s", cause->name, cause->exit_code,
                report->message, cause->fix);
    } else {
        size_t warnings = count_warnings(report);
        fprintf(out, "efs-init: ready after %lld ms", (long long)report->took_ms);
        if (warnings > 0)
            fprintf(out, ", %zu warning%s above", warnings, warnings == 1 ? "" : "s");
        fputc(':', out);
        for (size_t i = 0; i < report->n; i++) {
            fputs(i ? ", " : " ", out);
            print_path(&report->mounts[i], out);
            fputs(report->mounts[i].asked->read_only ? " (read-only)" : " (read-write)", out);
        }
    }
    fputc('\n', out);
}

/* ---- JSON ---- */

static void set_text(json_t *object, const char *key, const char *text)
{
    if (text[0])
        json_object_set_new(object, key, json_string_lossy(text));
}

static json_t *check_to_json(const struct check *check)
{
    json_t *object =
        json_pack("{s:s, s:s}", "id", check->id, "verdict", verdict_names[check->verdict]);
    set_text(object, "message", check->message);
    if (check->verdict == VERDICT_FAIL)
        set_text(object, "cause", cause_table[check->cause].name);
    set_text(object, "fix", check->fix);
    set_text(object, "detail", check->detail);
    if (check->took_us >= 0)
        json_object_set_new(object, "took_us", json_integer(check->took_us));
    return object;
}

static json_t *mount_to_json(const struct mount_report *mount)
{
    json_t *checks = json_array();
    for (size_t i = 0; i < mount->n; i++)
        json_array_append_new(checks, check_to_json(&mount->checks[i]));
    json_t *object = json_object();
    json_object_set_new(object, "path", json_string_lossy(mount->asked->path));
    set_text(object, "file_system_id", mount->asked->file_system_id);
    json_object_set_new(object, "asked", json_string(mount->asked->read_only ? "ro" : "rw"));
    json_object_set_new(object, "ok", json_boolean(!first_failure(mount)));
    if (mount->facts)
        json_object_set(object, "mount", mount->facts);
    json_object_set_new(object, "checks", checks);
    return object;
}

json_t *report_to_json(const struct report *report)
{
    const char *path = NULL;
    char started[CLOCK_TEXT];
    size_t failures;
    const struct check *first = answer(report, &path, &failures);
    const struct cause_info *cause = &cause_table[report_cause(report)];
    json_t *object = json_pack(
        "{s:i, s:s, s:s, s:I, s:b, s:i}", "format", 1, "version", EFS_SIDECAR_VERSION, "started",
        clock_format(report->started_wall_ms, started), "took_ms", (json_int_t)report->took_ms,
        "ok", cause == &cause_table[CAUSE_NONE], "exit_code", cause->exit_code);
    if (cause != &cause_table[CAUSE_NONE]) {
        json_object_set_new(object, "cause", json_string(cause->name));
        set_text(object, "message", first ? first->message : report->message);
        set_text(object, "fix", first ? first->fix : cause->fix);
    }
    if (path)
        set_text(object, "path", path);
    json_object_set_new(
        object, "identity",
        json_pack("{s:I, s:I}", "uid", (json_int_t)report->uid, "gid", (json_int_t)report->gid));
    json_t *host = json_pack("{s:I}", "net_namespace", (json_int_t)report->host.net_namespace);
    set_text(host, "boot_id", report->host.boot_id);
    set_text(host, "host_name", report->host.host_name);
    set_text(host, "nfs4_unique_id", report->host.nfs4_unique_id);
    set_text(host, "nfs4_namespace_id", report->host.nfs4_namespace_id);
    json_object_set_new(object, "host", host);

    json_t *mounts = json_array();
    for (size_t i = 0; i < report->n; i++)
        json_array_append_new(mounts, mount_to_json(&report->mounts[i]));
    json_object_set_new(object, "mounts", mounts);
    return object;
}
