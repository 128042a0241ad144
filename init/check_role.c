/* The part of check_aws.h that is about the task as a whole. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "init/check_aws.h"

/* The name in arn:aws:iam::123456789012:role/path/NAME and in a bare NAME. */
static const char *role_name(const char *role)
{
    const char *slash = strrchr(role, '/');
    return slash ? slash + 1 : role;
}

static bool is_role(const char *wanted, const char *arn)
{
    bool whole = strncmp(wanted, "arn:", 4) == 0;
    return strcmp(wanted, whole ? arn : role_name(arn)) == 0;
}

/* arn:aws:sts::123456789012:assumed-role/NAME/SESSION: the role's path is not in it. */
static bool is_session_of(const char *wanted, const char *arn)
{
    char account[13], name[65], wanted_account[13];
    if (sscanf(arn, "arn:%*[^:]:sts::%12[0-9]:assumed-role/%64[^/]/", account, name) != 2)
        return false;
    if (sscanf(wanted, "arn:%*[^:]:iam::%12[0-9]:", wanted_account) == 1 &&
        strcmp(account, wanted_account) != 0)
        return false;
    return strcmp(name, role_name(wanted)) == 0;
}

static void fail_role(const char *wanted, const char *found, struct mount_report *task)
{
    report_fail(task, "role", CAUSE_WRONG_ROLE, "the task's role is %s, expected is %s", found,
                wanted);
}

static void judge_role(const struct aws_facts *facts, const char *wanted, struct mount_report *task)
{
    const char *role = facts->role_arn;
    bool asked = aws_answered(&facts->identity) && facts->identity.error == 0;

    if (*role && *wanted && !is_role(wanted, role))
        fail_role(wanted, role, task);
    else if (*role)
        report_add(task, "role", VERDICT_OK, "credentials of %s (source: %s)", role, facts->source);
    else if (asked && *wanted && !is_session_of(wanted, facts->caller.arn))
        fail_role(wanted, facts->caller.arn, task);
    else if (asked || !*wanted)
        report_add(task, "role", VERDICT_OK, "credentials, whose source (%s) does not name a role",
                   facts->source);
    else
        report_fix(report_add(task, "role", VERDICT_WARN,
                              "the source of the credentials (%s) does not name a role: "
                              "whether it is %s is not known",
                              facts->source, wanted),
                   "Add --sts, which asks AWS.");
}

static void check_caller(const struct aws_facts *facts, const struct role_wanted *wanted,
                         struct mount_report *task)
{
    const struct aws_answer *answer = &facts->identity;
    if (!aws_answered(answer)) {
        if (atomic_load(&answer->state) == 1)
            report_add(task, "caller", VERDICT_UNKNOWN, "STS has not answered in time");
        return;
    }
    if (answer->error == 0) {
        report_add(task, "caller", VERDICT_OK, "AWS takes this task for %s", facts->caller.arn);
    } else if (answer->error == EACCES || answer->error == EKEYREJECTED) {
        if (wanted->sts)
            report_fail(task, "caller", CAUSE_NO_CREDENTIALS,
                        "AWS does not accept the credentials: %s", answer->text);
        else
            report_add(task, "caller", VERDICT_WARN, "AWS does not accept the credentials: %s",
                       answer->text);
    } else {
        report_add(task, "caller", VERDICT_UNKNOWN, "not checked: %s", answer->text);
    }
}

void check_role(const struct aws_facts *facts, const struct role_wanted *wanted,
                struct mount_report *task)
{
    const struct aws_answer *answer = &facts->credentials;
    bool needed = *wanted->role || wanted->sts;
    const char *why = aws_answered(answer) ? answer->text : "no answer in time";

    if (aws_answered(answer) && answer->error == 0) {
        judge_role(facts, wanted->role, task);
        check_caller(facts, wanted, task);
    } else if (facts->no_source && needed) {
        report_fail(task, "role", CAUSE_NO_CREDENTIALS,
                    "the task has no credentials%s%s: AWS_CONTAINER_CREDENTIALS_RELATIVE_URI is "
                    "not set, so the task definition has no taskRoleArn",
                    *wanted->role ? ", expected are those of " : "", wanted->role);
    } else if (facts->no_source) {
        report_add(task, "role", VERDICT_SKIP, "the task has no credentials, and none are needed");
    } else if (needed) {
        report_fail(task, "role", CAUSE_NO_CREDENTIALS, "the credentials cannot be had: %s", why);
    } else {
        report_fix(report_add(task, "role", VERDICT_WARN, "the credentials cannot be had: %s", why),
                   "%s", cause_table[CAUSE_NO_CREDENTIALS].fix);
    }
}
