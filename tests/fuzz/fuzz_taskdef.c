/* A task definition, into which gate and sidecar are put: what came out is not taken again. */
#include "cli/taskdef_add.h"
#include "lib/error.h"
#include "lib/json.h"
#include "tests/fuzz/driver.h"

static const struct taskdef_options options = {
    .image = "efs-sidecar:1", .profile = "coordinate", .exec = true};

int fuzz_parse(const char *text, size_t length)
{
    _cleanup_json_ json_t *definition = NULL, *warnings = json_array();
    struct error err = {0};
    if (json_parse(text, length, &definition, &err) < 0)
        return -1;
    int r = taskdef_add(definition, &options, warnings, &err);
    MUST((r < 0) == (err.text[0] != '\0'));
    if (r < 0)
        return -1;
    MUST(taskdef_add(definition, &options, warnings, &err) < 0);
    return 0;
}
