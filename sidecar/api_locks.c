#include "sidecar/api_locks.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/json.h"
#include "lib/parse.h"
#include "lib/share/lock_name.h"
#include "sidecar/api_lock_list.h"
#include "sidecar/locks.h"
#include "sidecar/mounts.h"

#define LOCKS_PATH "/v1/locks"
#define USAGE      "POST /v1/locks/NAME?wait_ms=N&purpose=TEXT&mount=/PATH&once=1"

enum {
    PENDING_MAX = 64 * 1024, /* of a client that does not read: what is not vital is left out */
    WAIT_MOST_MS = 20 * 24 * 3600 * 1000,
    TARGET_MAX = 3 * LOCK_NAME_MAX + 16,
    EXIT_STATUS_MAX = 255,
};

/* A client that has or wants a lock. */
struct stream {
    struct http_stream *http; /* NULL: the connection is gone, the client's word was taken */
    struct lock_hold *hold;
    struct releaser *releaser;
};

/* A request that gives a lock back, until that is done. */
struct releaser {
    struct http_stream *http;
    struct stream *of;
};

struct api_locks {
    struct api_sources from;
};

/* ---- lines ---- */

static void send_line(struct stream *stream, json_t *line)
{
    http_stream_write_json(stream->http, line);
}

/* ---- what a lock says ---- */

static bool is_slow(const struct stream *stream)
{
    return !stream->http || http_stream_pending(stream->http) > PENDING_MAX;
}

static void on_waiting(void *arg, unsigned position, const struct lock_record *holder)
{
    if (!is_slow(arg))
        send_line(arg, json_pack("{s:s, s:i, s:o}", "event", "waiting", "position", (int)position,
                                 "holder", api_lock_holder_json(holder)));
}

static void on_granted(void *arg, const struct lock_token *token, int64_t valid_until_ms)
{
    struct stream *stream = arg;
    char text[LOCK_TOKEN_TEXT], id[17];
    snprintf(id, sizeof(id), "%016" PRIx64, lock_hold_id(stream->hold));
    send_line(stream, json_pack("{s:s, s:s, s:s, s:I, s:I}", "event", "granted", "hold", id,
                                "token", lock_token_format(token, text), "valid_until_ms",
                                (json_int_t)valid_until_ms, "now_ms", (json_int_t)clock_now_ms()));
}

static void on_valid(void *arg, int64_t valid_until_ms)
{
    if (!is_slow(arg))
        send_line(arg, json_pack("{s:s, s:I}", "event", "valid", "valid_until_ms",
                                 (json_int_t)valid_until_ms));
}

static void on_lost(void *arg, const char *why, int64_t valid_until_ms)
{
    send_line(arg, json_pack("{s:s, s:s, s:I}", "event", "lost", "reason", why, "valid_until_ms",
                             (json_int_t)valid_until_ms));
}

static void answer_releaser(const struct releaser *releaser, bool released, const struct error *err)
{
    static const char yes[] = "{\"released\":true}";
    struct http_request *request = http_deferred(releaser->http);
    if (released)
        http_reply(request, 200, "application/json", yes, strlen(yes));
    else
        http_error(request, 410, "who takes it next waits until its time is up",
                   "the lock was lost before it was given back: %s",
                   err ? err->text : "the sidecar is ending");
}

static void on_ended(void *arg, enum lock_end end, uint32_t exit_status, const struct error *err)
{
    struct stream *stream = arg;
    static const char *const names[] = {
        [LOCK_END_RELEASED] = "released", [LOCK_END_LOST] = "released",
        [LOCK_END_TIMEOUT] = "timeout",   [LOCK_END_DONE] = "done",
        [LOCK_END_ERROR] = "error",
    };
    json_t *line = json_pack("{s:s}", "event", names[end]);
    if (line && end == LOCK_END_DONE)
        json_object_set_new(line, "exit_status", json_integer(exit_status));
    if (line && end == LOCK_END_ERROR)
        json_object_set_new(line, "message",
                            json_string_lossy(err ? err->text : "the sidecar is ending"));
    send_line(stream, line);
    if (stream->releaser) {
        answer_releaser(stream->releaser, end == LOCK_END_RELEASED, err);
        free(stream->releaser);
    }
    if (stream->http)
        http_stream_end(stream->http);
    free(stream);
}

static const struct lock_client_ops client_ops = {
    .waiting = on_waiting,
    .granted = on_granted,
    .valid = on_valid,
    .lost = on_lost,
    .ended = on_ended,
};

