#include "cli/taskdef_add.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/taskdef_app.h"
#include "lib/json.h"

static const char gate[] = TASKDEF_GATE, sidecar[] = TASKDEF_SIDECAR, role_app[] = "app";

enum { TEXT_SIZE = 8192 };

struct plan {
    const struct taskdef_options *options;
    struct taskdef_app app;
    json_t *template, *profile;
    bool with_sidecar;
};

static json_t *list_of(json_t *object, const char *key)
{
    json_t *list = json_object_get(object, key);
    if (!list) {
        list = json_array();
        json_object_set_new(object, key, list);
    }
    return list;
}

/* ---- volumes ---- */

static int add_volume(struct plan *plan, const char *name, json_t *efs, struct error *err)
{
    json_t *volumes = list_of(plan->app.definition, "volumes");
    json_t *volume = json_pack("{s:s}", "name", name);
    if (efs)
        json_object_set_new(volume, "efsVolumeConfiguration", efs);
    if (taskdef_find(volumes, "name", name)) {
        json_decref(volume);
        return error_set(
            err, EEXIST,
            "it has a volume \"%s\" already, which is the name of one of efs-sidecar's; "
            "give yours another name",
            name);
    }
    json_array_append_new(volumes, volume);
    return 0;
}

static int add_mount_point(json_t *container, const char *volume, const char *path, bool read_only,
                           struct error *err)
{
    json_t *points = list_of(container, "mountPoints");
    if (taskdef_find(points, "containerPath", path))
        return error_set(err, EEXIST, "container %s mounts something at %s, which is efs-sidecar's",
                         taskdef_text(container, "name"), path);
    json_array_append_new(points, json_pack("{s:s, s:s, s:b}", "sourceVolume", volume,
                                            "containerPath", path, "readOnly", (int)read_only));
    return 0;
}

/* The volume as the template lets this role see it, if at all. */
static int give_volume(struct plan *plan, json_t *container, const char *role, const char *name,
                       struct error *err)
{
    const json_t *volume = json_object_get(json_object_get(plan->template, "volumes"), name);
    const char *access = taskdef_text(volume, role);
    if (!*access)
        return 0;
    return add_mount_point(container, name, taskdef_text(volume, "containerPath"),
                           strcmp(access, "ro") == 0, err);
}

static int give_volumes(struct plan *plan, json_t *container, const char *role, struct error *err)
{
    size_t i;
    const json_t *name;
    int r = 0;
    json_array_foreach(json_object_get(plan->profile, "volumes"), i, name)
    {
        if (r == 0)
            r = give_volume(plan, container, role, json_string_value(name), err);
    }
    if (r == 0 && plan->options->state)
        r = give_volume(plan, container, role, "state", err);
    return r;
}

static int add_volumes(struct plan *plan, struct error *err)
{
    size_t i;
    const json_t *name;
    int r = 0;
    json_array_foreach(json_object_get(plan->profile, "volumes"), i, name)
    {
        if (r == 0)
            r = add_volume(plan, json_string_value(name), NULL, err);
    }
    if (r == 0 && plan->options->state)
        r = add_volume(plan, "state",
                       json_pack("{s:s, s:s, s:{s:s, s:s}}", "fileSystemId",
                                 plan->app.mounts[0].file_system, "transitEncryption", "ENABLED",
                                 "authorizationConfig", "accessPointId", plan->options->state,
                                 "iam", "ENABLED"),
                       err);
    return r;
}

/* The agent of ECS Exec writes into each container's root file system: to volumes where that is
 * read-only. Each its own, because the agent keeps its identity there. */
static int add_exec_volumes(struct plan *plan, struct error *err)
{
    size_t i;
    const char *suffix;
    json_t *container, *path;
    char name[256];
    json_array_foreach(json_object_get(plan->app.definition, "containerDefinitions"), i, container)
    {
        if (!json_is_true(json_object_get(container, "readonlyRootFilesystem")))
            continue;
        json_object_foreach(json_object_get(plan->template, "exec"), suffix, path)
        {
            snprintf(name, sizeof(name), "%s-%s", taskdef_text(container, "name"), suffix);
            int r = add_volume(plan, name, NULL, err);
            if (r == 0)
                r = add_mount_point(container, name, json_string_value(path), false, err);
            if (r < 0)
                return r;
        }
    }
    return 0;
}

/* ---- containers ---- */

static void set_variable(json_t *container, const char *name, const char *value)
{
    if (value && *value)
        json_array_append_new(list_of(container, "environment"),
                              json_pack("{s:s, s:s}", "name", name, "value", value));
}

