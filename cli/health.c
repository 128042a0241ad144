#include "cli/health.h"

#include <string.h>
#include <unistd.h>

#include "lib/json.h"
#include "lib/parse.h"
#include "lib/text.h"

enum {
    TIMEOUT_MS = 3000,
    FOR_DEFAULT_MS = 300 * 1000,
    FOR_MAX_MS = 24 * 3600 * 1000,
    HOST_NAME = 256,
};

enum { OPTION_FAIL_ON, OPTION_FOR };

int64_t health_patience_ms(int64_t for_ms, const char *name)
{
    uint64_t hash = 0xcbf29ce484222325; /* FNV-1a */
    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * 0x100000001b3;
    hash ^= hash >> 32; /* the low bits of similar names are similar */
    return for_ms + (int64_t)(hash % (uint64_t)(for_ms / 2 + 1));
}

bool health_judge(const json_t *healthz, int64_t patience_ms, char line[HEALTH_LINE_MAX])
{
    char since[TEXT_SHORT], patience[TEXT_SHORT];
    const char *status = json_string_value(json_object_get(healthz, "status"));
    if (!status || strcmp(status, "ok") != 0) {
        snprintf(line, HEALTH_LINE_MAX, "unhealthy: the sidecar says \"%.64s\"",
                 status ? status : "");
        return false;
    }
    const char *mount =
        json_string_value(json_object_get(json_object_get(healthz, "conditions"), "MountReady"));
    bool stalled = mount && strcmp(mount, "False") == 0;
    if (!stalled) {
        snprintf(line, HEALTH_LINE_MAX, "healthy");
        return true;
    }
    int64_t since_ms =
        json_integer_value(json_object_get(json_object_get(healthz, "since_ms"), "MountReady"));
    text_duration(since_ms, since);
    if (patience_ms < 0) {
        snprintf(line, HEALTH_LINE_MAX,
                 "healthy: the sidecar answers; a mount has not been ready for %s", since);
        return true;
    }
    bool healthy = since_ms < patience_ms;
    snprintf(line, HEALTH_LINE_MAX,
             "%s: a mount has not been ready for %s, this task's limit is %s",
             healthy ? "healthy" : "unhealthy", since, text_duration(patience_ms, patience));
    return healthy;
}

static int read_patience(const struct command_call *call, int64_t *ret_patience_ms)
{
    const char *fail_on = call->values[OPTION_FAIL_ON], *for_text = call->values[OPTION_FOR];
    int64_t for_ms = FOR_DEFAULT_MS;
    if (fail_on && strcmp(fail_on, "mount") != 0)
        return command_misuse(call, "--fail-on knows \"mount\", not \"%.64s\"", fail_on);
    if (for_text && !fail_on)
        return command_misuse(call, "--for means nothing without --fail-on=mount");
    if (for_text && parse_duration_ms(for_text, 0, FOR_MAX_MS, &for_ms) < 0)
        return command_misuse(
            call, "--for wants a time of at most 24h, such as 300s, not \"%.64s\"", for_text);
    char name[HOST_NAME] = "";
    gethostname(name, sizeof(name) - 1);
    *ret_patience_ms = fail_on ? health_patience_ms(for_ms, name) : -1;
    return 0;
}

/* Whatever is wrong is one line on stdout: ECS keeps that, and shows it with the container. */
int health_run(const struct command_call *call)
{
    _cleanup_client_ struct client *client = NULL;
    _cleanup_json_ json_t *root = NULL;
    char line[HEALTH_LINE_MAX];
    const char *text;
    size_t length;
    struct error err;
    int64_t patience_ms = -1;
    int code = read_patience(call, &patience_ms);
    if (code != 0)
        return code;
    int r = client_get(call->socket_path, "/healthz", TIMEOUT_MS, &client, &err);
    if (r == 0 && client_status(client) != 200)
        r = error_set(&err, EPROTO, "the sidecar answered with HTTP status %d",
                      client_status(client));
    if (r == 0)
        r = client_body(client, &text, &length, &err);
    if (r == 0)
        r = json_parse(text, length, &root, &err);
    if (r < 0) {
        fputs("unhealthy: ", stdout);
        text_put(stdout, err.text);
        fputc('\n', stdout);
        return COMMAND_REFUSED;
    }
    bool healthy = health_judge(root, patience_ms, line);
    puts(line);
    return healthy ? 0 : COMMAND_REFUSED;
}