/* ---- connections ---- */

static void on_drained(void *arg) {}

static void on_closed(void *arg)
{
    struct stream *stream = arg;
    stream->http = NULL;
    if (lock_hold_is_released(stream->hold))
        return; /* its word was taken: the end comes */
    lock_hold_abandon(stream->hold);
    free(stream);
}

static void on_releaser_closed(void *arg)
{
    struct releaser *releaser = arg;
    releaser->of->releaser = NULL;
    free(releaser);
}

/* ---- requests ---- */

struct target {
    char name[TARGET_MAX + 1];
    bool release;
};

/* What follows "/v1/locks/". */
static int parse_target(const char *path, struct target *ret_target, struct error *err)
{
    const char *name = path + strlen(LOCKS_PATH "/"), *slash = strchr(name, '/');
    size_t length = slash ? (size_t)(slash - name) : strlen(name);
    if (slash && strcmp(slash, "/release") != 0)
        return error_set(err, EINVAL,
                         "a \"/\" in the name of a lock has to be written as %%2F, not as in "
                         "\"%.128s\"",
                         name);
    if (length > TARGET_MAX)
        return error_set(err, EINVAL, "the name of a lock can have %d bytes", LOCK_NAME_MAX);
    memcpy(ret_target->name, name, length);
    ret_target->name[length] = '\0';
    ret_target->release = slash != NULL;
    return http_path_decode(ret_target->name, err);
}

/* The locks of that mount; of the first that has some when it is NULL. */
static struct locks *find_locks(const struct api_locks *api, const char *mount,
                                const char **ret_mount, struct error *err)
{
    struct mounts *mounts = api->from.mounts;
    for (size_t i = 0; i < mounts_count(mounts); i++) {
        struct locks *locks = mounts_locks(mounts, i);
        if (!locks || (mount && strcmp(mounts_path(mounts, i), mount) != 0))
            continue;
        *ret_mount = mounts_path(mounts, i);
        return locks;
    }
    error_set(err, ENOENT,
              "%s has no locks: the profile must be coordinate or cache, and the "
              "mount one that can be written or have a state.mount",
              mount ? mount : "no mount");
    return NULL;
}

static int parse_request(const struct http_query *query, const char *name,
                         struct lock_request *ret_request, struct error *err)
{
    const char *purpose = http_query_get(query, "purpose");
    struct lock_request request = {
        .name = name, .purpose = purpose ? purpose : "", .deadline_ms = CLOCK_NEVER};
    int64_t wait_ms = -1;
    int r = http_query_i64(query, "wait_ms", 0, WAIT_MOST_MS, &wait_ms, err);
    if (r == 0)
        r = http_query_bool(query, "once", &request.once, err);
    if (r < 0)
        return r;
    if (wait_ms >= 0)
        request.deadline_ms = clock_now_ms() + wait_ms;
    *ret_request = request;
    return 0;
}

static void serve_request(struct api_locks *api, struct http_request *request, const char *name)
{
    static const char *const names[] = {"wait_ms", "purpose", "mount", "once", NULL};
    static const struct http_stream_ops ops = {.drained = on_drained, .closed = on_closed};
    struct http_query query;
    struct lock_request wanted;
    struct error err = {0};
    const char *mount = NULL;
    struct locks *locks = NULL;
    int r = http_query_parse(request->head.query, names, &query, &err);
    if (r == 0)
        r = parse_request(&query, name, &wanted, &err);
    if (r == 0 && !(locks = find_locks(api, http_query_get(&query, "mount"), &mount, &err)))
        r = -ENOENT;
    if (r == 0 && http_stream_refused(request))
        return;
    _cleanup_free_ struct stream *stream = calloc(1, sizeof(*stream));
    if (r == 0 && !stream)
        r = error_set(&err, ENOMEM, "no memory");
    if (r == 0)
        r = locks_request(locks, &wanted, &client_ops, stream, &stream->hold, &err);
    if (r < 0) {
        api_refuse(request, r, USAGE, "GET /v1/locks lists them", &err);
        return;
    }
    struct stream *kept = take_ptr(stream); /* belongs to the connection and the hold now */
    http_stream_begin(request, "application/x-ndjson", &ops, kept, &kept->http);
}

