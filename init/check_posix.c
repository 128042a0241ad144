#include "init/check_posix.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/cleanup.h"
#include "lib/error.h"
#include "lib/ofd.h"
#include "lib/text.h"

/* uid and gid of "nobody" as servers use them. */
enum { NOBODY = 65534 };

/* Which check a step belongs to. */
static const char *const check_of_step[PROBE_END] = {
    [PROBE_IDENTITY] = "identity", [PROBE_OPEN] = "path",          [PROBE_MARKER] = "marker",
    [PROBE_CREATE] = "write",      [PROBE_WRITE] = "write",        [PROBE_FSYNC] = "write",
    [PROBE_READ] = "write",        [PROBE_LOCK] = "lock",          [PROBE_PROVE] = "lock",
    [PROBE_LINK] = "names",        [PROBE_RENAME] = "names",       [PROBE_MKDIR] = "names",
    [PROBE_RMDIR] = "names",       [PROBE_HOLD] = "lock",          [PROBE_REMOVE] = "names",
    [PROBE_MAKE] = "create",       [PROBE_LIST] = "list",          [PROBE_REQUIRE] = "require",
    [PROBE_SWEEP] = "leftovers",   [PROBE_DATABASES] = "database",
};

static const struct {
    const char *id;
    bool reads; /* done on a mount asked for as read-only; the others on one to be written to */
    const char *works;
} checks[] = {
    {"write", false, "create, write, fsync and read back work"},
    {"lock", false, "a lock excludes others, and the server still knows it"},
    {"names", false, "link, rename, mkdir, rmdir and unlink work"},
    {"list", true, "the directory can be listed"},
};

/* ---- failures ---- */

/* A soft mount says EIO when the server did not answer in time. */
static enum cause cause_of(const struct posix_question *q)
{
    if (q->log->error == EIO && q->mount && mount_has_option(q->mount, "soft"))
        return CAUSE_SERVER_UNREACHABLE;
    return cause_from_errno(q->log->error);
}

static void fail_permission(const struct posix_question *q, struct mount_report *report,
                            const char *id, const char *step)
{
    const struct probe_log *log = q->log;
    const char *path = report->asked->path, *error = error_name(log->error);
    char directory[512];
    unsigned uid = log->uid, gid = log->gid, owner = log->owner, group = log->group;
    bool nfs = q->mount && q->mount->nfs;
    struct check *check;

    snprintf(directory, sizeof(directory), "%.400s belongs to %u:%u with mode %04o", log->path,
             owner, group, (unsigned)log->mode);
    if (nfs && uid == 0) {
        check = report_fail(report, id, CAUSE_ROOT_SQUASHED,
                            "%s in %s is refused (%s) although this process is root: the server "
                            "treats it as somebody else, and %s",
                            step, path, error, directory);
        if (owner != 0)
            report_fix(check,
                       "Allow elasticfilesystem:ClientRootAccess to the task role, or run the "
                       "container as %u:%u (\"user\" in its definition), or use an access point "
                       "whose posixUser is %u:%u.",
                       owner, group, owner, group);
    } else if (nfs && probe_may_write(log)) {
        check = report_fail(report, id, CAUSE_SQUASHED_IDENTITY,
                            "%s in %s is refused (%s) although %s, which lets %u:%u in: the server "
                            "probably applies the posixUser of an access point instead",
                            step, path, error, directory, uid, gid);
        if (owner != 0)
            report_fix(check,
                       "Set the posixUser of the access point to %u:%u, or give the directory to "
                       "the posixUser that it has.",
                       owner, group);
    } else {
        check = report_fail(report, id, CAUSE_PERMISSION_DENIED,
                            "%s in %s is refused (%s): %s, this process is %u:%u", step, path,
                            error, directory, uid, gid);
        if (owner == 0) /* nobody should be told to run an app as root */
            report_fix(check,
                       "Give the directory to %u:%u (chown from a task that runs as root, or "
                       "creationInfo of a new access point), or use an access point whose root "
                       "directory belongs to its posixUser.",
                       uid, gid);
        else
            report_fix(check,
                       "Run the container as %u:%u (\"user\" in its definition), or give the "
                       "directory to %u:%u (chown, or creationInfo of a new access point), or use "
                       "an access point whose posixUser is %u:%u.",
                       owner, group, uid, gid, owner, group);
    }
}

