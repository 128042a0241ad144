#include "cli/publish.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/field.h"
#include "cli/staged_copy.h"
#include "cli/watch_view.h"
#include "lib/base64.h"
#include "lib/json.h"
#include "lib/parse.h"
#include "lib/share/layout.h"
#include "lib/text.h"

enum {
    OPTION_REPLACE,
    OPTION_MKDIR,
    OPTION_MODE,
    OPTION_KEEP,
    OPTION_MANIFEST,
    OPTION_LOCK,
    OPTION_TOKEN,
    OPTION_MOUNT,
    OPTION_TIMEOUT,
    OPTION_NO_DIGEST,
    OPTION_JSON,
};

enum { TIMEOUT_MS = 60 * 1000, ANSWER_MS = 5000 };

struct source {
    const char *argument;
    char from[PATH_MAX], to[PATH_MAX]; /* relative to the mount */
    char copy[STAGED_NAME_SIZE];       /* "": it is published in place */
};

struct publishing {
    const struct command_call *call;
    struct client *client;
    json_t *status;
    const char *mount;    /* of the destination */
    const char *task_dir; /* there; NULL: none */
    struct source *sources;
    size_t n;
    char manifest[PATH_MAX];
    int64_t timeout_ms;
    mode_t mode; /* 0: the source's */
};

/* ---- paths ---- */

/* An absolute path without links on the way; its last part need not be there, and is not followed.
 */
static int canonical(const char *path, char buf[PATH_MAX])
{
    char parent[PATH_MAX], real[PATH_MAX];
    const char *slash = strrchr(path, '/');
    int n = !slash          ? snprintf(parent, sizeof(parent), ".")
            : slash == path ? snprintf(parent, sizeof(parent), "/")
                            : snprintf(parent, sizeof(parent), "%.*s", (int)(slash - path), path);
    if (n < 0 || n >= PATH_MAX)
        return -ENAMETOOLONG;
    if (!realpath(parent, real))
        return -errno;
    n = snprintf(buf, PATH_MAX, "%s/%s", strcmp(real, "/") == 0 ? "" : real,
                 slash ? slash + 1 : path);
    return n < 0 || n >= PATH_MAX ? -ENAMETOOLONG : 0;
}

static const json_t *mount_entry(const struct publishing *p, const char *path)
{
    size_t i;
    json_t *entry;
    json_array_foreach(json_object_get(p->status, "mounts"), i, entry)
    {
        if (path ? strcmp(field_text(entry, "path"), path) == 0
                 : json_is_false(json_object_get(entry, "read_only")))
            return entry;
    }
    return NULL;
}

/* The mount and the path on it; of a relative path the mount that is asked for, or the first that
 * can be written. */
static int resolve(struct publishing *p, const char *path, const char **ret_rest)
{
    const struct command_call *call = p->call;
    const char *mount = call->values[OPTION_MOUNT];
    static char real[PATH_MAX];
    const json_t *entry = mount_entry(p, mount);
    *ret_rest = path;
    if (*path != '/') {
        if (!entry)
            return command_misuse(call, "%.1000s is none of the sidecar's mounts",
                                  mount ? mount : "there is no mount that can be written:");
        mount = field_text(entry, "path");
    } else if (watch_find_mount(p->status, path, &mount, ret_rest) < 0 &&
               (canonical(path, real) < 0 ||
                watch_find_mount(p->status, real, &mount, ret_rest) < 0)) {
        return command_misuse(call, "%.1000s lies on none of the sidecar's mounts", path);
    }
    if (p->mount && strcmp(p->mount, mount) != 0)
        return command_misuse(call, "all must go to one mount, not to %.500s and %.500s", p->mount,
                              mount);
    p->mount = mount;
    const json_t *task_dir = json_object_get(mount_entry(p, mount), "task_dir");
    p->task_dir = json_string_value(task_dir);
    return 0;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static int put_destination(struct publishing *p, struct source *source, const char *path,
                           bool is_directory)
{
    const char *rest, *name = is_directory ? base_name(source->argument) : "";
    int code = resolve(p, path, &rest);
    if (code != 0)
        return code;
    size_t length = strlen(rest);
    const char *between = is_directory && length > 0 && rest[length - 1] != '/' ? "/" : "";
    int n = snprintf(source->to, sizeof(source->to), "%s%s%s", rest, between, name);
    return n < 0 || (size_t)n >= sizeof(source->to)
               ? command_misuse(p->call, "the path of %.200s is too long", name)
               : 0;
}

/* ---- sources ---- */

/* Does it lie where it can be published from as it is? */
static bool is_in_place(const struct publishing *p, struct source *source)
{
    char real[PATH_MAX];
    const char *mount, *rest;
    if (p->call->values[OPTION_KEEP] || strcmp(source->argument, "-") == 0 ||
        canonical(source->argument, real) < 0 ||
        watch_find_mount(p->status, real, &mount, &rest) < 0 || strcmp(mount, p->mount) != 0)
        return false;
    snprintf(source->from, sizeof(source->from), "%s", rest);
    return true;
}

static int failed(const struct source *source, const struct error *err)
{
    fputs("efsctl: ", stderr);
    text_put(stderr, source->argument);
    fputs(": ", stderr);
    text_put(stderr, err->text);
    fputc('\n', stderr);
    return COMMAND_REFUSED;
}

static int open_source(const struct source *source, struct stat *ret_stat, int *ret_fd,
                       struct error *err)
{
    bool is_stdin = strcmp(source->argument, "-") == 0;
    int fd = is_stdin ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0)
                      : open(source->argument, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, ret_stat) < 0) {
        int code = errno;
        if (fd >= 0)
            close(fd);
        return error_set_errno(err, code, "it cannot be read");
    }
    if (!is_stdin && !S_ISREG(ret_stat->st_mode)) {
        close(fd);
        return error_set(err, EINVAL, "it is no regular file");
    }
    if (!S_ISREG(ret_stat->st_mode)) {
        mode_t mask = umask(0);
        umask(mask);
        ret_stat->st_mode = 0666 & ~mask;
    }
    *ret_fd = fd;
    return 0;
}

