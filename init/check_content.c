#include "init/check_content.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/error.h"

static const char *const check_of_kind[] = {
    [EXPECT_MARKER] = "marker",
    [EXPECT_CREATE] = "create",
    [EXPECT_REQUIRE] = "require",
};

/* ---- expectations ---- */

static void fail_marker(const struct expectation *item, const struct content_result *result,
                        struct mount_report *report)
{
    if (result->differs)
        report_fail(report, "marker", CAUSE_MARKER_MISMATCH,
                    "the marker %s does not say \"%.100s\"", item->path, item->content);
    else if (result->error == ENOENT || result->error == ENOTDIR)
        report_fail(report, "marker", CAUSE_MARKER_MISMATCH, "the marker %s is missing",
                    item->path);
    else
        report_fail(report, "marker", cause_from_errno(result->error),
                    "the marker %s cannot be read (%s)", item->path, error_name(result->error));
}

static void fail_create(const struct expectation *item, const struct content_result *result,
                        const struct probe_log *log, struct mount_report *report)
{
    struct check *check =
        report_fail(report, "create", cause_from_errno(result->error),
                    "the directory %s cannot be made (%s)", item->path, error_name(result->error));
    if (result->error == ENOTDIR || result->error == EEXIST || result->error == ELOOP) {
        check->cause = CAUSE_NOT_A_DIRECTORY;
        report_fix(check, "Remove or rename what lies there: a part of that path is no directory.");
    } else if (result->error == EACCES || result->error == EPERM) {
        report_fix(check,
                   "Let %u:%u, as which this process makes it, write to the directory above it, or "
                   "make it from a task that may.",
                   log->uid, log->gid);
    }
}

static void fail_require(const struct expectation *item, const struct content_result *result,
                         struct mount_report *report)
{
    char mode[32] = "", seen[32] = "";
    if (result->error == ENOENT || result->error == ENOTDIR) {
        report_fail(report, "require", CAUSE_REQUIRED_PATH_MISSING, "%s does not exist",
                    item->path);
        return;
    }
    if (result->error) {
        report_fail(report, "require", cause_from_errno(result->error),
                    "%s cannot be looked at (%s)", item->path, error_name(result->error));
        return;
    }
    if (item->mode_set) {
        snprintf(mode, sizeof(mode), " with mode %04o", (unsigned)item->mode);
        snprintf(seen, sizeof(seen), " with mode %04o", (unsigned)result->mode);
    }
    report_fail(report, "require", CAUSE_REQUIRED_PATH_DIFFERS,
                "%s belongs to %u:%u%s, required is %u:%u%s", item->path, result->uid, result->gid,
                seen, item->owner.uid, item->owner.gid, mode);
}

static void check_kind(const struct content_question *q, enum expect_kind kind,
                       struct mount_report *report)
{
    enum { SHOWN_MAX = 4 }; /* failures of one kind */
    size_t asked = 0, done = 0, made = 0, failed = 0;

    for (size_t i = 0; i < q->expect->n; i++) {
        const struct expectation *item = &q->expect->items[i];
        const struct content_result *result = &q->log->content.results[i];
        if (item->mount != q->mount || item->kind != kind)
            continue;
        asked++;
        done += result->done;
        made += result->made;
        if (!result->done || (!result->error && !result->differs))
            continue;
        if (++failed > SHOWN_MAX)
            continue;
        if (kind == EXPECT_MARKER)
            fail_marker(item, result, report);
        else if (kind == EXPECT_CREATE)
            fail_create(item, result, q->log, report);
        else
            fail_require(item, result, report);
    }
    if (failed > SHOWN_MAX)
        report_detail(&report->checks[report->n - 1], "%zu more like it", failed - SHOWN_MAX);
    if (asked == 0 || failed > 0)
        return;
    if (done < asked)
        report_add(report, check_of_kind[kind], VERDICT_SKIP, "not tried to the end");
    else if (kind == EXPECT_MARKER)
        report_add(report, "marker", VERDICT_OK, "%zu as expected", asked);
    else if (kind == EXPECT_CREATE)
        report_add(report, "create", VERDICT_OK, "%zu made, %zu existed", made, asked - made);
    else
        report_add(report, "require", VERDICT_OK, "%zu as required", asked);
}

/* ---- databases ---- */

static void warn_database(const struct content_database *database, struct mount_report *report)
{
    static const struct {
        const char *what, *fix;
    } kinds[] = {
        [DATABASE_SQLITE_WAL] =
            {"is an SQLite database in WAL mode: its shared memory (-shm) does not work across "
             "hosts, two tasks that open it will damage it",
             "Use PRAGMA journal_mode=DELETE, one task at a time, or a database server."},
        [DATABASE_LMDB] = {"is the lock table of an LMDB database: it lives in shared memory, "
                           "which does not work across hosts",
                           "Keep it on a disk of the task, or use a database server."},
    };
    struct check *check =
        report_add(report, "database", VERDICT_WARN, "%s%s%s %s", report->asked->path,
                   strcmp(report->asked->path, "/") == 0 ? "" : "/", database->path,
                   kinds[database->kind].what);
    report_fix(check, "%s", kinds[database->kind].fix);
}

void check_content(const struct content_question *q, struct mount_report *report)
{
    const struct content_log *content = &q->log->content;
    for (enum expect_kind kind = EXPECT_MARKER; kind <= EXPECT_REQUIRE; kind++)
        check_kind(q, kind, report);
    for (int i = 0; i < content->n_databases && i < CONTENT_DATABASES_MAX; i++)
        warn_database(&content->databases[i], report);
}