static void fail_read_only(const struct posix_question *q, struct mount_report *report,
                           const char *id, const char *step)
{
    const char *path = report->asked->path;
    if (q->mount && (q->mount->read_only || q->mount->super_read_only)) {
        /* The access check has said so already, in its own words. */
        report_add(report, id, VERDICT_SKIP, "not possible on a read-only mount");
        return;
    }
    struct check *check =
        report_fail(report, id, CAUSE_NO_CLIENT_WRITE,
                    "%s in %s is refused (EROFS) although the mount is read-write: the task role "
                    "or the file system policy probably does not allow ClientWrite",
                    step, path);
    if (q->mount && !q->mount->nfs)
        report_fix(check, "Make the file system on which %s lies writable.", path);
}

static void fail_lost_lock(const struct posix_question *q, struct mount_report *report)
{
    const struct probe_log *log = q->log;
    const struct host_identity *host = q->host;
    struct check *check;

    if (ofd_judge_loss(log->longest_proof_ms, q->lease_ms) == OFD_LOSS_IDENTITY_SHARED)
        check = report_fail(report, "lock", CAUSE_CLIENT_IDENTITY_SHARED,
                            "a lock in %s was lost (%s) while the mount answered all the time: "
                            "another mount, probably of another task on this host, presents itself "
                            "to the server as the same NFS client",
                            report->asked->path, error_name(log->error));
    else
        check = report_fail(
            report, "lock", CAUSE_LEASE_LOST,
            "a lock in %s was lost (%s) after the mount had not answered for %lld ms",
            report->asked->path, error_name(log->error), (long long)log->longest_proof_ms);
    report_detail(check,
                  "%d %s, the slowest took %lld ms, the lease is %lld ms; boot id %s, network "
                  "namespace %llu, host name %s, nfs4_unique_id \"%s\", namespace id \"%s\"",
                  log->proofs, text_plural(log->proofs, "proof", "proofs"),
                  (long long)log->longest_proof_ms, (long long)q->lease_ms, host->boot_id,
                  (unsigned long long)host->net_namespace, host->host_name, host->nfs4_unique_id,
                  host->nfs4_namespace_id);
}

static void fail_step(const struct posix_question *q, struct mount_report *report)
{
    const struct probe_log *log = q->log;
    const char *id = check_of_step[log->failed], *step = probe_step_names[log->failed];
    int error = log->error;

    if (error == EROFS) {
        fail_read_only(q, report, id, step);
    } else if (error == EACCES || error == EPERM) {
        fail_permission(q, report, id, step);
    } else if (log->failed == PROBE_HOLD && (error == EIO || error == ENOENT)) {
        fail_lost_lock(q, report);
    } else if (log->failed == PROBE_LOCK &&
               (error == EOPNOTSUPP || error == EINVAL || error == ENOSYS || error == EAGAIN)) {
        report_fail(report, id, CAUSE_LOCKS_UNAVAILABLE, "%s in %s fails with %s (%s)", step,
                    report->asked->path, error_name(error), strerror(error));
    } else if (error == ENOENT || error == ENOTDIR) {
        /* Not the path any more: what the probe made is gone. */
        report_fail(report, id, CAUSE_UNEXPECTED,
                    "%s in %s fails with %s: what the probe made there was removed by somebody",
                    step, report->asked->path, error_name(error));
    } else {
        enum cause cause = cause_of(q);
        report_fail(report, id, cause, "%s in %s fails with %s: %s", step, report->asked->path,
                    error_name(error), cause_table[cause].meaning);
    }
}

