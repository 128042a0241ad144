/* The steps that EFS is asked for: see preflight_judge.h. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "init/policy_needs.h"
#include "init/preflight_judge.h"

/* true: there is an answer to judge. Otherwise it says why there is none. */
static bool answered(const struct preflight_facts *facts, const struct preflight_answer *answer,
                     const char *id, const char *permission, struct mount_report *report)
{
    struct check *check;
    switch (answer->state) {
    case PREFLIGHT_ANSWERED:
        return true;
    case PREFLIGHT_NOT_ASKED:
    case PREFLIGHT_ASKING:
        if (!facts->wish.file_system_id[0])
            return false; /* there is nothing to ask about: not worth a line */
        report_add(report, id, VERDICT_SKIP, "not checked, needs %s",
                   !facts->region_source                                   ? "the region"
                   : facts->credentials_answer.state != PREFLIGHT_ANSWERED ? "credentials"
                                                                           : permission);
        return false;
    case PREFLIGHT_LATE:
        report_add(report, id, VERDICT_UNKNOWN, "not checked: %s has no answer until the deadline",
                   permission);
        return false;
    case PREFLIGHT_FAILED:
        check = answer->r == -EACCES
                    ? report_add(report, id, VERDICT_UNKNOWN, "not checked, needs %s", permission)
                    : report_add(report, id, VERDICT_UNKNOWN, "not checked: %s", answer->err.text);
        report_detail(check, "%s", answer->err.text);
        return false;
    }
    return false;
}

static struct check *took(struct check *check, const struct preflight_answer *answer)
{
    check->took_us = answer->took_ms * 1000;
    return check;
}

/* ---- file system ---- */

void preflight_judge_file_system(const struct preflight_facts *facts, struct mount_report *report)
{
    const struct preflight_answer *answer = &facts->file_system_answer;
    const struct efs_file_system *fs = &facts->file_system;
    const char *id = facts->wish.file_system_id;
    if (answer->state == PREFLIGHT_FAILED && answer->r == -ENOENT) {
        report_fail(report, "fs", CAUSE_FILE_SYSTEM_UNAVAILABLE, "EFS knows no %s in %s", id,
                    facts->region);
        return;
    }
    if (!answered(facts, answer, "fs", "elasticfilesystem:DescribeFileSystems", report))
        return;
    bool usable = strcmp(fs->state, "available") == 0 || strcmp(fs->state, "updating") == 0;
    if (!usable) {
        report_fail(report, "fs", CAUSE_FILE_SYSTEM_UNAVAILABLE,
                    "%s is not available, it is \"%s\"", id, fs->state);
        return;
    }
    took(report_add(report, "fs", VERDICT_OK, "%s is %s, %s throughput%s%s", id, fs->state,
                    fs->throughput_mode[0] ? fs->throughput_mode : "unknown",
                    fs->availability_zone_name[0] ? ", One Zone in " : "",
                    fs->availability_zone_name),
         answer);
}

/* ---- mount targets ---- */

static void list_zones(const struct preflight_facts *facts, char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < facts->targets.n && used < size; i++) {
        const struct efs_mount_target *target = &facts->targets.items[i];
        const char *id = target->availability_zone_id, *name = target->availability_zone_name;
        used += (size_t)snprintf(text + used, size - used, "%s%s%s%s%s", i ? ", " : "",
                                 name[0] ? name : id, name[0] && id[0] ? " (" : "",
                                 name[0] ? id : "", name[0] && id[0] ? ")" : "");
    }
}

static void judge_own_target(const struct preflight_facts *facts,
                             const struct efs_mount_target *target, struct mount_report *report)
{
    if (strcmp(target->state, "available") == 0) {
        took(report_add(report, "target", VERDICT_OK,
                        "%s in this zone is available: %s%s%s, subnet %s", target->id, target->ipv4,
                        target->ipv4[0] && target->ipv6[0] ? " and " : "", target->ipv6,
                        target->subnet_id),
             &facts->targets_answer);
        return;
    }
    struct check *check =
        report_fail(report, "target", CAUSE_NO_MOUNT_TARGET,
                    "%s in this zone is not available, it is \"%s\"", target->id, target->state);
    if (strcmp(target->state, "creating") == 0 || strcmp(target->state, "updating") == 0)
        report_fix(check, "Wait until EFS shows it as available, and then about 90 seconds more "
                          "for its name.");
}

