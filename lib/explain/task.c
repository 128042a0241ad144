#include "lib/explain/task.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "lib/explain/finding.h"
#include "lib/explain/match.h"
#include "lib/explain/snippets.h"
#include "lib/json.h"

/* How likely a container is the first cause: the smallest wins. */
enum rank {
    RANK_GATE,
    RANK_REASON,
    RANK_EXIT_CODE,
    RANK_UNHEALTHY,
    RANK_KILLED,
    RANK_ENDED, /* with 0, where the task cannot do without it */
    RANK_NONE,
};

enum { EXIT_SIGKILL = 137, EXIT_SIGTERM = 143 };

struct container {
    const char *name, *image, *status, *health, *reason;
    bool has_exit_code;
    int exit_code;
    const struct cause_info *gate; /* what its exit code means if it is efs-init */
    struct explain_match match;    /* of the reason, entry may be NULL */
    enum rank rank;
};

struct task {
    const char *arn, *definition, *status, *stop_code, *reason;
    struct explain_values values;
    struct explain_result result; /* of the reason */
    size_t n;
    struct container containers[EXPLAIN_CONTAINERS_MAX];
    const struct container *first; /* NULL: none, or the task's own reason */
};

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

/* ---- reading ---- */

static void read_container(const json_t *object, struct container *container)
{
    const json_t *code = json_object_get(object, "exitCode");
    *container = (struct container){
        .name = text_of(object, "name"),
        .image = text_of(object, "image"),
        .status = text_of(object, "lastStatus"),
        .health = text_of(object, "healthStatus"),
        .reason = text_of(object, "reason"),
        .has_exit_code = json_is_integer(code),
        .exit_code = (int)json_integer_value(code),
        .rank = RANK_NONE,
    };
}

static void read_values(const json_t *object, struct explain_values *values)
{
    struct explain_text text;
    const char *arn = text_of(object, "taskArn"), *cluster = text_of(object, "clusterArn");
    const char *zone = text_of(object, "availabilityZone"), *slash = strrchr(cluster, '/');
    if (explain_text_make(arn, strlen(arn), &text) == 0) {
        explain_values_scan(&text, values);
        explain_text_release(&text);
    }
    cluster = slash ? slash + 1 : cluster;
    explain_value_set(values, VALUE_CLUSTER, cluster, strlen(cluster));
    explain_value_set(values, VALUE_ZONE, zone, strlen(zone));
}

static void read_task(const json_t *object, struct task *task)
{
    *task = (struct task){
        .arn = text_of(object, "taskArn"),
        .definition = text_of(object, "taskDefinitionArn"),
        .status = text_of(object, "lastStatus"),
        .stop_code = text_of(object, "stopCode"),
        .reason = text_of(object, "stoppedReason"),
    };
    read_values(object, &task->values);
    size_t i;
    const json_t *element;
    json_array_foreach(json_object_get(object, "containers"), i, element)
    {
        if (task->n < EXPLAIN_CONTAINERS_MAX)
            read_container(element, &task->containers[task->n++]);
    }
}

/* ---- judging ---- */

/* The match of a reason; ids found in it are kept for the advice. */
static struct explain_match match_reason(struct task *task, const char *reason)
{
    struct explain_result result = {.values = task->values};
    if (!*reason || explain_match(reason, strlen(reason), &result) < 0 || result.n == 0)
        return (struct explain_match){0};
    task->values = result.values;
    return result.at[0];
}

static bool is_gate(const struct task *task, const struct container *container,
                    const char *gate_name)
{
    const char *waited_for = task->values.of[VALUE_CONTAINER];
    if (gate_name)
        return strcmp(container->name, gate_name) == 0;
    return strstr(container->name, "efs-init") || strstr(container->image, "efs-init") ||
           (*waited_for && strcmp(container->name, waited_for) == 0);
}

static bool is_terminated(const struct container *container)
{
    return container->has_exit_code && container->exit_code == EXIT_SIGTERM;
}

static enum rank rank_of(const struct task *task, const struct container *container)
{
    const struct explain_entry *entry = container->match.entry;
    int code = container->exit_code;
    if (container->gate)
        return RANK_GATE;
    if (entry && entry->level == LEVEL_CAUSE)
        return RANK_REASON;
    if (container->has_exit_code && code != 0 && code != EXIT_SIGTERM && code != EXIT_SIGKILL)
        return RANK_EXIT_CODE;
    if (strcmp(container->health, "UNHEALTHY") == 0)
        return RANK_UNHEALTHY;
    if (container->has_exit_code && code == EXIT_SIGKILL)
        return RANK_KILLED;
    if (container->has_exit_code && code == 0 &&
        strcmp(task->stop_code, "EssentialContainerExited") == 0)
        return RANK_ENDED;
    return RANK_NONE;
}

static void judge(struct task *task, const char *gate_name)
{
    for (size_t i = 0; i < task->n; i++)
        task->containers[i].match = match_reason(task, task->containers[i].reason);
    task->result.values = task->values;
    (void)explain_match(task->reason, strlen(task->reason), &task->result);
    task->values = task->result.values;

    for (size_t i = 0; i < task->n; i++) {
        struct container *container = &task->containers[i];
        if (container->has_exit_code && container->exit_code != 0 &&
            is_gate(task, container, gate_name))
            container->gate = cause_from_exit_code(container->exit_code);
        container->rank = rank_of(task, container);
        if (container->rank != RANK_NONE && (!task->first || container->rank < task->first->rank))
            task->first = container;
    }
    /* What stopped the task as a whole goes before what its containers did then. */
    bool own_cause = task->result.n > 0 && task->result.at[0].entry->level == LEVEL_CAUSE;
    if (own_cause && task->first && task->first->rank > RANK_REASON &&
        task->first->rank != RANK_UNHEALTHY)
        task->first = NULL;
}

