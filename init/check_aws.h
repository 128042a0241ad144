/*
 * check_aws: what AWS says about the task's role and about what lies behind one mount. Pure
 * judgement. A missing permission never fails the gate: then the check says what it would need.
 *
 *     check_role(facts, &wanted, task);       // adds role, and caller when STS was asked
 *     check_aws(&question, report);           // adds fs, point, target, tls, policy, credits
 *
 * What is found goes into the report, which owns its own copy. Threads: one. Errors: none.
 */
#ifndef INIT_CHECK_AWS_H
#define INIT_CHECK_AWS_H

#include "init/ask_aws.h"
#include "init/probe.h"
#include "init/report.h"
#include "lib/mountinfo.h"

struct role_wanted {
    const char *role; /* name or ARN; "" any */
    bool sts;         /* the user asked for it: credentials that AWS refuses are a failure */
};

struct aws_question {
    const struct aws_facts *facts;
    size_t mount;                /* its index in the facts */
    const char *access_point;    /* that is expected; NULL: not said */
    const struct mount *mounted; /* NULL: not known */
    const struct probe_log *log; /* NULL: there was no probe */
    bool write_refused;          /* for a lack of permission to write */
};

void check_role(const struct aws_facts *facts, const struct role_wanted *wanted,
                struct mount_report *task);
void check_aws(const struct aws_question *question, struct mount_report *report);

#endif