static void judge_targets(const struct preflight_facts *facts, struct mount_report *report)
{
    char zones[512];
    const struct preflight_answer *answer = &facts->targets_answer;
    const char *zone = facts->zone[0] ? facts->zone : facts->zone_id;
    if (!answered(facts, answer, "target", "elasticfilesystem:DescribeMountTargets", report))
        return;
    int own = preflight_own_target(facts);
    list_zones(facts, zones, sizeof(zones));
    if (own >= 0) {
        judge_own_target(facts, &facts->targets.items[own], report);
    } else if (facts->targets.n == 0) {
        report_fail(report, "target", CAUSE_NO_MOUNT_TARGET, "%s has no mount target at all",
                    facts->wish.file_system_id);
    } else if (zone[0]) {
        report_fail(report, "target", CAUSE_NO_MOUNT_TARGET,
                    "%s has no mount target in %s, only in %s", facts->wish.file_system_id, zone,
                    zones);
    } else {
        report_add(report, "target", VERDICT_UNKNOWN,
                   "%zu, in %s; in which zone this is was not found out", facts->targets.n, zones);
    }
}

static void judge_groups(const struct preflight_facts *facts, struct mount_report *report)
{
    /* Whether they let this task in is seen by connecting, which needs no permission. */
    if (facts->targets_answer.state == PREFLIGHT_ANSWERED && facts->targets.n > 0 &&
        answered(facts, &facts->groups_answer, "security",
                 "elasticfilesystem:DescribeMountTargetSecurityGroups", report))
        took(report_add(report, "security", VERDICT_OK, "%s",
                        facts->groups[0] ? facts->groups : "none"),
             &facts->groups_answer);
}

void preflight_judge_targets(const struct preflight_facts *facts, struct mount_report *report)
{
    judge_targets(facts, report);
    judge_groups(facts, report);
}

/* ---- access point ---- */

static bool may_write(const struct efs_access_point *point)
{
    mode_t needed = point->uid == point->creation_uid   ? 0300
                    : point->gid == point->creation_gid ? 0030
                                                        : 0003;
    return point->uid == 0 || (point->creation_mode & needed) == needed;
}

static void judge_root(const struct efs_access_point *point, const char *identity,
                       struct mount_report *report)
{
    struct check *check;
    if (strcmp(point->root_path, "/") == 0) {
        report_add(report, "point", VERDICT_OK, "%s: the root of the file system, %s", point->id,
                   identity);
    } else if (!point->has_creation) {
        check = report_add(report, "point", VERDICT_WARN,
                           "%s: root directory %s, %s; EFS does not make this directory, and if it "
                           "is missing the mount fails with \"No such file or directory\"",
                           point->id, point->root_path, identity);
        report_fix(check, "Make the directory, or a new access point with creationInfo, which "
                          "makes it.");
    } else if (point->has_posix_user && !may_write(point)) {
        check = report_add(report, "point", VERDICT_WARN,
                           "%s: root directory %s, made as %u:%u with mode %04o if it is missing, "
                           "where %s may not write",
                           point->id, point->root_path, point->creation_uid, point->creation_gid,
                           point->creation_mode, identity);
        report_fix(check, "Make a new access point whose creationInfo gives the directory to its "
                          "posixUser.");
    } else {
        report_add(report, "point", VERDICT_OK,
                   "%s: root directory %s, made as %u:%u with mode %04o if it is missing, %s",
                   point->id, point->root_path, point->creation_uid, point->creation_gid,
                   point->creation_mode, identity);
    }
}

static void judge_point(const struct preflight_facts *facts, struct mount_report *report)
{
    char identity[64] = "everyone keeps their own identity";
    const struct efs_access_point *point = &facts->point;
    const struct preflight_answer *answer = &facts->point_answer;
    const char *id = facts->wish.access_point;
    if (!id[0])
        return;
    if (answer->state == PREFLIGHT_FAILED && answer->r == -ENOENT) {
        report_fail(report, "point", CAUSE_ACCESS_POINT_UNUSABLE, "EFS knows no %s in %s", id,
                    facts->region);
        return;
    }
    if (!answered(facts, answer, "point", "elasticfilesystem:DescribeAccessPoints", report))
        return;
    if (point->has_posix_user)
        snprintf(identity, sizeof(identity), "everyone acts as %u:%u", point->uid, point->gid);
    if (strcmp(point->file_system_id, facts->wish.file_system_id) != 0)
        report_fail(report, "point", CAUSE_ACCESS_POINT_UNUSABLE, "%s belongs to %s, not to %s", id,
                    point->file_system_id, facts->wish.file_system_id);
    else if (strcmp(point->state, "available") != 0)
        report_fail(report, "point", CAUSE_ACCESS_POINT_UNUSABLE,
                    "%s is not available, it is \"%s\"", id, point->state);
    else
        judge_root(point, identity, report);
}

