/*
 * explain_task: what ECS says of a task, for `efs-init explain --task ARN`.
 *
 *     r = explain_fetch_task("arn:aws:ecs:eu-west-1:111122223333:task/web/0123...", &text,
 *                            &length, &err);
 *     explain(text, length, ...);      // lib/explain: the body of DescribeTasks as it is
 *
 * One signed call of ecs:DescribeTasks, with the region and the cluster that the ARN names.
 * Ownership: the text is the caller's. Threads: blocks, up to 15 s. Errors: -EINVAL it is no ARN of
 * a task, -ENOENT ECS does not know the task (any more: it forgets a stopped one after about an
 * hour), -EPROTO AWS refused the call or its answer makes no sense, else those of
 * lib/aws/request.h.
 */
#ifndef INIT_EXPLAIN_TASK_H
#define INIT_EXPLAIN_TASK_H

#include <stddef.h>

#include "lib/error.h"

int explain_fetch_task(const char *arn, char **ret_text, size_t *ret_length, struct error *err);

#endif
