/*
 * ask_aws: a child process that gets the task's credentials and, when wanted, asks the task
 * metadata endpoint, STS, EFS and CloudWatch. All questions are asked at once, each answer is noted
 * when it comes: a child that is stopped at the deadline leaves what it has. Keys stay in the
 * child.
 *
 *     struct aws_wish wish = {.api = true, .n = 1, .deadline_ms = deadline_ms, ...};
 *     r = ask_aws_start(&wish, &child, &err);            // see child.h
 *     ...
 *     child_stop(&child);
 *     const struct aws_facts *facts = child.shared;
 *     if (aws_answered(&facts->credentials) && facts->credentials.error == 0)
 *         ... facts->role_arn ...
 *
 * Ownership: facts are the child's shared memory, until child_close(). Threads: start it while
 * there is only one. Errors: -errno of making the child; what a question met stands in its answer.
 */
#ifndef INIT_ASK_AWS_H
#define INIT_ASK_AWS_H

#include <stdatomic.h>
#include <stdint.h>

#include "init/child.h"
#include "lib/aws/efs.h"
#include "lib/aws/metadata.h"
#include "lib/aws/sts.h"
#include "lib/config.h"

enum { ASK_TARGETS_MAX = 16, ASK_POLICY_MAX_BYTES = 24 * 1024 };

struct aws_wish {
    bool api; /* metadata and EFS, not only credentials */
    bool sts;
    bool instance; /* with the instance's credentials, if the task has none of its own */
    int64_t deadline_ms;
    size_t n;
    struct {
        char file_system_id[EFS_ID]; /* "": not known */
        const char *access_point;    /* or NULL */
    } mounts[CONFIG_MOUNTS_MAX];     /* both empty: nothing to ask */
};

struct aws_answer {
    _Atomic int state; /* 0 not asked, 1 asked, 2 answered */
    int error;         /* positive; 0: the fact beside it is good */
    char text[512];    /* of the error */
};

struct aws_file_system_facts {
    char id[EFS_ID];
    struct aws_answer described, listed, policed, metered;
    struct efs_file_system file_system; /* described */
    size_t n_targets;                   /* listed: */
    struct efs_mount_target targets[ASK_TARGETS_MAX];
    bool has_policy; /* policed: */
    char policy[ASK_POLICY_MAX_BYTES];
    bool has_credits; /* metered, if it bursts: */
    double credits_bytes;
};

struct aws_facts {
    bool no_source;           /* no credentials are configured for this task */
    struct aws_answer opened; /* an error: no region, so nothing can be asked */
    struct aws_answer credentials, identity, placed;
    char source[32];
    char role_arn[512];
    struct sts_identity caller; /* identity */
    struct metadata task;       /* placed */
    char region[ENDPOINT_REGION];
    size_t n_file_systems;
    struct aws_file_system_facts file_systems[CONFIG_MOUNTS_MAX];
    int file_system_of[CONFIG_MOUNTS_MAX]; /* index, or -1 */
    struct aws_answer pointed[CONFIG_MOUNTS_MAX];
    struct efs_access_point points[CONFIG_MOUNTS_MAX]; /* pointed */
};

int ask_aws_start(const struct aws_wish *wish, struct child *ret_child, struct error *err);

static inline bool aws_answered(const struct aws_answer *answer)
{
    return atomic_load(&answer->state) == 2;
}

#endif
