#include "init/check_aws.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "init/policy.h"

static const double LOW_CREDITS_BYTES = 192e9; /* half an hour of bursting at 100 MiB/s */

static const struct aws_file_system_facts *file_system(const struct aws_question *q)
{
    int i = q->facts->file_system_of[q->mount];
    return i < 0 ? NULL : &q->facts->file_systems[i];
}

/* Says why there is no answer to judge; false when there is one. */
static bool not_answered(const struct aws_question *q, const struct aws_answer *answer,
                         const char *id, const char *permission, struct mount_report *report)
{
    const struct aws_facts *facts = q->facts;
    if (!aws_answered(answer)) {
        const char *why = "no answer in time";
        if (aws_answered(&facts->opened) && facts->opened.error)
            why = facts->opened.text;
        else if (!aws_answered(&facts->credentials) || facts->credentials.error)
            why = "there are no credentials to ask with";
        report_add(report, id, VERDICT_UNKNOWN, "not checked: %s", why);
        return true;
    }
    if (answer->error == 0 || answer->error == ENOENT)
        return false;
    if (answer->error == EACCES)
        report_detail(report_add(report, id, VERDICT_UNKNOWN, "not checked, needs %s", permission),
                      "%.240s", answer->text);
    else
        report_add(report, id, VERDICT_UNKNOWN, "not checked: %s", answer->text);
    return true;
}

/* ---- file system ---- */

static void check_file_system(const struct aws_question *q, struct mount_report *report)
{
    const struct aws_file_system_facts *facts = file_system(q);
    const struct efs_file_system *found = &facts->file_system;

    if (not_answered(q, &facts->described, "fs", "elasticfilesystem:DescribeFileSystems", report))
        return;
    if (facts->described.error == ENOENT)
        report_fix(report_fail(report, "fs", CAUSE_WRONG_FILE_SYSTEM,
                               "%s does not exist in %s in the account of the task's role",
                               facts->id, q->facts->region),
                   "Correct the file system id. If it is in another account, set "
                   "EFS_SIDECAR_AWS_CHECKS=never.");
    else if (strcmp(found->state, "available") != 0 && strcmp(found->state, "updating") != 0)
        report_add(report, "fs", VERDICT_WARN, "%s is \"%s\", not available", found->id,
                   found->state);
    else
        report_add(report, "fs", VERDICT_OK, "%s%s%s%s is %s, throughput %s", found->id,
                   found->name[0] ? " (" : "", found->name, found->name[0] ? ")" : "", found->state,
                   found->throughput_mode);
}

static void check_credits(const struct aws_question *q, struct mount_report *report)
{
    const struct aws_file_system_facts *facts = file_system(q);
    if (strcmp(facts->file_system.throughput_mode, "bursting") != 0 ||
        not_answered(q, &facts->metered, "credits", "cloudwatch:GetMetricStatistics", report))
        return;
    if (!facts->has_credits)
        report_add(report, "credits", VERDICT_UNKNOWN, "CloudWatch has no BurstCreditBalance yet");
    else if (facts->credits_bytes < LOW_CREDITS_BYTES)
        report_fix(report_add(report, "credits", VERDICT_WARN,
                              "the burst credits are nearly used up (%.1f GB are left): the file "
                              "system will be as slow as its size allows, 50 KiB/s for each GiB",
                              facts->credits_bytes / 1e9),
                   "Set the throughput mode to elastic.");
    else
        report_add(report, "credits", VERDICT_OK, "%.0f GB of burst credits",
                   facts->credits_bytes / 1e9);
}

/* ---- mount target ---- */

static bool in_zone(const struct efs_mount_target *target, const struct metadata *task)
{
    if (task->availability_zone_id[0] && target->availability_zone_id[0])
        return strcmp(target->availability_zone_id, task->availability_zone_id) == 0;
    return strcmp(target->availability_zone_name, task->availability_zone) == 0;
}

static void check_target(const struct aws_question *q, struct mount_report *report)
{
    const struct aws_file_system_facts *facts = file_system(q);
    const struct metadata *task = &q->facts->task;
    const struct efs_mount_target *near = NULL;
    const char *zone =
        task->availability_zone[0] ? task->availability_zone : task->availability_zone_id;

    if (not_answered(q, &facts->listed, "target", "elasticfilesystem:DescribeMountTargets",
                     report) ||
        facts->listed.error == ENOENT)
        return;
    for (size_t i = 0; i < facts->n_targets; i++)
        if (in_zone(&facts->targets[i], task))
            near = &facts->targets[i];
    if (facts->n_targets == 0)
        report_fix(report_add(report, "target", VERDICT_WARN, "%s has no mount target", facts->id),
                   "Create a mount target in every subnet's zone that tasks run in.");
    else if (!zone[0])
        report_add(report, "target", VERDICT_UNKNOWN,
                   "not checked: the task metadata endpoint does not say the zone (%s)",
                   q->facts->placed.text[0] ? q->facts->placed.text : "no answer in time");
    else if (!near)
        report_fix(report_add(report, "target", VERDICT_WARN,
                              "%s has no mount target in the task's zone %s", facts->id, zone),
                   "Create one in a subnet of that zone, or run tasks only where there is one.");
    else if (strcmp(near->state, "available") != 0)
        report_add(report, "target", VERDICT_WARN,
                   "the mount target %s in the task's zone %s is "
                   "\"%s\", not available",
                   near->id, zone, near->state);
    else
        report_add(report, "target", VERDICT_OK, "%s in the task's zone %s is available", near->id,
                   zone);
}

