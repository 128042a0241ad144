/*
 * action: every call of AWS that the programs can make, and the permission that it takes.
 *
 *     const struct aws_call call = {.action = AWS_DESCRIBE_MOUNT_TARGETS, .path = ...};
 *     ... aws_actions[call.action].service, .permission ...
 *
 * A call (request.h) names its row, so there is none without one. task-def/policies/ has a policy
 * for each purpose, and a test compares them with these rows. Constant, so safe for all threads.
 */
#ifndef LIB_AWS_ACTION_H
#define LIB_AWS_ACTION_H

#include "lib/aws/endpoint.h"

enum aws_action_id {
    AWS_GET_CALLER_IDENTITY,
    AWS_DESCRIBE_FILE_SYSTEMS,
    AWS_DESCRIBE_MOUNT_TARGETS,
    AWS_DESCRIBE_MOUNT_TARGET_GROUPS,
    AWS_DESCRIBE_ACCESS_POINTS,
    AWS_DESCRIBE_FILE_SYSTEM_POLICY,
    AWS_GET_METRIC_STATISTICS,
    AWS_PUT_METRIC_DATA,
    AWS_DESCRIBE_TASKS,
    AWS_ACTIONS_N
};

struct aws_action {
    const struct aws_service *service;
    const char *permission; /* as policies name it */
    const char *purpose;    /* name of its policy; NULL: AWS asks nobody for a permission */
};

extern const struct aws_action aws_actions[AWS_ACTIONS_N];

#endif