/* ---- telling ---- */

static json_t *plain_finding(const struct container *container, const struct explain_values *values)
{
    char meaning[512];
    if (container->rank == RANK_ENDED)
        snprintf(meaning, sizeof(meaning),
                 "Container %.128s ended normally, and the task cannot do without it.",
                 container->name);
    else
        snprintf(meaning, sizeof(meaning),
                 "The application in container %.128s ended by itself with exit code %d.",
                 container->name, container->exit_code);
    static const struct explain_entry ended = {
        .id = "container-ended",
        .meaning = "",
        .causes =
            {
                {
                    .why = "Its own log says why; ECS knows only the code.",
                    .confirm = "aws ecs describe-task-definition --region {region} "
                               "--task-definition FAMILY \\\n"
                               "    --query 'taskDefinition.containerDefinitions[].[name,essential,"
                               "logConfiguration.options]'\n" SHOW_LOG,
                    .fix = "If it is meant to end (as efs-init is), set essential to false. If it "
                           "is efs-init "
                           "under another name, say so with --gate=NAME.",
                },
            },
    };
    json_t *finding = explain_finding(&ended, values);
    _cleanup_json_ json_t *words = json_string_lossy(meaning);
    json_object_set(finding, "meaning", words);
    return finding;
}

static json_t *container_finding(const struct task *task, const struct container *container)
{
    if (container->gate)
        return explain_gate_finding(container->gate, &task->values);
    if (container->rank == RANK_REASON)
        return explain_finding(container->match.entry, &task->values);
    if (container->rank == RANK_UNHEALTHY)
        return explain_finding(explain_entry_by_id("container-unhealthy"), &task->values);
    const struct explain_entry *entry =
        container->exit_code ? explain_entry_by_exit_code(container->exit_code) : NULL;
    return entry ? explain_finding(entry, &task->values) : plain_finding(container, &task->values);
}

static json_t *first_cause(const struct task *task)
{
    if (task->first)
        return json_pack("{s:o, s:o?}", "container", json_string_lossy(task->first->name),
                         "finding", container_finding(task, task->first));
    if (task->result.n > 0)
        return json_pack("{s:n, s:o?}", "container", "finding",
                         explain_finding(task->result.at[0].entry, &task->values));
    for (size_t i = 0; i < task->n; i++)
        if (task->containers[i].match.entry)
            return json_pack("{s:o, s:o?}", "container",
                             json_string_lossy(task->containers[i].name), "finding",
                             explain_finding(task->containers[i].match.entry, &task->values));
    return json_null();
}

static const char *verdict_of(const struct task *task, const struct container *container)
{
    if (container == task->first)
        return "first cause";
    if (strcmp(container->status, "RUNNING") == 0)
        return "running";
    if (is_terminated(container) ||
        (container->match.entry && container->match.entry->level == LEVEL_CONSEQUENCE))
        return "consequence";
    if (!container->has_exit_code)
        return "not started";
    if (container->exit_code == EXIT_SIGKILL && container->rank == RANK_KILLED)
        return "consequence";
    return container->exit_code == 0 ? "ended" : "failed";
}

static void say(const struct task *task, const struct container *container, char *text, size_t size)
{
    const struct explain_entry *entry = container->match.entry;
    if (!entry && container->has_exit_code && container->exit_code != 0)
        entry = explain_entry_by_exit_code(container->exit_code);
    if (container->gate)
        snprintf(text, size, "efs-init: %s: %s", container->gate->name, container->gate->meaning);
    else if (is_terminated(container) && task->first && container != task->first)
        snprintf(text, size, "ended, or never started, because of %.128s", task->first->name);
    else if (entry)
        snprintf(text, size, "%s", entry->meaning);
    else if (!container->has_exit_code)
        snprintf(text, size, "has no exit code: it did not run, or still runs");
    else if (container->exit_code == 0)
        snprintf(text, size, "ended normally");
    else
        snprintf(text, size, "ended with exit code %d", container->exit_code);
}

static json_t *container_to_json(const struct task *task, const struct container *container)
{
    char text[512];
    say(task, container, text, sizeof(text));
    json_t *object = json_object();
    json_object_set_new(object, "name", json_string_lossy(container->name));
    if (container->has_exit_code)
        json_object_set_new(object, "exit_code", json_integer(container->exit_code));
    if (*container->reason)
        json_object_set_new(object, "reason", json_string_lossy(container->reason));
    if (*container->health)
        json_object_set_new(object, "health", json_string_lossy(container->health));
    json_object_set_new(object, "verdict", json_string(verdict_of(task, container)));
    json_object_set_new(object, "says", json_string_lossy(text));
    return object;
}

json_t *explain_task(const json_t *object, const char *gate_name)
{
    struct task task;
    read_task(object, &task);
    judge(&task, gate_name);

    json_t *containers = json_array();
    for (size_t i = 0; i < task.n; i++)
        json_array_append_new(containers, container_to_json(&task, &task.containers[i]));
    json_t *answer = json_object();
    json_object_set_new(answer, "task", json_string_lossy(task.arn));
    json_object_set_new(answer, "definition", json_string_lossy(task.definition));
    json_object_set_new(answer, "status", json_string_lossy(task.status));
    json_object_set_new(answer, "stop_code", json_string_lossy(task.stop_code));
    json_object_set_new(answer, "stopped_reason", json_string_lossy(task.reason));
    json_object_set_new(answer, "first_cause", first_cause(&task));
    json_object_set_new(answer, "containers", containers);
    if (json_is_null(json_object_get(answer, "first_cause")))
        json_object_set_new(answer, "nearest", explain_nearest(&task.result));
    return answer;
}