/* ",PATH=VALUE"; what does not fit makes it longer than its buffer. */
static size_t append(char *text, size_t used, const char *path, const char *value, const char *mode)
{
    if (used >= TEXT_SIZE)
        return used;
    return used + (size_t)snprintf(text + used, TEXT_SIZE - used, "%s%s=%s%s", used ? "," : "",
                                   path, value, mode);
}

/* The gate looks at the state's volume as at any other. */
static int set_mounts(struct plan *plan, json_t *container, const char *role, struct error *err)
{
    const char *state = plan->options->state;
    const json_t *kit = json_object_get(json_object_get(plan->template, "volumes"), "state");
    const char *state_path = taskdef_text(kit, "containerPath");
    char mounts[TEXT_SIZE] = "", points[TEXT_SIZE] = "";
    size_t used = 0, used_points = 0;
    for (size_t i = 0; i < plan->app.n; i++) {
        const struct taskdef_mount *m = &plan->app.mounts[i];
        used = append(mounts, used, m->path, m->file_system, m->read_only ? ":ro" : ":rw");
        if (m->access_point)
            used_points = append(points, used_points, m->path, m->access_point, "");
    }
    if (role == gate && state) {
        used = append(mounts, used, state_path, plan->app.mounts[0].file_system, ":rw");
        used_points = append(points, used_points, state_path, state, "");
    }
    if (used >= TEXT_SIZE || used_points >= TEXT_SIZE)
        return error_set(err, E2BIG, "the paths of the EFS volumes are too long together");
    set_variable(container, "EFS_SIDECAR_MOUNTS", mounts);
    if (role == gate)
        set_variable(container, "EFS_SIDECAR_ACCESS_POINTS", points);
    if (role == sidecar && state)
        set_variable(container, "EFS_SIDECAR_STATE_MOUNT", state_path);
    return 0;
}

static void set_gate(struct plan *plan, json_t *container)
{
    const json_t *tools = json_object_get(json_object_get(plan->template, "volumes"), "tools");
    const char *path = taskdef_text(tools, "containerPath");
    if (taskdef_find(json_object_get(container, "mountPoints"), "containerPath", path))
        set_variable(container, "EFS_SIDECAR_INSTALL", path);
}

static void set_sidecar(struct plan *plan, json_t *container)
{
    char stop[32];
    snprintf(stop, sizeof(stop), "%" JSON_INTEGER_FORMAT "s",
             json_integer_value(json_object_get(container, "stopTimeout")));
    json_object_set(container, "essential", json_object_get(plan->profile, "essential"));
    set_variable(container, "EFS_SIDECAR_PROFILE", plan->options->profile);
    set_variable(container, "EFS_SIDECAR_CLUSTER", plan->options->cluster);
    set_variable(container, "EFS_SIDECAR_SERVICE",
                 plan->options->service ? plan->options->service
                                        : taskdef_text(plan->app.definition, "family"));
    set_variable(container, "EFS_SIDECAR_STOP_TIMEOUT", stop);
}

/* Where the app's lines go, with the template's options for a driver that has them. */
static void set_log(json_t *container, const json_t *app)
{
    json_t *log = json_deep_copy(json_object_get(app, "logConfiguration"));
    json_t *wanted = json_object_get(json_object_get(container, "logConfiguration"), "options");
    if (!log) {
        json_object_del(container, "logConfiguration");
        return;
    }
    if (strcmp(taskdef_text(log, "logDriver"), "awslogs") == 0) {
        json_t *options = json_object_get(log, "options");
        json_object_del(options, "max-buffer-size"); /* refused in the mode blocking */
        json_object_update(options, wanted);
    }
    json_object_set_new(container, "logConfiguration", log);
}

/* name is also its role. */
static int make_container(struct plan *plan, const char *name, const json_t *app,
                          json_t **ret_container, struct error *err)
{
    _cleanup_json_ json_t *container =
        json_pack("{s:s, s:s}", "name", name, "image", plan->options->image);
    _cleanup_json_ json_t *rest = json_deep_copy(json_object_get(plan->template, name));
    int r = 0;
    json_object_update_missing(container, rest);
    if (plan->options->user)
        json_object_set_new(container, "user", json_string(plan->options->user));
    for (size_t i = 0; i < plan->app.n && r == 0; i++)
        r = add_mount_point(container, plan->app.mounts[i].volume, plan->app.mounts[i].path,
                            plan->app.mounts[i].read_only, err);
    if (r == 0)
        r = give_volumes(plan, container, name, err);
    if (r == 0)
        r = set_mounts(plan, container, name, err);
    if (r < 0)
        return r;
    if (name == gate)
        set_gate(plan, container);
    else
        set_sidecar(plan, container);
    set_log(container, app);
    *ret_container = json_incref(container);
    return 0;
}

