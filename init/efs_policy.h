/*
 * efs_policy: what a file system policy asks of a mount: TLS, IAM, an access point.
 *
 *     struct efs_policy_needs needs;
 *     r = efs_policy_read(text, "fsap-...", role_arn, &needs, &err);
 *     if (needs.verdict == EFS_POLICY_ALLOWS)
 *         ... needs.tls, needs.iam, needs.access_point ...
 *
 * The policy is evaluated for each way to mount, from the plainest on; the first way that it does
 * not refuse is what it needs. What it says about the file system as a resource is taken to be
 * about this one, because EFS accepts no other. What depends on things that are not known here (a
 * source address, an organisation) counts as neither, and is named.
 *
 * Threads: safe. Errors: -EBADMSG: it is no policy.
 */
#ifndef INIT_EFS_POLICY_H
#define INIT_EFS_POLICY_H

#include <stdbool.h>

#include "lib/error.h"

enum efs_policy_verdict {
    EFS_POLICY_ALLOWS,  /* in the way that the rest of the structure tells */
    EFS_POLICY_REFUSES, /* in every way */
    EFS_POLICY_DEPENDS, /* on needs.unknown: it may allow the way told */
};

struct efs_policy_needs {
    enum efs_policy_verdict verdict;
    bool tls, iam, access_point;
    bool write, root;  /* that way also gives ClientWrite, ClientRootAccess by this policy */
    bool role_decides; /* nothing here allows it, nothing denies it: the role's policies do */
    char unknown[128]; /* the first thing that could not be decided, or "" */
};

/* access_point: that the mount will go through, "" for none named. role_arn: of the task, or "". */
int efs_policy_read(const char *text, const char *access_point, const char *role_arn,
                    struct efs_policy_needs *ret_needs, struct error *err);

#endif