static int copy(const struct publishing *p, struct source *source)
{
    _cleanup_close_ int fd = -1;
    struct stat now = {0};
    struct error err;
    int r = open_source(source, &now, &fd, &err);
    if (r == 0 && !p->task_dir)
        r = error_set(&err, ENOENT, "this task has no directory on %s (yet) to copy it to",
                      p->mount);
    if (r == 0)
        r = staged_copy_make(fd, p->task_dir, p->mode ? p->mode : now.st_mode & 0777, source->copy,
                             &err);
    if (r < 0)
        return failed(source, &err);
    const char *rest = p->task_dir + strlen(p->mount);
    snprintf(source->from, sizeof(source->from), "%s/" LAYOUT_STAGED "/%s",
             rest + strspn(rest, "/"), source->copy);
    return 0;
}

static void remove_copies(const struct publishing *p)
{
    for (size_t i = 0; i < p->n; i++)
        if (*p->sources[i].copy)
            staged_copy_remove(p->task_dir, p->sources[i].copy);
}

/* ---- the request ---- */

static void add_path(json_t *object, const char *key, const char *path)
{
    char encoded[64];
    json_t *text = json_string(path);
    if (text) {
        json_object_set_new(object, key, text);
        return;
    }
    size_t length = strlen(path);
    _cleanup_free_ char *base64 = calloc(1, BASE64_LENGTH(length) + 1);
    if (!base64)
        return;
    base64_encode(path, length, base64);
    snprintf(encoded, sizeof(encoded), "%s_base64", key);
    json_object_set_new(object, encoded, json_string(base64));
}

static void add_options(const struct publishing *p, json_t *body, bool has_mode)
{
    const char *const *values = p->call->values;
    char mode[16];
    json_object_set_new(body, "mount", json_string(p->mount));
    json_object_set_new(body, "replace", json_boolean(values[OPTION_REPLACE]));
    json_object_set_new(body, "mkdir", json_boolean(values[OPTION_MKDIR]));
    json_object_set_new(body, "digest", json_boolean(!values[OPTION_NO_DIGEST]));
    json_object_set_new(body, "timeout_ms", json_integer(p->timeout_ms));
    snprintf(mode, sizeof(mode), "%04o", (unsigned)p->mode);
    if (has_mode)
        json_object_set_new(body, "mode", json_string(mode));
    if (values[OPTION_LOCK]) {
        const char *token = values[OPTION_TOKEN];
        json_object_set_new(body, "lock", json_string_lossy(values[OPTION_LOCK]));
        json_object_set_new(body, "token",
                            json_string_lossy(token ? token : getenv("EFS_LOCK_TOKEN")));
    }
}

static json_t *make_body(const struct publishing *p)
{
    json_t *body = json_object(), *files = json_array();
    bool in_place = false;
    for (size_t i = 0; i < p->n; i++) {
        json_t *file = *p->manifest ? json_object() : json_incref(body);
        add_path(file, "from", p->sources[i].from);
        add_path(file, "to", p->sources[i].to);
        in_place = in_place || !*p->sources[i].copy;
        if (*p->manifest)
            json_array_append(files, file);
        json_decref(file);
    }
    if (*p->manifest) {
        json_object_set(body, "files", files);
        add_path(body, "manifest", p->manifest);
    }
    json_decref(files);
    add_options(p, body, p->mode && in_place);
    return body;
}

static int exit_code(const char *word)
{
    static const struct {
        const char *word;
        int code;
    } known[] = {
        {"Exists", PUBLISH_EXISTS},
        {"OutcomeUnknown", PUBLISH_UNKNOWN},
        {"StaleToken", PUBLISH_STALE},
    };
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (strcmp(word, known[i].word) == 0)
            return known[i].code;
    return COMMAND_REFUSED;
}

