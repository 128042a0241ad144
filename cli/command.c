#include "cli/command.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "lib/json.h"
#include "lib/text.h"

enum { MESSAGE_MAX = 2048 };

int command_misuse(const struct command_call *call, const char *format, ...)
{
    char words[MESSAGE_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(words, sizeof(words), format, args);
    va_end(args);
    fputs("efsctl: ", stderr);
    text_put(stderr, words); /* an argument may be the name of somebody's file */
    fprintf(stderr, "; see efsctl %s --help\n", call->command->name);
    return COMMAND_MISUSE;
}

void command_say(const char *what, const struct error *err)
{
    fprintf(stderr, "efsctl%s%s: ", *what ? " " : "", what);
    text_put(stderr, err->text);
    fputc('\n', stderr);
}

int command_failed(const struct error *err)
{
    command_say("", err);
    return COMMAND_NO_SIDECAR;
}

/* {"code","message","hint"}: the sidecar's own words. */
int command_refused(struct client *client, char ret_code[COMMAND_CODE_SIZE])
{
    _cleanup_json_ json_t *root = NULL;
    const char *text, *message, *hint, *code;
    size_t length;
    struct error err;
    int r = client_body(client, &text, &length, &err);
    *ret_code = '\0';
    if (r < 0)
        return command_failed(&err);
    fputs("efsctl: ", stderr);
    if (json_parse(text, length, &root, &err) < 0 ||
        json_get_string(root, "message", MESSAGE_MAX, &message, &err) < 0) {
        fprintf(stderr, "the sidecar answered with HTTP status %d\n", client_status(client));
        return COMMAND_REFUSED;
    }
    if (json_get_string(root, "code", COMMAND_CODE_SIZE - 1, &code, &err) == 0)
        snprintf(ret_code, COMMAND_CODE_SIZE, "%s", code);
    text_put(stderr, message);
    if (json_get_string(root, "hint", MESSAGE_MAX, &hint, &err) == 0 && *hint) {
        fputs("\nefsctl: ", stderr);
        text_put(stderr, hint);
    }
    fputc('\n', stderr);
    return COMMAND_REFUSED;
}

typedef int (*ask_fn)(const char *socket_path, const char *target, int64_t timeout_ms,
                      struct client **ret_client, struct error *err);

static int ask(const struct command_call *call, ask_fn how, const char *target, int64_t timeout_ms,
               struct client **ret_client)
{
    _cleanup_client_ struct client *client = NULL;
    struct error err;
    char code[COMMAND_CODE_SIZE];
    if (how(call->socket_path, target, timeout_ms, &client, &err) < 0)
        return command_failed(&err);
    if (client_status(client) != 200)
        return command_refused(client, code);
    *ret_client = take_ptr(client);
    return 0;
}

int command_open(const struct command_call *call, const char *target, int64_t timeout_ms,
                 struct client **ret_client)
{
    return ask(call, client_get, target, timeout_ms, ret_client);
}

int command_post(const struct command_call *call, const char *target, int64_t timeout_ms,
                 struct client **ret_client)
{
    return ask(call, client_post, target, timeout_ms, ret_client);
}

int command_get(const struct command_call *call, const char *target, int64_t timeout_ms,
                struct client **ret_client, json_t **ret_root, const char **ret_text)
{
    _cleanup_client_ struct client *client = NULL;
    const char *text;
    size_t length;
    struct error err;
    int code = command_open(call, target, timeout_ms, &client);
    if (code != 0)
        return code;
    if (client_body(client, &text, &length, &err) < 0)
        return command_failed(&err);
    if (json_parse(text, length, ret_root, &err) < 0) {
        error_prefix(&err, "the sidecar's answer to %s", target);
        return command_failed(&err);
    }
    if (ret_text)
        *ret_text = text;
    *ret_client = take_ptr(client);
    return 0;
}
