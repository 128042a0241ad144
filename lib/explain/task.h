/*
 * task: which container of a stopped task failed first, from what `aws ecs describe-tasks` says.
 *
 *     json_t *answer = explain_task(task, gate_name);    // one element of tasks[]
 *
 *     {"task", "definition", "stop_code", "stopped_reason",
 *      "first_cause": {"container": NAME or null, "finding": {...}} or null,
 *      "containers": [{"name", "exit_code", "reason", "health",
 *                      "verdict": "first cause|consequence|failed|ended|running|not started",
 *                      "says"}],
 *      "nearest": [{"id", "meaning"}]}
 *
 * A container counts as efs-init, whose exit codes have names of their own, when it is called
 * gate_name, when its name or image contains efs-init, or when ECS says that another one waited in
 * vain for its success. describe-tasks tells no order of time: a failed gate goes before a reason
 * that names a cause, that before a plain exit code, and 143, which ECS also gives to containers
 * that never ran, last.
 *
 * NULL when memory is out. Threads: safe.
 */
#ifndef LIB_EXPLAIN_TASK_H
#define LIB_EXPLAIN_TASK_H

#include <jansson.h>

enum { EXPLAIN_CONTAINERS_MAX = 32, EXPLAIN_TASKS_MAX = 100 };

/* gate_name may be NULL. */
json_t *explain_task(const json_t *object, const char *gate_name);

#endif
