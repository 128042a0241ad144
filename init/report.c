#include "init/report.h"

#include <assert.h>
#include <ctype.h>
#include <stdarg.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/json.h"

static const char *const verdict_names[] = {
    [VERDICT_OK] = "ok",     [VERDICT_WARN] = "warn",       [VERDICT_FAIL] = "fail",
    [VERDICT_SKIP] = "skip", [VERDICT_UNKNOWN] = "unknown",
};

const char *report_verdict_name(enum verdict verdict)
{
    return verdict_names[verdict];
}

const struct check_info check_table[] = {
    {"identity", "can the ids of --as be taken on?"},
    {"path", "is there such a directory, and does it open?"},
    {"mount", "what is mounted there, by the kernel's mount table"},
    {"source", "does the mount name the file system that was asked for?"},
    {"options", "are options set that lose data, weaken locks or slow everything down?"},
    {"access", "is it read-only or read-write, at both levels?"},
    {"marker", "do the marker files prove that it is the right directory?"},
    {"write", "do create, write, fsync and reading back work?"},
    {"lock", "does a lock exclude others, and does the server still know it?"},
    {"names", "do link, rename, mkdir, rmdir and unlink work?"},
    {"owner", "who owns the new file?"},
    {"list", "can it be listed?"},
    {"create", "do the directories of --create exist, or can they be made?"},
    {"require", "are the required paths there, with the right owner and mode?"},
    {"groups", "does this process have more groups than NFS tells the server?"},
    {"leftovers", "were files of killed probes removed?"},
    {"database", "are there databases that do not work on a share?"},
    {"role", "can credentials be had, and are they those of the expected role?"},
    {"caller", "whom does AWS take this task for?"},
    {"fs", "does the file system exist, and is it available?"},
    {"target", "is there a mount target in the task's zone, and is it available?"},
    {"tls", "does the file system policy demand TLS, and is it used?"},
    {"policy", "does the file system policy allow what the mount is used for?"},
    {"credits", "are there burst credits left?"},
    {"point", "is the access point the one that is meant?"},
    {"region", "preflight: is the region known?"},
    {"zone", "preflight: in which availability zone is this?"},
    {"security", "preflight: which security groups does the mount target have?"},
    {"name", "preflight: which addresses does the name of the file system have?"},
    {"name-dot", "preflight: has it the same with a dot behind it?"},
    {"name-zone", "preflight: has it addresses with the zone before it?"},
    {"server", "preflight: does an NFS server answer at each address?"},
    {NULL, NULL},
};

static bool is_known(const char *id)
{
    for (const struct check_info *info = check_table; info->id; info++)
        if (strcmp(info->id, id) == 0)
            return true;
    return false;
}

void report_clear(struct report *report)
{
    report->task.n = 0;
    report->cause = CAUSE_NONE;
    for (size_t i = 0; i < report->n; i++) {
        json_decref(report->mounts[i].facts);
        report->mounts[i].facts = NULL;
        report->mounts[i].n = 0;
    }
}

void report_release(struct report *report)
{
    report_clear(report);
    report->n = 0;
}

static struct check *next_check(struct mount_report *mount, const char *id, enum verdict verdict)
{
    static struct check dropped;
    assert(is_known(id));
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
    for (size_t i = 0; i < report->task.n; i++)
        n += report->task.checks[i].verdict == VERDICT_WARN;
    return n;
}

const struct check *report_first_failure(const struct mount_report *mount)
{
    for (size_t i = 0; i < mount->n; i++)
        if (mount->checks[i].verdict == VERDICT_FAIL && !mount->checks[i].explains)
            return &mount->checks[i];
    return NULL;
}

struct answer {
    const struct check *check; /* NULL: nothing failed, or the gate as a whole did */
    const struct mount_report *where;
    size_t failures; /* mounts that have some */
};

/* A mount's own failure says more than one of the task, or of the whole gate. */
static struct answer find_answer(const struct report *report)
{
    struct answer answer = {0};
    for (size_t i = 0; i < report->n; i++) {
        const struct check *failure = report_first_failure(&report->mounts[i]);
        if (!failure)
            continue;
        answer.failures++;
        if (!answer.check) {
            answer.check = failure;
            answer.where = &report->mounts[i];
        }
    }
    if (!answer.check) {
        answer.check = report_first_failure(&report->task);
        answer.where = &report->task;
    }
    return answer;
}

