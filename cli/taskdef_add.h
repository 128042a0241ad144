/*
 * taskdef_add: gate and sidecar for the task definition of an app, as task-def/template.json has
 * them. The app's containers that mount EFS get the volumes of the task and depend on both, so that
 * they start last and stop first; gate and sidecar get the same EFS mounts under the same paths.
 *
 *     _cleanup_json_ json_t *warnings = json_array();
 *     r = taskdef_add(definition, &options, warnings, &err);    // definition is changed in place
 *
 * What ECS would refuse, or what would not work at all, is an error, and definition is then half
 * done; what it takes but is probably not meant is a sentence in warnings. Threads: safe for
 * different definitions. Errors: -errno and words that name container, volume or field.
 */
#ifndef CLI_TASKDEF_ADD_H
#define CLI_TASKDEF_ADD_H

#include <jansson.h>
#include <stdbool.h>

#include "lib/error.h"

struct taskdef_options {
    const char *image;   /* of efs-sidecar */
    const char *profile; /* a key of the template's profiles */
    const char *state;   /* access point of the state directories; NULL: they lie on the mounts */
    const char *user;    /* UID:GID; NULL: the template's */
    const char *cluster; /* dimensions of the metrics; NULL: none */
    const char *service; /* NULL: the family */
    bool exec;           /* volumes for the agent of ECS Exec */
};

extern const char taskdef_template[];

int taskdef_add(json_t *definition, const struct taskdef_options *options, json_t *warnings,
                struct error *err);

#endif
