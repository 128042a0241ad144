/*
 * policy_needs: what a file system policy asks of a mount: TLS, IAM, an access point.
 *
 *     struct policy_needs needs;
 *     r = policy_needs_read(text, &way, &needs, &err);
 *     if (needs.verdict == POLICY_TAKES)
 *         ... needs.tls, needs.iam, needs.access_point ...
 *
 * The policy is judged (policy.h) for each way to mount, from the plainest on; the first way that
 * it does not refuse is what it needs. Threads: safe. Errors: -EINVAL: it is no policy.
 */
#ifndef INIT_POLICY_NEEDS_H
#define INIT_POLICY_NEEDS_H

#include "init/policy.h"

enum policy_verdict {
    POLICY_REFUSES, /* every way */
    POLICY_DEPENDS, /* on what is not known here: it may take the way told */
    POLICY_TAKES,   /* the way told */
};

struct policy_needs {
    enum policy_verdict verdict;
    bool tls, iam, access_point;
    bool write, root;   /* that way also gives ClientWrite, ClientRootAccess */
    bool role_decides;  /* the role's own policies have to allow it: this one does not */
    char statement[64]; /* that POLICY_DEPENDS comes from: its Sid or number */
};

struct policy_way {
    bool through_point; /* the mount goes through an access point: other ways are not looked at */
    const char *point_arn; /* "": not known */
    const char *role_arn;  /* "": not known */
};

int policy_needs_read(const char *text, const struct policy_way *way,
                      struct policy_needs *ret_needs, struct error *err);

#endif
