#include "cli/taskdef.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/taskdef_add.h"
#include "cli/taskdef_app.h"
#include "lib/json.h"

/* As in the table of commands. */
enum {
    OPTION_IMAGE,
    OPTION_PROFILE,
    OPTION_STATE,
    OPTION_USER,
    OPTION_CLUSTER,
    OPTION_SERVICE,
    OPTION_EXEC,
};

enum { FILE_MAX = 1024 * 1024 };

static int read_definition(const char *path, json_t **ret_definition, struct error *err)
{
    _cleanup_free_ char *text = malloc(FILE_MAX + 1);
    _cleanup_json_ json_t *answer = NULL;
    bool is_stdin = strcmp(path, "-") == 0;
    FILE *file = is_stdin ? stdin : fopen(path, "re");
    if (!file || !text)
        return error_set_errno(err, errno, "it cannot be opened");
    size_t length = fread(text, 1, FILE_MAX + 1, file);
    bool failed = ferror(file);
    if (!is_stdin)
        fclose(file);
    if (failed || length > FILE_MAX)
        return error_set(err, failed ? EIO : EFBIG,
                         failed ? "it cannot be read" : "it is larger than 1 MiB");
    int r = json_parse(text, length, &answer, err);
    if (r == 0)
        *ret_definition = taskdef_unwrap(answer);
    return r;
}

int taskdef_run(const struct command_call *call)
{
    const char *profile = call->values[OPTION_PROFILE];
    const struct taskdef_options options = {
        .image = call->values[OPTION_IMAGE],
        .profile = profile ? profile : "coordinate",
        .state = call->values[OPTION_STATE],
        .user = call->values[OPTION_USER],
        .cluster = call->values[OPTION_CLUSTER],
        .service = call->values[OPTION_SERVICE],
        .exec = call->values[OPTION_EXEC] != NULL,
    };
    _cleanup_json_ json_t *definition = NULL, *warnings = json_array();
    struct error err = {0};
    size_t i;
    const json_t *warning;
    if (call->n_arguments != 2 || strcmp(call->arguments[0], "add") != 0)
        return command_misuse(call, "it wants add, and a file or -");
    if (!options.image)
        return command_misuse(call, "--image is missing: that of efs-sidecar in your registry");
    int r = read_definition(call->arguments[1], &definition, &err);
    if (r == 0)
        r = taskdef_add(definition, &options, warnings, &err);
    json_array_foreach(warnings, i, warning)
        fprintf(stderr, "efsctl taskdef: warning: %s\n", json_string_value(warning));
    if (r < 0) {
        error_prefix(&err, "%s", call->arguments[1]);
        command_say("taskdef", &err);
        return COMMAND_REFUSED;
    }
    json_dumpf(definition, stdout, JSON_INDENT(2));
    putchar('\n');
    return 0;
}
