#include "cli/taskdef_app.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"

enum { TEXT_SIZE = 1024, FARGATE_STOP_MAX_S = 120, STOP_TIMEOUT_DEFAULT_S = 30 };

void taskdef_app_warn(struct taskdef_app *app, const char *format, ...)
{
    char text[TEXT_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    json_array_append_new(app->warnings, json_string(text));
}

const char *taskdef_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

json_t *taskdef_find(const json_t *list, const char *key, const char *value)
{
    size_t i;
    json_t *entry;
    json_array_foreach(list, i, entry)
    {
        if (strcmp(taskdef_text(entry, key), value) == 0)
            return entry;
    }
    return NULL;
}

json_t *taskdef_unwrap(json_t *answer)
{
    static const char *const of_aws[] = {"taskDefinitionArn",  "revision",        "status",
                                         "requiresAttributes", "compatibilities", "registeredAt",
                                         "registeredBy",       "deregisteredAt"};
    json_t *inner = json_object_get(answer, "taskDefinition");
    json_t *definition = json_is_object(inner) ? inner : answer;
    json_t *tags = json_object_get(answer, "tags");
    for (size_t i = 0; i < ARRAY_LEN(of_aws); i++)
        json_object_del(definition, of_aws[i]);
    if (definition == inner && json_array_size(tags) > 0)
        json_object_set(definition, "tags", tags);
    return json_incref(definition);
}

/* ---- what the app mounts ---- */

static const json_t *efs_volume(const struct taskdef_app *app, const char *volume)
{
    const json_t *entry = taskdef_find(json_object_get(app->definition, "volumes"), "name", volume);
    return json_object_get(entry, "efsVolumeConfiguration");
}

/* A log router is asked for by our containers' logs: it cannot wait for them. */
bool taskdef_app_uses_efs(const struct taskdef_app *app, const json_t *container)
{
    size_t i;
    const json_t *point;
    if (json_object_get(container, "firelensConfiguration"))
        return false;
    json_array_foreach(json_object_get(container, "mountPoints"), i, point)
    {
        if (efs_volume(app, taskdef_text(point, "sourceVolume")))
            return true;
    }
    return false;
}

static void check_volume(struct taskdef_app *app, const struct taskdef_mount *mount,
                         const json_t *efs)
{
    const json_t *authorization = json_object_get(efs, "authorizationConfig");
    if (strcmp(taskdef_text(efs, "transitEncryption"), "ENABLED") != 0)
        taskdef_app_warn(
            app,
            "volume %s: transitEncryption is not ENABLED; access points and IAM need it, and a "
            "policy may demand it",
            mount->volume);
    if (strcmp(taskdef_text(authorization, "iam"), "ENABLED") != 0)
        taskdef_app_warn(
            app,
            "volume %s: authorizationConfig.iam is not ENABLED; a file system policy cannot tell "
            "this task from others",
            mount->volume);
    if (!mount->access_point)
        taskdef_app_warn(
            app,
            "volume %s has no access point: EFS sees the ids of the containers, and efs-sidecar's "
            "(--user) must be able to use what the app's make",
            mount->volume);
}

static int add_mount(struct taskdef_app *app, const struct taskdef_mount *mount, struct error *err)
{
    for (size_t i = 0; i < app->n; i++) {
        struct taskdef_mount *known = &app->mounts[i];
        bool same_volume = strcmp(known->volume, mount->volume) == 0;
        if (strcmp(known->path, mount->path) == 0 && !same_volume)
            return error_set(err, EEXIST,
                             "%s and %s are both mounted at %s, in different containers; "
                             "efs-sidecar mounts both and needs different paths",
                             known->volume, mount->volume, mount->path);
        if (same_volume) { /* elsewhere, too: the same files, which are looked at once */
            known->read_only &= mount->read_only;
            return 0;
        }
    }
    if (app->n == CONFIG_MOUNTS_MAX)
        return error_set(err, E2BIG, "more than %d EFS volumes", CONFIG_MOUNTS_MAX);
    if (*mount->path != '/' || strpbrk(mount->path, ",=:"))
        return error_set(
            err, EINVAL,
            "the containerPath \"%s\" of volume %s is not absolute, or has one of , = :",
            mount->path, mount->volume);
    app->mounts[app->n++] = *mount;
    return 0;
}

static int survey_container(struct taskdef_app *app, const json_t *container, struct error *err)
{
    size_t i;
    const json_t *point;
    json_array_foreach(json_object_get(container, "mountPoints"), i, point)
    {
        const char *volume = taskdef_text(point, "sourceVolume");
        const json_t *efs = efs_volume(app, volume);
        if (!efs)
            continue;
        const json_t *authorization = json_object_get(efs, "authorizationConfig");
        const struct taskdef_mount mount = {
            .path = taskdef_text(point, "containerPath"),
            .volume = volume,
            .file_system = taskdef_text(efs, "fileSystemId"),
            .access_point = json_string_value(json_object_get(authorization, "accessPointId")),
            .read_only = json_is_true(json_object_get(point, "readOnly")),
        };
        size_t before = app->n;
        int r = add_mount(app, &mount, err);
        if (r < 0)
            return r;
        if (app->n > before)
            check_volume(app, &mount, efs);
    }
    return 0;
}

int taskdef_app_survey(struct taskdef_app *app, struct error *err)
{
    size_t i;
    json_t *container;
    const json_t *containers = json_object_get(app->definition, "containerDefinitions");
    if (taskdef_find(containers, "name", TASKDEF_GATE) ||
        taskdef_find(containers, "name", TASKDEF_SIDECAR))
        return error_set(err, EEXIST,
                         "it has a container " TASKDEF_GATE " or " TASKDEF_SIDECAR
                         " already; for another version change its image");
    json_array_foreach(containers, i, container)
    {
        int r = taskdef_app_uses_efs(app, container) ? survey_container(app, container, err) : 0;
        if (r < 0)
            return r;
    }
    if (app->n == 0)
        return error_set(err, ENOENT,
                         "no container mounts an EFS volume: a volume with efsVolumeConfiguration "
                         "is needed, and a mountPoints entry that names it");
    return 0;
}

/* Of "512"; 0 for what is missing or written with a unit. */
static long number_of(const json_t *object, const char *key)
{
    char *end;
    const char *text = taskdef_text(object, key);
    long number = strtol(text, &end, 10);
    return *text && *end == '\0' ? number : 0;
}

int taskdef_check_room(const json_t *definition, struct error *err)
{
    long cpu = number_of(definition, "cpu"), memory = number_of(definition, "memory");
    json_int_t cpu_used = 0, memory_used = 0;
    size_t i;
    const json_t *container;
    json_array_foreach(json_object_get(definition, "containerDefinitions"), i, container)
    {
        const json_t *reserved = json_object_get(container, "memoryReservation");
        cpu_used += json_integer_value(json_object_get(container, "cpu"));
        memory_used +=
            json_integer_value(reserved ? reserved : json_object_get(container, "memory"));
    }
    if (cpu > 0 && cpu_used > cpu)
        return error_set(
            err, ENOSPC,
            "the containers' cpu add up to %" JSON_INTEGER_FORMAT
            " with efs-sidecar's, the task has %ld: lower the app's, or raise the task's",
            cpu_used, cpu);
    if (memory > 0 && memory_used > memory)
        return error_set(
            err, ENOSPC,
            "the containers reserve %" JSON_INTEGER_FORMAT
            " MiB with efs-sidecar, the task has %ld: lower the app's memoryReservation "
            "or memory, or raise the task's",
            memory_used, memory);
    return 0;
}

/* The app ends first, then the sidecar. */
static void check_stop(struct taskdef_app *app, const json_t *container, json_int_t after_s)
{
    const json_t *timeout = json_object_get(container, "stopTimeout");
    json_int_t own_s = timeout ? json_integer_value(timeout) : STOP_TIMEOUT_DEFAULT_S;
    if (own_s + after_s > FARGATE_STOP_MAX_S)
        taskdef_app_warn(app,
                         "container %s: its stopTimeout of %" JSON_INTEGER_FORMAT
                         " s and efs-sidecar's of %" JSON_INTEGER_FORMAT
                         " s come one after the other; Fargate leaves %d s for both",
                         taskdef_text(container, "name"), own_s, after_s, FARGATE_STOP_MAX_S);
}

static bool on_fargate(const json_t *definition)
{
    size_t i;
    const json_t *name;
    json_array_foreach(json_object_get(definition, "requiresCompatibilities"), i, name)
    {
        if (strcmp(json_string_value(name) ? json_string_value(name) : "", "FARGATE") == 0)
            return true;
    }
    return false;
}

void taskdef_app_check(struct taskdef_app *app, json_int_t after_s)
{
    size_t i;
    const json_t *container;
    bool fargate = on_fargate(app->definition);
    if (!*taskdef_text(app->definition, "taskRoleArn"))
        taskdef_app_warn(app, "there is no taskRoleArn: a volume with iam ENABLED needs one, and "
                              "so do the checks that ask AWS");
    if (!fargate && strcmp(taskdef_text(app->definition, "networkMode"), "awsvpc") == 0)
        taskdef_app_warn(app, "networkMode is awsvpc: two such tasks on one EC2 host are one NFS "
                              "client to EFS and destroy each other's locks; use bridge or host");
    json_array_foreach(json_object_get(app->definition, "containerDefinitions"), i, container)
    {
        if (fargate && after_s > 0 && taskdef_app_uses_efs(app, container))
            check_stop(app, container, after_s);
    }
}
