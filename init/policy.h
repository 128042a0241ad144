/*
 * policy: what a file system policy says about one client: may it mount, write, be root, and does
 * it have to use TLS?
 *
 *     struct policy_subject subject = {.role_arn = "arn:aws:iam::123456789012:role/app", ...};
 *     r = policy_judge(text, &subject, &judgement, &err);
 *
 * Best effort: conditions that cannot be known here make an answer a "may". That a policy is silent
 * does not mean no, because the role's own policies may allow it. Threads: safe. Errors: -EINVAL:
 * the text is not a policy.
 */
#ifndef INIT_POLICY_H
#define INIT_POLICY_H

#include <stdbool.h>

#include "lib/error.h"

enum policy_action { POLICY_MOUNT, POLICY_WRITE, POLICY_ROOT, POLICY_ACTIONS };

enum policy_effect {
    POLICY_SILENT,
    POLICY_MAY_ALLOW,
    POLICY_ALLOWS,
    POLICY_MAY_DENY, /* and nothing denies it for certain */
    POLICY_DENIES,
};

struct policy_subject {
    const char *role_arn;         /* "" unknown */
    bool anonymous;               /* it does not use IAM: nobody, whatever its role */
    const char *access_point_arn; /* "" unknown or none */
    bool no_access_point;         /* certainly none */
    bool no_tls;                  /* certainly none; else it is assumed */
};

struct policy_judgement {
    bool needs_tls; /* some action is denied, or not allowed, without */
    enum policy_effect effects[POLICY_ACTIONS];
    char statements[POLICY_ACTIONS][64]; /* the Sid or number that decided */
};

extern const char *const policy_action_names[POLICY_ACTIONS]; /* "ClientMount" ... */

int policy_judge(const char *text, const struct policy_subject *subject,
                 struct policy_judgement *ret_judgement, struct error *err);

#endif
