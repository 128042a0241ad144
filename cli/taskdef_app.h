/*
 * taskdef_app: what a task definition says about the app and its EFS volumes, and what is wrong
 * with that; also the few questions to JSON that taskdef_add shares.
 *
 *     struct taskdef_app app = {.definition = definition, .warnings = warnings};
 *     r = taskdef_app_survey(&app, &err);     // app.mounts
 *     taskdef_app_check(&app, 30);            // before anything is added
 *     ...
 *     r = taskdef_check_room(definition, &err);   // after everything was
 *
 * Strings belong to the definition. Warnings are sentences for the user. Threads: one at a time.
 */
#ifndef CLI_TASKDEF_APP_H
#define CLI_TASKDEF_APP_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "lib/config.h"
#include "lib/error.h"

#define TASKDEF_GATE    "efs-init"
#define TASKDEF_SIDECAR "efs-sidecar"

struct taskdef_mount {
    const char *path, *volume, *file_system;
    const char *access_point; /* NULL: none */
    bool read_only;           /* in every container */
};

struct taskdef_app {
    json_t *definition, *warnings;
    size_t n;
    struct taskdef_mount mounts[CONFIG_MOUNTS_MAX]; /* one for each volume */
};

/* -EEXIST gate or sidecar are there, or two volumes at one path; -ENOENT nothing mounts EFS. */
int taskdef_app_survey(struct taskdef_app *app, struct error *err);

/* Is it a container of the app that mounts EFS? */
bool taskdef_app_uses_efs(const struct taskdef_app *app, const json_t *container);

/* after_s: the stopTimeout of what ends after the app, 0 when nothing does. */
void taskdef_app_check(struct taskdef_app *app, json_int_t after_s);

void taskdef_app_warn(struct taskdef_app *app, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* -ENOSPC the containers reserve more than the task has. */
int taskdef_check_room(const json_t *definition, struct error *err);

/* "" when it is not there or no text. */
const char *taskdef_text(const json_t *object, const char *key);

/* The object of list whose key has this value, or NULL. */
json_t *taskdef_find(const json_t *list, const char *key, const char *value);

/* The definition inside the answer of `aws ecs describe-task-definition`, or the object itself,
 * without the fields that only AWS sets. A new reference. */
json_t *taskdef_unwrap(json_t *answer);

#endif