static void fail_hung(const struct posix_question *q, struct mount_report *report)
{
    enum probe_step step = (enum probe_step)atomic_load(&q->log->step);
    double waited = (double)(q->now_ms - atomic_load(&q->log->step_since_ms)) / 1000;
    report_fail(report, check_of_step[step], CAUSE_MOUNT_HUNG,
                "%s does not answer: \"%s\" has been waiting for %.1f s (deadline %.1f s)",
                report->asked->path, probe_step_names[step], waited, (double)q->deadline_ms / 1000);
}

/* A probe that failed may hang in tidying up: that it failed is the news. */
static bool hung(const struct posix_question *q)
{
    return q->end == PROBE_HUNG && q->log->error == 0 && atomic_load(&q->log->step) < PROBE_END;
}

/* ---- path ---- */

static void fail_path(const struct posix_question *q, struct mount_report *report)
{
    const struct probe_log *log = q->log;
    const char *path = report->asked->path;
    enum cause cause = cause_of(q);
    struct check *check;

    switch (log->error) {
    case ENOENT:
        check = report_fail(report, "path", CAUSE_PATH_MISSING,
                            "%s does not exist; what there is of it is %.400s", path, log->path);
        if (q->mount && q->mount->nfs)
            report_fix(check,
                       "Correct the path, or create that directory on EFS (%.256s is mounted): an "
                       "access point with creationInfo makes its root, a task that may write makes "
                       "directories below it.",
                       q->mount->target);
        else
            report_fix(check,
                       "Correct the path, or give this container a mountPoints entry with "
                       "containerPath %.256s for the volume that has an efsVolumeConfiguration.",
                       path);
        break;
    case ENOTDIR:
        report_fail(report, "path", cause, "%s is not a directory, or something in it is not",
                    path);
        break;
    case EACCES:
    case EPERM:
        fail_permission(q, report, "path", "looking up the directory");
        break;
    default:
        report_fail(report, "path", cause, "%s cannot be opened (%s): %s", path,
                    error_name(log->error), cause_table[cause].meaning);
    }
}

bool check_path(const struct posix_question *q, struct mount_report *report)
{
    const struct probe_log *log = q->log;
    enum probe_step step = (enum probe_step)atomic_load(&log->step);

    if (log->error && log->failed == PROBE_IDENTITY) {
        report_fail(report, "identity", CAUSE_CANNOT_CHANGE_IDENTITY,
                    "this process may not take on the ids of --as (%s)", error_name(log->error));
    } else if (log->error && log->failed == PROBE_OPEN) {
        fail_path(q, report);
    } else if (hung(q) && step <= PROBE_OPEN) {
        fail_hung(q, report);
    } else if (q->end == PROBE_DIED && !log->error) {
        report_fail(report, "path", CAUSE_INTERNAL, "the probe of %s died in \"%s\"",
                    report->asked->path, probe_step_names[step]);
    } else {
        if (strcmp(log->path, report->asked->path) == 0)
            report_add(report, "path", VERDICT_OK, "the directory exists");
        else
            report_add(report, "path", VERDICT_OK, "the directory exists, its own name is %s",
                       log->path);
        return true;
    }
    return false;
}

/* ---- owner ---- */