/* ---- policy ---- */

/* Through an access point ECS mounts with TLS anyway. */
static bool asks_for_more(const struct policy_needs *needs, const char *point)
{
    return needs->iam || (needs->tls && !point[0]);
}

static void fix_needs(const struct policy_needs *needs, const char *point, struct check *check)
{
    report_fix(check,
               "In the volume's efsVolumeConfiguration set transitEncryption to ENABLED%s%s.",
               needs->iam ? ", authorizationConfig.iam to ENABLED (with a taskRoleArn that may do "
                            "elasticfilesystem:ClientMount)"
                          : "",
               needs->access_point && !point[0] ? ", and authorizationConfig.accessPointId" : "");
}

static void judge_needs(const struct preflight_facts *facts, const struct policy_needs *needs,
                        struct mount_report *report)
{
    const char *point = facts->wish.access_point;
    bool more = asks_for_more(needs, point);
    char asks[128];
    const char *rights = needs->write && needs->root ? "may mount, write and be root"
                         : needs->write              ? "may mount and write, but not be root"
                         : needs->root               ? "may mount and be root, but not write"
                                                     : "may mount, but not write or be root";
    snprintf(asks, sizeof(asks), "asks for %s%s%s%s",
             more       ? "TLS"
             : point[0] ? "nothing but the TLS of an access point"
                        : "nothing",
             needs->iam ? ", IAM" : "", needs->access_point && !point[0] ? ", an access point" : "",
             needs->role_decides ? ", a role whose own policies allow it" : "");
    if (needs->verdict == POLICY_REFUSES) {
        report_fail(report, "policy", CAUSE_POLICY_REFUSES,
                    "the policy of %s lets nobody mount%s%s", facts->wish.file_system_id,
                    point[0] ? " by " : "", point);
        return;
    }
    struct check *check =
        needs->verdict == POLICY_DEPENDS
            ? report_add(report, "policy", VERDICT_UNKNOWN,
                         "%s, and depends on statement %s, whose conditions are not known here",
                         asks, needs->statement)
            : report_add(report, "policy", more ? VERDICT_WARN : VERDICT_OK, "%s; %s %s", asks,
                         more ? "who has that" : "everyone", rights);
    if (more)
        fix_needs(needs, point, check);
}

static void judge_policy(const struct preflight_facts *facts, struct mount_report *report)
{
    struct policy_needs needs;
    struct error err;
    struct policy_way way = {
        .through_point = facts->wish.access_point[0] != '\0',
        .point_arn = facts->point.arn,
        .role_arn = facts->role_arn,
    };
    if (!answered(facts, &facts->policy_answer, "policy",
                  "elasticfilesystem:DescribeFileSystemPolicy", report))
        return;
    if (!facts->policy)
        report_add(report, "policy", VERDICT_OK,
                   "there is none: everyone who reaches a mount target may mount, write and be "
                   "root");
    else if (policy_needs_read(facts->policy, &way, &needs, &err) < 0)
        report_add(report, "policy", VERDICT_UNKNOWN, "not understood: %s", err.text);
    else
        judge_needs(facts, &needs, report);
}

/* ---- credentials ---- */

static void judge_credentials(const struct preflight_facts *facts, struct mount_report *report)
{
    const struct preflight_answer *answer = &facts->credentials_answer;
    switch (answer->state) {
    case PREFLIGHT_NOT_ASKED:
    case PREFLIGHT_ASKING:
        break;
    case PREFLIGHT_ANSWERED:
        took(report_add(report, "role", VERDICT_OK, "from the %s%s%s", facts->credentials_source,
                        facts->role_arn[0] ? ", of " : "", facts->role_arn),
             answer);
        break;
    case PREFLIGHT_FAILED:
        /* On a host, and in tasks that share its network, the instance is asked when nothing else
         * is there: no answer is no fault of the task. */
        if (answer->r == -ENOENT ||
            strncmp(facts->credentials_source, "instance", strlen("instance")) == 0)
            report_add(report, "role", VERDICT_SKIP,
                       "there are none here: without a taskRoleArn a volume cannot use "
                       "authorizationConfig.iam, and EFS was asked nothing");
        else
            report_fail(report, "role", CAUSE_NO_CREDENTIALS, "%s", answer->err.text);
        break;
    case PREFLIGHT_LATE:
        report_add(report, "role", VERDICT_UNKNOWN,
                   "they did not come until the deadline, and EFS was asked nothing");
        break;
    }
}

void preflight_judge_access(const struct preflight_facts *facts, struct mount_report *report)
{
    judge_point(facts, report);
    judge_policy(facts, report);
    judge_credentials(facts, report);
}
