#include "cli/watch.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/response.h"
#include "lib/json.h"
#include "lib/text.h"

enum { IDLE_MS = 45 * 1000 }; /* the sidecar sends a line every 15 s */

enum { OPTION_JSON, OPTION_TEXT, OPTION_MOUNT, OPTION_SINCE };

struct watch {
    bool json;
    char mount[256]; /* of the first line that had one */
    bool several_mounts;
    char cursor[128]; /* of the last line that had one */
};

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

/* The whole path where the mount is known, else the path beneath it. */
static void put_path(FILE *out, const char *mount, const char *path, bool is_dir)
{
    text_put(out, mount);
    if (*mount && *path && strcmp(mount, "/") != 0)
        fputc('/', out);
    text_put(out, *mount || *path ? path : ".");
    if (is_dir && *path)
        fputc('/', out);
}

void watch_print(const json_t *change, const char *time_of_day, FILE *out)
{
    char size[TEXT_SHORT];
    const char *op = json_object_get(change, "ready") ? "ready" : text_of(change, "op");
    const char *mount = text_of(change, "mount"), *from = text_of(change, "from");
    const char *observer = text_of(change, "observer");
    json_t *bytes = json_object_get(change, "size");
    bool is_dir = json_is_true(json_object_get(change, "dir"));
    fprintf(out, "%s ", time_of_day);
    text_column(out, 7, op);
    if (*from) {
        put_path(out, mount, from, is_dir);
        fputs(" -> ", out);
    }
    put_path(out, mount, text_of(change, "path"), is_dir);
    if (strcmp(op, "resync") == 0) {
        fputs("  look again here: ", out);
        text_put(out, text_of(change, "reason"));
    } else if (json_is_integer(bytes) && !is_dir) {
        fprintf(out, "  %s", text_size(json_integer_value(bytes), size));
    }
    if (*observer) {
        fputs("  by ", out);
        text_put(out, observer);
    }
    fputc('\n', out);
}

int watch_find_mount(const json_t *status, const char *path, const char **ret_mount,
                     const char **ret_rest)
{
    const char *found = NULL;
    size_t i, best = 0;
    json_t *entry;
    json_array_foreach(json_object_get(status, "mounts"), i, entry)
    {
        const char *mount = text_of(entry, "path");
        size_t length = strcmp(mount, "/") == 0 ? 0 : strlen(mount);
        if (!*mount || length < best || strncmp(path, mount, length) != 0 ||
            (path[length] && path[length] != '/'))
            continue;
        best = length;
        found = mount;
    }
    if (!found)
        return -ENOENT;
    *ret_mount = found;
    *ret_rest = path + best + strspn(path + best, "/");
    return 0;
}

/* An absolute PATH is asked for as its mount and the rest. */
static int add_path(const struct command_call *call, char *target, size_t size)
{
    _cleanup_client_ struct client *client = NULL;
    _cleanup_json_ json_t *status = NULL;
    const char *path = call->n_arguments > 0 ? call->arguments[0] : "";
    const char *mount = call->values[OPTION_MOUNT];
    if (*path == '/' && mount)
        return command_misuse(call, "PATH is relative to the mount when --mount is given");
    if (*path == '/') {
        int code = command_get(call, "/v1/status", COMMAND_TIMEOUT_MS, &client, &status, NULL);
        if (code != 0)
            return code;
        if (watch_find_mount(status, path, &mount, &path) < 0)
            return command_misuse(call, "%.1000s lies on none of the sidecar's mounts", path);
    }
    size_t length = strlen(path);
    while (length > 0 && path[length - 1] == '/')
        length--;
    _cleanup_free_ char *prefix = strndup(path, length);
    if (!prefix || (mount && response_add_query(target, size, "mount", mount) < 0) ||
        (*prefix && response_add_query(target, size, "path", prefix) < 0))
        return command_misuse(call, "PATH is too long");
    return 0;
}

/* Where to go on: each mount has its own cursors. */
static void remember(struct watch *watch, const json_t *change)
{
    const char *mount = text_of(change, "mount"), *cursor = text_of(change, "cursor");
    if (!*watch->mount)
        snprintf(watch->mount, sizeof(watch->mount), "%s", mount);
    else if (strncmp(watch->mount, mount, sizeof(watch->mount) - 1) != 0)
        watch->several_mounts = true;
    if (*cursor)
        snprintf(watch->cursor, sizeof(watch->cursor), "%s", cursor);
}

/* One line of the stream. false: it is not what the sidecar sends. */
static bool show(struct watch *watch, const char *line, struct error *err)
{
    _cleanup_json_ json_t *change = NULL;
    if (json_parse(line, strlen(line), &change, err) < 0) {
        error_prefix(err, "a line of the sidecar's stream");
        return false;
    }
    if (json_object_get(change, "keepalive"))
        return true;
    remember(watch, change);
    if (watch->json) {
        puts(line);
        return true;
    }
    char time_of_day[16];
    struct tm tm;
    time_t now = time(NULL);
    strftime(time_of_day, sizeof(time_of_day), "%H:%M:%S", localtime_r(&now, &tm));
    watch_print(change, time_of_day, stdout);
    return true;
}

int watch_run(const struct command_call *call)
{
    _cleanup_client_ struct client *client = NULL;
    struct watch watch = {
        .json = call->values[OPTION_JSON] || (!call->values[OPTION_TEXT] && !isatty(STDOUT_FILENO)),
    };
    char target[CLIENT_TARGET_MAX] = "/v1/changes";
    const char *since = call->values[OPTION_SINCE], *line;
    struct error err;
    if (call->values[OPTION_JSON] && call->values[OPTION_TEXT])
        return command_misuse(call, "--json and --text exclude each other");
    int code = add_path(call, target, sizeof(target));
    if (code != 0)
        return code;
    if (since && response_add_query(target, sizeof(target), "since", since) < 0)
        return command_misuse(call, "--since is too long");
    code = command_open(call, target, COMMAND_TIMEOUT_MS, &client);
    if (code != 0)
        return code;
    setlinebuf(stdout);
    int r;
    while ((r = client_line(client, IDLE_MS, &line, &err)) > 0) {
        if (!show(&watch, line, &err)) {
            r = -EPROTO;
            break;
        }
        if (ferror(stdout))
            return 0; /* main() says so */
    }
    if (r == 0)
        error_set(&err, EPIPE, "the sidecar on %s ended the stream", call->socket_path);
    code = command_failed(&err);
    if (*watch.cursor && !watch.several_mounts)
        fprintf(stderr, "efsctl: go on from there with --since=%s\n", watch.cursor);
    return code;
}
