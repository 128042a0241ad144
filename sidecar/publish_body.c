#include "sidecar/publish_body.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/json_path.h"
#include "lib/parse.h"
#include "lib/share/lock_name.h"

enum {
    TIMEOUT_USUAL_MS = 60 * 1000,
    TIMEOUT_MOST_MS = 3600 * 1000,
    MODE_TEXT_MAX = 8,
};

static int get_names(const json_t *object, struct publish_names *ret_names, struct error *err)
{
    int r = json_path_get(object, "from", &ret_names->from, err);
    return r == 0 ? json_path_get(object, "to", &ret_names->to, err) : r;
}

static int get_files(const json_t *root, struct publish_body *body, struct error *err)
{
    static const char *const keys[] = {"from", "from_base64", "to", "to_base64", NULL};
    const json_t *list = json_object_get(root, "files");
    size_t n = list ? json_array_size(list) : 1;
    if (list && (!json_is_array(list) || n == 0 || n > PUBLISH_FILES_MAX))
        return error_set(err, EINVAL, "files: it must be a list of 1 to %d files",
                         PUBLISH_FILES_MAX);
    if (list && (json_object_get(root, "from") || json_object_get(root, "to")))
        return error_set(err, EINVAL, "files: give them there, or one as from and to");
    body->files = calloc(n, sizeof(*body->files));
    if (!body->files)
        return error_set(err, ENOMEM, "no memory");
    body->n = n;
    int r = list ? 0 : get_names(root, &body->files[0], err);
    for (size_t i = 0; r == 0 && list && i < n; i++) {
        const json_t *entry = json_array_get(list, i);
        r = json_is_object(entry) ? json_only_keys(entry, keys, err)
                                  : error_set(err, EINVAL, "it is no object");
        if (r == 0)
            r = get_names(entry, &body->files[i], err);
        if (r < 0)
            error_prefix(err, "files: number %zu", i + 1);
    }
    return r;
}

/* A field that may be missing: then it is left as it is. */
static int optional(int r)
{
    return r == -ENOENT ? 0 : r;
}

static int get_mode(const json_t *root, mode_t *ret_mode, struct error *err)
{
    const char *text;
    struct error why;
    int r = json_get_string(root, "mode", MODE_TEXT_MAX, &text, &why);
    if (r == -ENOENT)
        return 0;
    if (r == 0 && parse_mode(text, ret_mode) == 0 && *ret_mode > 0)
        return 0;
    return error_set(err, EINVAL, "mode: it must be octal permission bits such as \"0640\"");
}

static int get_hold(const json_t *root, uint64_t *ret_id, struct error *err)
{
    const char *text;
    char *end;
    struct error why;
    int r = json_get_string(root, "hold", 16, &text, &why);
    if (r == -ENOENT)
        return 0;
    if (r < 0 || strlen(text) != 16 || strspn(text, "0123456789abcdef") != 16)
        return error_set(err, EINVAL, "hold: it must be what the event \"granted\" said");
    *ret_id = strtoull(text, &end, 16);
    return *ret_id ? 0 : error_set(err, EINVAL, "hold: there is no such one");
}

static int get_lock(const json_t *root, struct publish_body *body, struct error *err)
{
    const char *token;
    struct error why;
    int r = optional(json_get_string(root, "lock", LOCK_NAME_MAX, &body->lock, err));
    if (r == 0)
        r = get_hold(root, &body->hold_id, err);
    if (r < 0)
        return r;
    int found = json_get_string(root, "token", LOCK_TOKEN_TEXT - 1, &token, &why);
    if (found == -ENOENT && !body->lock)
        return 0;
    if (body->hold_id || !body->lock || found < 0)
        return error_set(err, EINVAL,
                         "token: a publish under a lock needs lock and token, as "
                         "EFS_LOCK_NAME and EFS_LOCK_TOKEN say, or hold alone");
    if (lock_token_parse(token, &body->token) < 0)
        return error_set(err, EINVAL, "token: \"%.64s\" is not GENERATION.N", token);
    return lock_name_check(body->lock, err);
}

static int get_options(const json_t *root, struct publish_body *body, struct error *err)
{
    int r = optional(json_get_bool(root, "replace", &body->replace, err));
    if (r == 0)
        r = optional(json_get_bool(root, "mkdir", &body->mkdir, err));
    if (r == 0)
        r = optional(json_get_bool(root, "digest", &body->digest, err));
    if (r == 0)
        r = optional(json_get_i64(root, "timeout_ms", 1, TIMEOUT_MOST_MS, &body->timeout_ms, err));
    if (r == 0)
        r = optional(json_get_string(root, "mount", PATH_MAX - 1, &body->mount, err));
    if (r == 0)
        r = get_mode(root, &body->mode, err);
    return r;
}

int publish_body_parse(const char *text, size_t length, struct publish_body *ret_body,
                       struct error *err)
{
    static const char *const keys[] = {
        "mount",  "from",       "from_base64", "to",    "to_base64", "replace",  "mkdir",
        "digest", "mode",       "lock",        "token", "hold",      "manifest", "manifest_base64",
        "files",  "timeout_ms", NULL};
    _cleanup_publish_body_ struct publish_body body = {.digest = true,
                                                       .timeout_ms = TIMEOUT_USUAL_MS};
    int r = json_parse(text, length, &body.root, err);
    if (r == 0)
        r = json_only_keys(body.root, keys, err);
    if (r == 0)
        r = get_files(body.root, &body, err);
    if (r == 0)
        r = optional(json_path_get(body.root, "manifest", &body.manifest, err));
    if (r == 0)
        r = get_options(body.root, &body, err);
    if (r == 0)
        r = get_lock(body.root, &body, err);
    if (r < 0)
        return r == -ENOMEM ? r : -EINVAL;
    *ret_body = body;
    body = (struct publish_body){0};
    return 0;
}

void publish_body_release(struct publish_body *body)
{
    for (size_t i = 0; i < body->n; i++) {
        free(body->files[i].from);
        free(body->files[i].to);
    }
    free(body->files);
    free(body->manifest);
    json_decref(body->root);
}