static void check_owner(const struct posix_question *q, struct mount_report *report)
{
    const struct probe_log *log = q->log;
    const struct ids_setting *expected = q->expect_owner;
    unsigned uid = log->file_owner, gid = log->file_group;
    /* A setgid directory hands down its group: that is no doing of the server. */
    bool own_group = gid == log->gid || ((log->mode & S_ISGID) && gid == log->group);

    if (expected->set && (uid != expected->uid || gid != expected->gid)) {
        struct check *check = report_fail(
            report, "owner", CAUSE_WRONG_OWNER,
            "new files in %s belong to %u:%u, expected is %u:%u (this process is %u:%u)",
            report->asked->path, uid, gid, expected->uid, expected->gid, log->uid, log->gid);
        report_fix(check,
                   "Set the posixUser of the access point to %u:%u (without an access point: run "
                   "the container as %u:%u), or expect %u:%u.",
                   expected->uid, expected->gid, expected->uid, expected->gid, uid, gid);
    } else if (expected->set) {
        report_add(report, "owner", VERDICT_OK, "new files belong to %u:%u, as expected", uid, gid);
    } else if (uid == log->uid && own_group) {
        report_add(report, "owner", VERDICT_OK, "new files belong to %u:%u, as this process does",
                   uid, gid);
    } else if (uid == NOBODY) {
        report_add(report, "owner", VERDICT_WARN,
                   "new files belong to nobody (%u:%u), this process is %u:%u: the server does not "
                   "treat it as root, for lack of ClientRootAccess",
                   uid, gid, log->uid, log->gid);
    } else {
        report_add(report, "owner", VERDICT_OK,
                   "new files belong to %u:%u, this process is %u:%u: an access point, or the "
                   "server, sets the owner",
                   uid, gid, log->uid, log->gid);
    }
}

/* AUTH_SYS has room for sixteen. */
static void check_groups(const struct probe_log *log, struct mount_report *report)
{
    enum { SENT_MAX = 16 };
    if (log->groups <= SENT_MAX)
        return;
    struct check *check = report_add(
        report, "groups", VERDICT_WARN,
        "this process has %d supplementary groups, NFS tells the server the first %d: what the "
        "others may do works on local disks and is refused here",
        log->groups, SENT_MAX);
    report_fix(check, "Give the container fewer groups, or use an access point with a posixUser.");
}

/* ---- the whole ---- */

/* All steps of a check: 1 done, 0 not all done. */
static bool all_done(const struct posix_question *q, const char *id, int64_t *ret_us)
{
    *ret_us = 0;
    for (int step = 0; step < PROBE_END; step++) {
        if (strcmp(check_of_step[step], id) != 0 || (step == PROBE_HOLD && q->lock_hold_ms == 0))
            continue;
        if (q->log->took_us[step] < 0)
            return false;
        *ret_us += q->log->took_us[step];
    }
    return true;
}

static void check_works(const struct posix_question *q, struct mount_report *report,
                        const char *failed)
{
    const struct probe_log *log = q->log;

    for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
        int64_t took_us;
        if (checks[i].reads != report->asked->read_only)
            continue;
        if (!all_done(q, checks[i].id, &took_us)) {
            if (strcmp(checks[i].id, failed) != 0)
                report_add(report, checks[i].id, VERDICT_SKIP, "not tried to the end");
            continue;
        }
        struct check *check = report_add(report, checks[i].id, VERDICT_OK, "%s", checks[i].works);
        check->took_us = took_us;
        if (strcmp(checks[i].id, "lock") == 0)
            report_detail(check, "%d %s, the slowest took %lld ms", log->proofs,
                          text_plural(log->proofs, "proof", "proofs"),
                          (long long)log->longest_proof_ms);
    }
}

void check_posix(const struct posix_question *q, struct mount_report *report)
{
    const struct probe_log *log = q->log;
    enum probe_step step = (enum probe_step)atomic_load(&log->step);
    const char *failed = log->error ? check_of_step[log->failed]
                         : hung(q)  ? check_of_step[step]
                                    : "";

    if (log->error)
        fail_step(q, report);
    else if (hung(q) && step >= PROBE_SWEEP)
        report_add(report, check_of_step[step], VERDICT_UNKNOWN, "looking for them took too long");
    else if (hung(q))
        fail_hung(q, report);
    check_works(q, report, failed);
    if (log->made)
        check_owner(q, report);
    check_groups(log, report);
    if (log->leftovers > 0)
        report_add(report, "leftovers", VERDICT_OK, "removed %d names that killed probes left",
                   log->leftovers);
}