static int join_app(struct plan *plan, json_t *app, struct error *err)
{
    const char *name;
    json_t *value;
    int r = give_volumes(plan, app, role_app, err);
    if (r < 0)
        return r;
    json_array_append_new(list_of(app, "dependsOn"),
                          json_pack("{s:s, s:s}", "containerName", gate, "condition", "SUCCESS"));
    if (plan->with_sidecar)
        json_array_append_new(list_of(app, "dependsOn"),
                              json_pack("{s:s, s:s}", "containerName", sidecar, "condition",
                                        taskdef_text(plan->profile, "condition")));
    json_object_foreach(json_object_get(plan->profile, "environment"), name, value)
    {
        if (taskdef_find(json_object_get(app, "environment"), "name", name))
            taskdef_app_warn(&plan->app, "container %s sets %s itself; the value to add is %s",
                             taskdef_text(app, "name"), name, json_string_value(value));
        else
            set_variable(app, name, json_string_value(value));
    }
    return 0;
}

static int add_containers(struct plan *plan, struct error *err)
{
    size_t i;
    json_t *container, *first = NULL, *made = NULL;
    json_t *containers = json_object_get(plan->app.definition, "containerDefinitions");
    json_array_foreach(containers, i, container)
    {
        if (!taskdef_app_uses_efs(&plan->app, container))
            continue;
        if (!first)
            first = container;
        int r = join_app(plan, container, err);
        if (r < 0)
            return r;
    }
    if (!json_object_get(first, "logConfiguration"))
        taskdef_app_warn(
            &plan->app,
            "container %s has no logConfiguration, so the gate's reason is lost with it",
            taskdef_text(first, "name"));
    int r = make_container(plan, gate, first, &made, err);
    if (r == 0)
        json_array_insert_new(containers, 0, made);
    if (r == 0 && plan->with_sidecar) {
        r = make_container(plan, sidecar, first, &made, err);
        if (r == 0)
            json_array_insert_new(containers, 1, made);
    }
    return r;
}

static int find_profile(struct plan *plan, struct error *err)
{
    const struct taskdef_options *options = plan->options;
    const json_t *profiles = json_object_get(plan->template, "profiles");
    plan->profile = json_object_get(profiles, options->profile);
    if (!plan->profile)
        return error_set(err, EINVAL, "\"%.40s\" is none of gate, observe, coordinate, cache",
                         options->profile);
    plan->with_sidecar = json_object_get(plan->profile, "condition") != NULL;
    if (options->state && !plan->with_sidecar)
        return error_set(err, EINVAL, "the profile %s has no state", options->profile);
    return 0;
}

static void check_app(struct plan *plan)
{
    const json_t *template = json_object_get(plan->template, sidecar);
    size_t writable = 0;
    taskdef_app_check(&plan->app, plan->with_sidecar
                                      ? json_integer_value(json_object_get(template, "stopTimeout"))
                                      : 0);
    for (size_t i = 0; i < plan->app.n; i++)
        writable += !plan->app.mounts[i].read_only;
    if (json_is_true(json_object_get(plan->profile, "essential")) && writable < plan->app.n &&
        !plan->options->state)
        taskdef_app_warn(&plan->app, "without --state a volume that is mounted read-only has "
                                     "neither locks nor the changes of other tasks");
}

int taskdef_add(json_t *definition, const struct taskdef_options *options, json_t *warnings,
                struct error *err)
{
    struct plan plan = {.options = options,
                        .app = {.definition = definition, .warnings = warnings}};
    _cleanup_json_ json_t *template = NULL;
    int r = json_parse(taskdef_template, strlen(taskdef_template), &template, err);
    if (r < 0)
        return r;
    plan.template = template;
    r = find_profile(&plan, err);
    if (r == 0)
        r = taskdef_app_survey(&plan.app, err);
    if (r < 0)
        return r;
    check_app(&plan);
    r = add_volumes(&plan, err);
    if (r == 0)
        r = add_containers(&plan, err);
    if (r == 0 && options->exec)
        r = add_exec_volumes(&plan, err);
    return r < 0 ? r : taskdef_check_room(definition, err);
}
