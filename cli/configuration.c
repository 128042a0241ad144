#include "cli/configuration.h"

#include "lib/json.h"
#include "lib/text.h"

/* What GET /v1/config answers, a line per setting. */
static void print_settings(json_t *config)
{
    const char *name;
    json_t *entry;
    json_object_foreach(config, name, entry)
    {
        const char *value = json_string_value(json_object_get(entry, "value"));
        const char *source = json_string_value(json_object_get(entry, "source"));
        text_column(stdout, 22, name);
        text_column(stdout, 11, source ? source : "-");
        text_put(stdout, value ? value : "-");
        putchar('\n');
    }
}

int configuration_run(const struct command_call *call)
{
    _cleanup_client_ struct client *client = NULL;
    _cleanup_json_ json_t *root = NULL;
    const char *text;
    int code = command_get(call, "/v1/config", COMMAND_TIMEOUT_MS, &client, &root, &text);
    if (code != 0)
        return code;
    if (call->values[0])
        puts(text);
    else
        print_settings(root);
    return 0;
}