/* ---- access point ---- */

/* The owner of what the probe made tells whose identity the server applies. */
static bool check_posix_user(const struct aws_question *q, const struct efs_access_point *point,
                             struct mount_report *report)
{
    const struct probe_log *log = q->log;
    if (!point->has_posix_user || !log || !log->made ||
        (log->file_owner == point->uid && log->file_group == point->gid))
        return true;
    report_fail(report, "point", CAUSE_WRONG_ACCESS_POINT,
                "%s has the posixUser %u:%u, but new files in %s belong to %u:%u: the mount does "
                "not go through it",
                point->id, point->uid, point->gid, report->asked->path, log->file_owner,
                log->file_group);
    return false;
}

/* Of the mount's root only: what lies below it may belong to anybody. */
static bool check_root(const struct aws_question *q, const struct efs_access_point *point,
                       struct mount_report *report)
{
    const struct probe_log *log = q->log;
    bool at_root =
        log && log->mount_id > 0 && q->mounted && strcmp(log->path, q->mounted->target) == 0;
    if (!at_root || !point->has_creation ||
        (log->owner == point->creation_uid && log->group == point->creation_gid))
        return true;
    report_fix(report_add(report, "point", VERDICT_WARN,
                          "the root directory %s of %s belongs to %u:%u with mode %04o, its "
                          "creationInfo says %u:%u: EFS applies that only to a directory that it "
                          "makes itself",
                          point->root_path, point->id, log->owner, log->group, (unsigned)log->mode,
                          point->creation_uid, point->creation_gid),
               "Change the owner (chown %u:%u from a task that mounts the file system without the "
               "access point), or name a root directory that does not exist yet.",
               point->creation_uid, point->creation_gid);
    return false;
}

static void check_access_point(const struct aws_question *q, struct mount_report *report)
{
    const struct aws_answer *answer = &q->facts->pointed[q->mount];
    const struct efs_access_point *point = &q->facts->points[q->mount];
    const char *file_system_id = report->asked->file_system_id;

    if (!q->access_point ||
        not_answered(q, answer, "point", "elasticfilesystem:DescribeAccessPoints", report))
        return;
    if (answer->error == ENOENT)
        report_fail(report, "point", CAUSE_WRONG_ACCESS_POINT, "%s does not exist in %s",
                    q->access_point, q->facts->region);
    else if (*file_system_id && strcmp(point->file_system_id, file_system_id) != 0)
        report_fail(report, "point", CAUSE_WRONG_ACCESS_POINT,
                    "%s is an access point of %s, not of %s", point->id, point->file_system_id,
                    file_system_id);
    else if (strcmp(point->state, "available") != 0)
        report_add(report, "point", VERDICT_WARN, "%s is \"%s\", not available", point->id,
                   point->state);
    else if (check_posix_user(q, point, report) && check_root(q, point, report)) {
        if (point->has_posix_user)
            report_add(report, "point", VERDICT_OK, "%s: root directory %s, posixUser %u:%u",
                       point->id, point->root_path, point->uid, point->gid);
        else
            report_add(report, "point", VERDICT_OK, "%s: root directory %s, no posixUser",
                       point->id, point->root_path);
    }
}

/* ---- policy and TLS ---- */

/* Whoever does not go through the local proxy of efs-utils has no TLS. */
static bool goes_straight(const struct mount *mount)
{
    return mount && mount->nfs && mount->source_form != MOUNT_SOURCE_LOOPBACK;
}

static void check_tls(const struct aws_question *q, bool needed, struct mount_report *report)
{
    bool straight = goes_straight(q->mounted);
    if (!q->mounted || !q->mounted->nfs)
        report_add(report, "tls", VERDICT_SKIP, "%s, and there is no NFS mount to look at",
                   needed ? "the file system policy demands it" : "not demanded");
    else if (needed && straight)
        report_fix(report_add(report, "tls", VERDICT_WARN,
                              "the file system policy demands TLS, but the mount goes straight to "
                              "the server (%s)",
                              q->mounted->source),
                   "Set transitEncryption to ENABLED in the volume's efsVolumeConfiguration.");
    else if (needed)
        report_add(report, "tls", VERDICT_OK,
                   "the file system policy demands it, and the mount goes through a local proxy");
    else if (straight)
        report_add(report, "tls", VERDICT_OK, "not demanded, and not used");
    else
        report_add(report, "tls", VERDICT_UNKNOWN,
                   "not demanded: whether the local proxy uses it cannot be seen from here");
}

