#include "sidecar/api_publish.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"
#include "sidecar/locks.h"
#include "sidecar/mounts.h"
#include "sidecar/publish_set.h"

#define USAGE                                                                                      \
    "POST /v1/publish {\"from\":\"tasks/...\",\"to\":\"...\",\"replace\":bool,\"mkdir\":bool,"     \
    "\"lock\":NAME,\"token\":G.N}"

/* A request until its publish ends. */
struct waiter {
    struct http_stream *http;
    struct publish_set *set;
};

/* What an error is for a client. */
static const struct {
    int code, status;
    const char *name, *hint;
} answers[] = {
    {EEXIST, 409, "Exists", "replace what is there with \"replace\":true (efsctl: --replace)"},
    {ESTALE, 409, "StaleToken", "take the lock again, and look whether it is still to be done"},
    {EINVAL, 400, "BadRequest", USAGE},
    {ELOOP, 400, "BadRequest", NULL},
    {EXDEV, 400, "BadRequest", NULL},
    {EISDIR, 400, "BadRequest", NULL},
    {ENOTDIR, 400, "BadRequest", NULL},
    {ENAMETOOLONG, 400, "BadRequest", "a name can have 255 bytes"},
    {EACCES, 403, "Forbidden", "let the sidecar's user or group (state.gid) have it"},
    {EPERM, 403, "Forbidden", "let the sidecar's user or group (state.gid) have it"},
    {ENOENT, 404, "NotFound",
     "what is published has to be there; missing directories on the way are made with "
     "\"mkdir\":true (efsctl: --mkdir)"},
    {EBUSY, 409, "StillWritten", NULL},
    {EAGAIN, 409, "NotReady", "condition MountReady in GET /v1/status says why"},
    {ESHUTDOWN, 409, "NotReady", "the task is ending"},
    {EMLINK, 409, "TooManyLinks", NULL},
    {ENOBUFS, 429, "TooManyRequests", NULL},
    {EDQUOT, 503, "NoSpace", "a limit of the file system or a quota is reached"},
    {ENOSPC, 503, "NoSpace", "the file system is full"},
    {EROFS, 503, "ReadOnly", "the mount is read-only, or the role lacks ClientWrite"},
};

static void refuse(struct http_request *request, const struct error *err)
{
    size_t i = 0;
    while (i < ARRAY_LEN(answers) && answers[i].code != err->code)
        i++;
    if (i < ARRAY_LEN(answers))
        http_refuse(request, answers[i].status, answers[i].name, answers[i].hint, err->text);
    else
        http_error(request, 503, NULL, "%s", err->text);
}

static void on_ended(void *arg, struct publish_set *set, enum publish_end end,
                     const struct error *err)
{
    struct waiter *waiter = arg;
    struct http_request *request = http_deferred(waiter->http);
    if (end == PUBLISH_DONE)
        http_reply_json(request, publish_set_json(set));
    else if (end == PUBLISH_UNKNOWN)
        http_refuse(request, 503, "OutcomeUnknown",
                    "look whether it is there before it is published again", err->text);
    else
        refuse(request, err);
    free(waiter);
}

static void on_drained(void *arg) {}

static void on_closed(void *arg)
{
    struct waiter *waiter = arg;
    publish_set_abandon(waiter->set);
    free(waiter);
}

/* The publisher of that mount; of the first that has one when it is NULL. */
static int find_publisher(struct mounts *mounts, const char *mount, size_t *ret_i,
                          struct error *err)
{
    for (size_t i = 0; i < mounts_count(mounts); i++)
        if (mounts_publisher(mounts, i) && (!mount || strcmp(mounts_path(mounts, i), mount) == 0)) {
            *ret_i = i;
            return 0;
        }
    return error_set(err, EINVAL,
                     "nothing can be published on %s: the profile must be coordinate or cache, and "
                     "the mount one that can be written",
                     mount ? mount : "any mount");
}

static int find_hold(struct locks *locks, const struct publish_body *body, uint64_t *ret_id,
                     struct error *err)
{
    struct lock_hold *hold = NULL;
    if (!body->lock && !body->hold_id)
        return 0;
    if (locks)
        hold = body->lock ? locks_find_token(locks, body->lock, &body->token)
                          : locks_find_hold(locks, body->hold_id);
    if (!hold || !lock_hold_is_usable(hold))
        return error_set(err, ESTALE, "no client of this sidecar has lock \"%s\" by this token",
                         body->lock ? body->lock : "(hold)");
    *ret_id = lock_hold_id(hold);
    return 0;
}

void api_publish_serve(const struct api_sources *from, struct http_request *request)
{
    static const struct http_stream_ops ops = {.drained = on_drained, .closed = on_closed};
    _cleanup_publish_body_ struct publish_body body = {0};
    struct error err = {0};
    uint64_t hold_id = 0;
    size_t i = 0;
    int r = publish_body_parse(request->body, request->head.body_bytes, &body, &err);
    if (r == 0)
        r = find_publisher(from->mounts, body.mount, &i, &err);
    if (r == 0)
        r = find_hold(mounts_locks(from->mounts, i), &body, &hold_id, &err);
    if (r == 0 && http_stream_refused(request))
        return;
    struct waiter *waiter = r == 0 ? calloc(1, sizeof(*waiter)) : NULL;
    if (r == 0 && !waiter)
        r = error_set(&err, ENOMEM, "no memory");
    if (r == 0)
        r = publish_set_start(mounts_publisher(from->mounts, i), &body, hold_id, on_ended, waiter,
                              &waiter->set, &err);
    if (r < 0) {
        free(waiter);
        refuse(request, &err);
        return;
    }
    http_defer(request, &ops, waiter, &waiter->http);
}