static struct lock_hold *find_hold(const struct api_locks *api, const char *id)
{
    struct mounts *mounts = api->from.mounts;
    char *end;
    if (!id || strlen(id) != 16 || strspn(id, "0123456789abcdef") != 16)
        return NULL;
    uint64_t number = strtoull(id, &end, 16);
    for (size_t i = 0; i < mounts_count(mounts); i++) {
        struct locks *locks = mounts_locks(mounts, i);
        struct lock_hold *hold = locks ? locks_find_hold(locks, number) : NULL;
        if (hold)
            return hold;
    }
    return NULL;
}

static void serve_release(struct api_locks *api, struct http_request *request, const char *name)
{
    static const char *const names[] = {"hold", "done", "exit_status", NULL};
    static const struct http_stream_ops ops = {.drained = on_drained, .closed = on_releaser_closed};
    struct http_query query;
    struct error err = {0};
    bool done = false;
    int64_t exit_status = 0;
    int r = http_query_parse(request->head.query, names, &query, &err);
    if (r == 0)
        r = http_query_bool(&query, "done", &done, &err);
    if (r == 0)
        r = http_query_i64(&query, "exit_status", 0, EXIT_STATUS_MAX, &exit_status, &err);
    if (r < 0) {
        http_error(request, 400, "POST /v1/locks/NAME/release?hold=HEX&done=1&exit_status=N", "%s",
                   err.text);
        return;
    }
    struct lock_hold *hold = find_hold(api, http_query_get(&query, "hold"));
    struct stream *stream = hold ? lock_hold_arg(hold) : NULL;
    if (hold && !stream) { /* the connection broke before the word came */
        static const char accepted[] = "{\"released\":false,\"accepted\":true}";
        lock_hold_release(hold, done, (uint32_t)exit_status);
        http_reply(request, 200, "application/json", accepted, strlen(accepted));
        return;
    }
    if (hold && lock_hold_is_lost(hold)) {
        lock_hold_release(hold, false, 0);
        http_error(request, 410, NULL, "lock \"%.200s\" was lost before it was given back", name);
        return;
    }
    if (!hold || stream->releaser) {
        http_error(request, 404, "hold is what the event \"granted\" said",
                   "nobody holds lock \"%.200s\" by that word any more", name);
        return;
    }
    struct releaser *releaser = calloc(1, sizeof(*releaser));
    if (!releaser) {
        http_error(request, 503, NULL, "no memory");
        return;
    }
    releaser->of = stream;
    stream->releaser = releaser;
    http_defer(request, &ops, releaser, &releaser->http);
    lock_hold_release(hold, done, (uint32_t)exit_status);
}

static void serve_look(struct api_locks *api, struct http_request *request, const char *name)
{
    static const char *const names[] = {"mount", NULL};
    struct http_query query;
    struct error err = {0};
    const char *mount = NULL;
    struct locks *locks = NULL;
    int r = http_query_parse(request->head.query, names, &query, &err);
    if (r == 0 && !(locks = find_locks(api, http_query_get(&query, "mount"), &mount, &err)))
        r = -ENOENT;
    if (r == 0)
        r = api_lock_look_serve(locks, mount, name, request, &err);
    if (r < 0)
        api_refuse(request, r, USAGE, "GET /v1/locks lists them", &err);
}

void api_locks_serve(struct api_locks *api, struct http_request *request)
{
    const struct http_head *head = &request->head;
    struct target target = {.release = false};
    struct error err = {0};
    bool is_list = strcmp(head->path, LOCKS_PATH) == 0, is_get = strcmp(head->method, "GET") == 0;
    if (!is_get && (is_list || strcmp(head->method, "POST") != 0))
        http_error(request, 405, is_list ? "use GET, or POST with a name" : "use GET or POST",
                   "%s is not possible on %.128s", head->method, head->path);
    else if (is_list && *head->query)
        http_error(request, 400, NULL, LOCKS_PATH " takes no query");
    else if (is_list)
        api_lock_list_serve(&api->from, request);
    else if (parse_target(head->path, &target, &err) < 0)
        http_error(request, 400, USAGE, "%s", err.text);
    else if (is_get && target.release)
        http_error(request, 405, "use POST", "GET is not possible on %.128s", head->path);
    else if (is_get)
        serve_look(api, request, target.name);
    else if (target.release)
        serve_release(api, request, target.name);
    else
        serve_request(api, request, target.name);
}

int api_locks_open(const struct api_sources *from, struct api_locks **ret_api)
{
    struct api_locks *api = malloc(sizeof(*api));
    if (!api)
        return -ENOMEM;
    *api = (struct api_locks){.from = *from};
    *ret_api = api;
    return 0;
}

void api_locks_close(struct api_locks *api)
{
    free(api);
}