static const char *effect_words(enum policy_effect effect)
{
    static const char *const words[] = {
        [POLICY_SILENT] = "does not allow",
        [POLICY_MAY_ALLOW] = "allows under conditions that are not known here",
        [POLICY_ALLOWS] = "allows",
        [POLICY_MAY_DENY] = "denies under conditions that are not known here",
        [POLICY_DENIES] = "denies",
    };
    return words[effect];
}

/* Of what the mount is used for, what the policy says least well of. */
static enum policy_action weakest(const struct aws_question *q,
                                  const struct policy_judgement *judgement, bool read_only)
{
    static const int badness[] = {
        [POLICY_SILENT] = 3,   [POLICY_MAY_ALLOW] = 2, [POLICY_ALLOWS] = 0,
        [POLICY_MAY_DENY] = 1, [POLICY_DENIES] = 4,
    };
    /* Behind an access point with a posixUser nobody is root. */
    bool needed[POLICY_ACTIONS] = {
        [POLICY_MOUNT] = true,
        [POLICY_WRITE] = !read_only,
        [POLICY_ROOT] = !read_only && q->log && q->log->uid == 0 && !q->access_point,
    };
    enum policy_action worst = POLICY_MOUNT;
    for (enum policy_action action = POLICY_MOUNT; action < POLICY_ACTIONS; action++)
        if (needed[action] &&
            badness[judgement->effects[action]] > badness[judgement->effects[worst]])
            worst = action;
    return worst;
}

static void say_policy(const struct aws_question *q, const struct policy_judgement *judgement,
                       struct mount_report *report)
{
    const char *role = q->facts->role_arn[0] ? q->facts->role_arn : "this task";
    enum policy_action action = weakest(q, judgement, report->asked->read_only);
    enum policy_effect effect = judgement->effects[action];
    const char *name = policy_action_names[action], *words = effect_words(effect);

    if (effect == POLICY_ALLOWS)
        report_add(report, "policy", VERDICT_OK,
                   "the file system policy allows %s what the mount is used for", role);
    else if (effect == POLICY_DENIES)
        report_fix(report_add(report, "policy", VERDICT_WARN,
                              "the file system policy denies %s to %s (statement %s)", name, role,
                              judgement->statements[action]),
                   "Change that statement (aws efs put-file-system-policy).");
    else if (effect == POLICY_SILENT)
        report_fix(report_add(report, "policy", q->write_refused ? VERDICT_WARN : VERDICT_UNKNOWN,
                              "the file system policy does not allow %s to %s: only a policy of "
                              "the role can",
                              name, role),
                   "Allow elasticfilesystem:%s to the role in the file system policy or in a "
                   "policy of the role, and set authorizationConfig.iam to ENABLED.",
                   name);
    else
        report_add(report, "policy", q->write_refused ? VERDICT_WARN : VERDICT_UNKNOWN,
                   "the file system policy %s: %s to %s (statement %s)", words, name, role,
                   judgement->statements[action]);
}

static void check_policy(const struct aws_question *q, struct mount_report *report)
{
    const struct aws_file_system_facts *facts = file_system(q);
    struct policy_judgement judgement;
    struct error err = {0};

    if (not_answered(q, &facts->policed, "policy", "elasticfilesystem:DescribeFileSystemPolicy",
                     report) ||
        facts->policed.error == ENOENT)
        return;
    if (!facts->has_policy) {
        check_tls(q, false, report);
        report_add(report, "policy", VERDICT_OK,
                   "there is none: whoever reaches a mount target may mount, write and be root");
        return;
    }
    const struct policy_subject subject = {
        .role_arn = q->facts->role_arn,
        .access_point_arn = q->facts->points[q->mount].arn,
        .no_tls = goes_straight(q->mounted),
    };
    if (policy_judge(facts->policy, &subject, &judgement, &err) < 0) {
        report_add(report, "policy", VERDICT_UNKNOWN, "not understood: %s", err.text);
        return;
    }
    check_tls(q, judgement.needs_tls, report);
    say_policy(q, &judgement, report);
}

void check_aws(const struct aws_question *q, struct mount_report *report)
{
    if (!file_system(q)) {
        report_fix(report_add(report, "fs", VERDICT_SKIP,
                              "not checked: neither the mount nor the settings name the file "
                              "system"),
                   "Name it in the list of mounts: %s=fs-...", report->asked->path);
    } else {
        check_file_system(q, report);
        check_target(q, report);
        check_policy(q, report);
        check_credits(q, report);
    }
    check_access_point(q, report);
}