static int take_answer(const struct publishing *p, struct client *client)
{
    _cleanup_json_ json_t *answer = NULL;
    const char *text;
    size_t length;
    struct error err;
    if (client_body(client, &text, &length, &err) < 0 ||
        json_parse(text, length, &answer, &err) < 0) {
        command_failed(&err);
        return PUBLISH_UNKNOWN;
    }
    if (p->call->values[OPTION_JSON])
        puts(text);
    if (json_object_get(answer, "warning")) {
        fputs("efsctl: ", stderr);
        text_put(stderr, field_text(answer, "warning"));
        fputc('\n', stderr);
    }
    return 0;
}

/* Who reached the sidecar and got no answer does not know. */
static int send(const struct publishing *p)
{
    _cleanup_client_ struct client *client = NULL;
    _cleanup_json_ json_t *body = make_body(p);
    _cleanup_free_ char *text = json_dumps(body, JSON_COMPACT);
    char word[COMMAND_CODE_SIZE];
    struct error err;
    if (!text)
        return command_misuse(p->call, "the names cannot be told to the sidecar");
    int r = client_post_json(p->call->socket_path, "/v1/publish", text, p->timeout_ms + ANSWER_MS,
                             &client, &err);
    if (r < 0) {
        command_failed(&err);
        bool refused = r == -ENOENT || r == -ECONNREFUSED || r == -EACCES || r == -EPERM;
        return refused ? COMMAND_NO_SIDECAR : PUBLISH_UNKNOWN;
    }
    return client_status(client) == 200 ? take_answer(p, client)
                                        : exit_code((command_refused(client, word), word));
}

/* ---- the command ---- */

static int read_options(struct publishing *p)
{
    const struct command_call *call = p->call;
    const char *const *values = call->values;
    const char *name = getenv("EFS_LOCK_NAME"), *timeout = values[OPTION_TIMEOUT];
    p->timeout_ms = TIMEOUT_MS;
    if (values[OPTION_MODE] && (parse_mode(values[OPTION_MODE], &p->mode) < 0 || p->mode == 0))
        return command_misuse(call, "--mode: \"%.32s\" is not octal permission bits such as 0640",
                              values[OPTION_MODE]);
    if (timeout && parse_duration_ms(timeout, 1, 3600LL * 1000, &p->timeout_ms) < 0)
        return command_misuse(call, "--timeout: \"%.32s\" is not a time such as 30s", timeout);
    if (values[OPTION_TOKEN] && !values[OPTION_LOCK])
        return command_misuse(call, "--token is one of a lock: name it with --lock");
    if (values[OPTION_LOCK] && !values[OPTION_TOKEN] &&
        (!name || strcmp(name, values[OPTION_LOCK]) != 0 || !getenv("EFS_LOCK_TOKEN")))
        return command_misuse(call, "--lock needs --token, unless efsctl lock runs the command");
    return 0;
}

static int find_files(struct publishing *p)
{
    const struct command_call *call = p->call;
    const char *manifest = call->values[OPTION_MANIFEST];
    const char *last = call->n_arguments > 0 ? call->arguments[call->n_arguments - 1] : "";
    const char *rest;
    bool is_directory = manifest || (*last && last[strlen(last) - 1] == '/');
    if (call->n_arguments < 2 || (call->n_arguments > 2 && !manifest))
        return command_misuse(call, "usage: efsctl publish [OPTIONS] SRC DEST, or --manifest=FILE "
                                    "SRC ... DIRECTORY");
    p->n = (size_t)call->n_arguments - 1;
    p->sources = calloc(p->n, sizeof(*p->sources));
    if (!p->sources)
        return command_misuse(call, "no memory");
    int code = 0;
    for (size_t i = 0; code == 0 && i < p->n; i++) {
        p->sources[i].argument = call->arguments[i];
        code = put_destination(p, &p->sources[i], last, is_directory);
    }
    if (code == 0 && manifest && (code = resolve(p, manifest, &rest)) == 0)
        snprintf(p->manifest, sizeof(p->manifest), "%s", rest);
    return code;
}

static int publish(struct publishing *p)
{
    int code = find_files(p);
    for (size_t i = 0; code == 0 && i < p->n; i++)
        if (!is_in_place(p, &p->sources[i]))
            code = copy(p, &p->sources[i]);
    if (code == 0)
        code = send(p);
    if (code != 0 && code != PUBLISH_UNKNOWN) /* then the sidecar may still use them */
        remove_copies(p);
    return code;
}

int publish_run(const struct command_call *call)
{
    struct publishing p = {.call = call};
    int code = read_options(&p);
    if (code == 0)
        code = command_get(call, "/v1/status", COMMAND_TIMEOUT_MS, &p.client, &p.status, NULL);
    if (code == 0)
        code = publish(&p);
    free(p.sources);
    json_decref(p.status);
    client_close(p.client);
    return code;
}
