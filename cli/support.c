#include "cli/support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cli/redact.h"
#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/fs.h"
#include "lib/host_identity.h"
#include "lib/json.h"
#include "lib/text.h"

enum { OPTION_OUTPUT };
enum { OPTION_LEVEL };
enum { FILE_MAX = 256 * 1024, ASK_MS = 3000 };

/* What the sidecar is asked for; what it does not answer is said in its place. */
static const char *const questions[] = {"/healthz",    "/v1/status", "/v1/config",
                                        "/v1/metrics", "/v1/locks",  "/v1/claims",
                                        "/v1/tasks",   "/v1/cache",  "/v1/log"};

/* Reading these sends nothing to a server. */
static const char *const files[] = {"/proc/self/mountstats", "/proc/self/mountinfo",
                                    "/proc/self/limits", "/proc/self/cgroup"};

static json_t *ask(const char *socket_path, const char *target)
{
    _cleanup_client_ struct client *client = NULL;
    const char *text;
    size_t length;
    struct error err;
    json_t *body = NULL;
    int r = client_get(socket_path, target, ASK_MS, &client, &err);
    if (r == 0)
        r = client_body(client, &text, &length, &err);
    if (r == 0)
        r = json_parse(text, length, &body, &err);
    return r == 0 ? body : json_pack("{s:s}", "efsctl", err.text);
}

static json_t *read_file(const char *path)
{
    _cleanup_free_ char *text = NULL;
    size_t length;
    int r = fs_read_file(AT_FDCWD, path, FILE_MAX, &text, &length);
    return r < 0 ? json_sprintf("cannot be read: %s", strerror(-r)) : json_string_lossy(text);
}

static json_t *host(void)
{
    struct utsname kernel = {0};
    struct host_identity identity = {0};
    struct error err;
    uname(&kernel);
    host_identity_read("", &identity, &err);
    return json_pack("{s:s, s:s, s:s, s:s, s:I, s:s, s:i, s:i}", "kernel", kernel.release,
                     "machine", kernel.machine, "name", identity.host_name, "boot_id",
                     identity.boot_id, "net_namespace", (json_int_t)identity.net_namespace,
                     "nfs4_unique_id", identity.nfs4_unique_id, "uid", (int)getuid(), "gid",
                     (int)getgid());
}

static json_t *collect(const char *socket_path)
{
    char when[CLOCK_TEXT];
    json_t *root = json_pack("{s:s, s:s, s:o}", "efsctl", EFS_SIDECAR_VERSION, "time",
                             clock_format(clock_wall_ms(), when), "host", host());
    json_t *sidecar = json_object(), *seen = json_object();
    for (size_t i = 0; i < sizeof(questions) / sizeof(questions[0]); i++)
        json_object_set_new(sidecar, questions[i], ask(socket_path, questions[i]));
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        json_object_set_new(seen, files[i], read_file(files[i]));
    json_object_set_new(root, "sidecar", sidecar);
    json_object_set_new(root, "files", seen);
    return root;
}

/* Only for its owner: what somebody else should not see may still be in it. */
static FILE *open_output(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    FILE *out = fd < 0 ? NULL : fdopen(fd, "w");
    if (!out && fd >= 0)
        close(fd);
    return out;
}

int support_run(const struct command_call *call)
{
    const char *path = call->values[OPTION_OUTPUT];
    _cleanup_json_ json_t *root = collect(call->socket_path);
    if (!root || redact_json(root) < 0) {
        fputs("efsctl: no memory\n", stderr);
        return COMMAND_REFUSED;
    }
    FILE *out = path ? open_output(path) : stdout;
    if (!out) {
        fprintf(stderr, "efsctl: %s cannot be written: %s\n", path, strerror(errno));
        return COMMAND_REFUSED;
    }
    int failed = json_dumpf(root, out, JSON_INDENT(1)) < 0 || fputc('\n', out) == EOF;
    if (out != stdout)
        failed |= fclose(out) != 0;
    else
        failed |= fflush(out) != 0;
    if (failed) {
        fprintf(stderr, "efsctl: it could not all be written: %s\n", strerror(errno));
        return COMMAND_REFUSED;
    }
    if (path)
        fprintf(
            stderr,
            "efsctl: %s: account numbers, keys and tokens are starred out; names of files, tasks "
            "and file systems are in it. Read it before you give it away\n",
            path);
    return 0;
}

/* ---- log ---- */

static int set_level(const struct command_call *call, const char *level)
{
    _cleanup_client_ struct client *client = NULL;
    char target[64];
    snprintf(target, sizeof(target), "/v1/log?level=%.32s", level);
    int code = command_post(call, target, COMMAND_TIMEOUT_MS, &client);
    if (code == 0)
        printf("the sidecar logs %s now, until it is started again\n", level);
    return code;
}

int log_run(const struct command_call *call)
{
    _cleanup_client_ struct client *client = NULL;
    _cleanup_json_ json_t *root = NULL;
    const char *text;
    size_t i;
    json_t *line;
    if (call->values[OPTION_LEVEL])
        return set_level(call, call->values[OPTION_LEVEL]);
    int code = command_get(call, "/v1/log", COMMAND_TIMEOUT_MS, &client, &root, &text);
    if (code != 0)
        return code;
    json_array_foreach(json_object_get(root, "lines"), i, line)
    {
        if (json_is_string(line)) {
            text_put(stdout, json_string_value(line));
            puts("");
        }
    }
    return 0;
}