enum cause report_cause(const struct report *report)
{
    struct answer answer = find_answer(report);
    return answer.check ? answer.check->cause : report->cause;
}

static void print_path(const struct mount_report *mount, FILE *out)
{
    for (const char *byte = mount->asked ? mount->asked->path : "task"; *byte; byte++)
        fputc(iscntrl((unsigned char)*byte) ? '?' : *byte, out);
}

static void print_checks_of(const struct mount_report *mount, FILE *out)
{
    for (size_t i = 0; i < mount->n; i++) {
        const struct check *check = &mount->checks[i];
        fputs("efs-init: ", out);
        print_path(mount, out);
        fprintf(out, ": %-7s %-8s %s\n", verdict_names[check->verdict], check->id, check->message);
    }
}

void report_print_checks(const struct report *report, FILE *out)
{
    for (size_t i = 0; i < report->n; i++)
        print_checks_of(&report->mounts[i], out);
    print_checks_of(&report->task, out);
    if (report->installed[0])
        fprintf(out, "efs-init: %s\n", report->installed);
}

static bool says_why(const struct check *check)
{
    return check->explains && (check->verdict == VERDICT_FAIL || check->verdict == VERDICT_WARN);
}

static void print_explanations(const struct mount_report *mount, FILE *out)
{
    for (size_t i = 0; i < mount->n; i++) {
        const struct check *check = &mount->checks[i];
        if (says_why(check))
            fprintf(out, " AWS says: %s.%s%s", check->message, check->fix[0] ? " " : "",
                    check->fix);
    }
}

static void print_failure(const struct report *report, const struct answer *answer, FILE *out)
{
    const struct cause_info *cause = &cause_table[report_cause(report)];
    fprintf(out, "efs-init: NOT READY (%s, exit %d): %s. %s", cause->name, cause->exit_code,
            answer->check ? answer->check->message : report->message,
            answer->check ? answer->check->fix : cause->fix);
    if (answer->check && answer->where != &report->task)
        print_explanations(answer->where, out);
    if (answer->check)
        print_explanations(&report->task, out);
    if (answer->failures > 1)
        fprintf(out, " Mounts with failures: %zu, see the lines above.", answer->failures);
}

void report_print_answer(const struct report *report, FILE *out)
{
    struct answer answer = find_answer(report);

    if (answer.check || report->cause != CAUSE_NONE) {
        print_failure(report, &answer, out);
    } else if (report->n == 0) {
        fputs("efs-init: done, there was no mount to check", out);
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
    if (check->explains)
        json_object_set_new(object, "explains", json_true());
    return object;
}

json_t *report_checks_to_json(const struct mount_report *mount)
{
    json_t *checks = json_array();
    for (size_t i = 0; i < mount->n; i++)
        json_array_append_new(checks, check_to_json(&mount->checks[i]));
    return checks;
}

static json_t *mount_to_json(const struct mount_report *mount)
{
    json_t *object = json_object();
    json_object_set_new(object, "path", json_string_lossy(mount->asked->path));
    set_text(object, "file_system_id", mount->asked->file_system_id);
    json_object_set_new(object, "asked", json_string(mount->asked->read_only ? "ro" : "rw"));
    json_object_set_new(object, "ok", json_boolean(!report_first_failure(mount)));
    if (mount->facts)
        json_object_set(object, "mount", mount->facts);
    json_object_set_new(object, "checks", report_checks_to_json(mount));
    return object;
}

json_t *report_to_json(const struct report *report)
{
    char started[CLOCK_TEXT];
    struct answer answer = find_answer(report);
    const struct check *first = answer.check;
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
    if (first && answer.where->asked)
        set_text(object, "path", answer.where->asked->path);
    if (report->installed[0])
        set_text(object, "installed", report->installed);
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
    if (report->task.n > 0)
        json_object_set_new(object, "task",
                            json_pack("{s:o}", "checks", report_checks_to_json(&report->task)));
    return object;
}
