#include "init/judge.h"

#include <stdio.h>
#include <string.h>

#include "init/check_aws.h"
#include "init/check_content.h"
#include "init/check_mount.h"
#include "init/check_posix.h"
#include "lib/mountstats.h"

static const struct probe_log *log_of(const struct findings *f, size_t i)
{
    return f->probes[i].shared;
}

static enum probe_end end_of(const struct findings *f, size_t i)
{
    if (!f->probes[i].ended)
        return PROBE_HUNG;
    return atomic_load(&log_of(f, i)->step) == PROBE_END ? PROBE_ENDED : PROBE_DIED;
}

/* By id it is exact; before the directory was opened the name has to do. */
static bool find_mount(const struct findings *f, size_t i, struct mount *mount)
{
    const struct probe_log *log = log_of(f, i);
    const char *path = f->settings->mounts.mounts[i].path;
    if (!f->table)
        return false;
    if (log && log->mount_id > 0)
        return mountinfo_by_id(f->table, log->mount_id, mount) == 0;
    return mountinfo_at(f->table, log && log->path[0] ? log->path : path, mount) == 0;
}

/* What the server grants, for a lost lock only. */
static int64_t lease_ms(const struct probe_log *log, const struct mount *mount)
{
    static struct mountstats stats; /* large */
    if (!log->error || log->failed != PROBE_HOLD || !mount ||
        mountstats_read(NULL, mount->target, &stats, NULL) < 0 || stats.lease_s <= 0)
        return 0;
    return stats.lease_s * 1000;
}

static void judge_mount(const struct findings *f, size_t i, struct report *report)
{
    struct mount_report *mount_report = &report->mounts[i];
    const struct settings *settings = f->settings;
    const struct probe_log *log = log_of(f, i);
    struct mount mount, another;
    bool known = find_mount(f, i, &mount);
    struct posix_question posix = {
        .log = log,
        .end = end_of(f, i),
        .now_ms = f->stopped_ms,
        .deadline_ms = f->limit_ms,
        .mount = known ? &mount : NULL,
        .expect_owner = &settings->init_expect_owner,
        .host = &report->host,
        .lock_hold_ms = settings->init_lock_hold_ms,
        .lease_ms = lease_ms(log, known ? &mount : NULL),
    };
    report->uid = log->uid;
    report->gid = log->gid;
    if (!check_path(&posix, mount_report) && posix.end != PROBE_HUNG)
        return;
    if (!known) {
        report_fail(mount_report, "mount", CAUSE_INTERNAL,
                    "/proc/self/mountinfo does not say what is mounted at %s",
                    mount_report->asked->path);
        return;
    }
    struct mount_question question = {
        .mount = &mount,
        .another = mountinfo_any_nfs(f->table, &another) == 0 ? &another : NULL,
        .allow_local = settings->allow_local,
    };
    check_mount(&question, mount_report);
    if (log->mount_id == 0 || (!mount.nfs && !settings->allow_local))
        return;
    struct content_question content = {.expect = f->expect, .mount = i, .log = log};
    check_posix(&posix, mount_report);
    check_content(&content, mount_report);
}

void judge_mounts(const struct findings *f, struct report *report)
{
    for (size_t i = 0; i < report->n; i++)
        if (f->probes[i].shared)
            judge_mount(f, i, report);
}

/* ---- AWS ---- */

bool judge_file_system_id(const struct findings *f, size_t i, char id[EFS_ID])
{
    const char *asked = f->settings->mounts.mounts[i].file_system_id;
    char named[MOUNT_FILE_SYSTEM_ID];
    struct mount mount;
    if (!*asked && find_mount(f, i, &mount) && mount.nfs &&
        mount_source_file_system(mount.source, named) == 0)
        asked = named;
    snprintf(id, EFS_ID, "%s", asked);
    return *asked != '\0';
}

/* A mount target has nothing to do with a refusal, a policy nothing with silence. */
static bool explains(const struct check *check, enum cause cause)
{
    bool silence = cause == CAUSE_MOUNT_HUNG || cause == CAUSE_SERVER_UNREACHABLE ||
                   cause == CAUSE_STALE_HANDLE || cause == CAUSE_IO_ERROR;
    if (strcmp(check->id, "target") == 0 || strcmp(check->id, "credits") == 0)
        return silence;
    if (strcmp(check->id, "policy") == 0 || strcmp(check->id, "tls") == 0)
        return !silence;
    return true;
}

static void judge_behind_mount(const struct findings *f, size_t i, struct mount_report *report)
{
    struct mount mount;
    const struct check *failure = report_first_failure(report);
    enum cause cause = failure ? failure->cause : CAUSE_NONE;
    size_t before = report->n;
    struct aws_question question = {
        .facts = f->aws.shared,
        .mount = i,
        .access_point = f->expect->access_points[i],
        .mounted = find_mount(f, i, &mount) ? &mount : NULL,
        .log = log_of(f, i),
        .write_refused = cause == CAUSE_NO_CLIENT_WRITE || cause == CAUSE_ROOT_SQUASHED,
    };
    check_aws(&question, report);
    for (size_t c = before; c < report->n; c++)
        report->checks[c].explains = f->explaining && explains(&report->checks[c], cause);
}

void judge_aws(const struct findings *f, struct report *report)
{
    struct role_wanted wanted = {.role = f->settings->init_expect_role,
                                 .sts = f->settings->init_sts};
    if (!f->aws.shared)
        return;
    check_role(f->aws.shared, &wanted, &report->task);
    for (size_t c = 0; c < report->task.n; c++)
        report->task.checks[c].explains =
            f->explaining && strcmp(report->task.checks[c].id, "caller") == 0 && !wanted.sts;
    const struct aws_facts *facts = f->aws.shared;
    bool could_ask = f->asked_api && !(f->explaining && facts->no_source);
    for (size_t i = 0; could_ask && i < report->n; i++)
        if (f->asked_about[i])
            judge_behind_mount(f, i, &report->mounts[i]);
}
