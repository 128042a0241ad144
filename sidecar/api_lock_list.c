#include "sidecar/api_lock_list.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/json.h"
#include "lib/share/lock_name.h"
#include "sidecar/locks.h"
#include "sidecar/mounts.h"

json_t *api_lock_holder_json(const struct lock_record *holder)
{
    char token[LOCK_TOKEN_TEXT], since[CLOCK_TEXT];
    if (!holder)
        return json_null();
    return json_pack("{s:o, s:o, s:o, s:s, s:s}", "task", json_string_lossy(holder->task), "zone",
                     json_string_lossy(holder->zone), "purpose", json_string_lossy(holder->purpose),
                     "token", lock_token_format(&holder->token, token), "since",
                     clock_format(holder->since_wall_ms, since));
}

/* ---- all that are used here ---- */

static json_t *view_json(const char *mount, const struct lock_view *view)
{
    return json_pack("{s:s, s:o, s:s, s:b, s:o, s:I, s:I, s:i}", "mount", mount, "name",
                     json_string_lossy(view->name), "state", view->state, "held_here", view->held,
                     "holder", api_lock_holder_json(view->holder), "held_ms",
                     (json_int_t)view->held_ms, "valid_until_ms", (json_int_t)view->valid_until_ms,
                     "waiters", (int)view->waiters);
}

void api_lock_list_serve(const struct api_sources *from, struct http_request *request)
{
    struct lock_view view;
    struct lock_counts counts, sum = {0};
    json_t *list = json_array();
    for (size_t i = 0; i < mounts_count(from->mounts); i++) {
        const struct locks *locks = mounts_locks(from->mounts, i);
        if (!locks)
            continue;
        locks_count(locks, &counts);
        sum.held += counts.held;
        sum.waiting += counts.waiting;
        for (size_t n = 0; locks_view(locks, n, &view); n++)
            json_array_append_new(list, view_json(mounts_path(from->mounts, i), &view));
    }
    http_reply_json(request, json_pack("{s:o, s:i, s:i, s:I, s:I}", "locks", list, "held",
                                       (int)sum.held, "waiting", (int)sum.waiting, "budget",
                                       (json_int_t)from->settings->lock_max, "now_ms",
                                       (json_int_t)clock_now_ms()));
}

/* ---- one, as its file says ---- */

struct looker {
    struct http_stream *http; /* NULL: who asked has left */
    const char *mount;
    char name[LOCK_NAME_MAX + 1];
};

static json_t *record_json(const struct lock_record *record)
{
    json_t *json = api_lock_holder_json(record);
    json_object_set_new(json, "clean", json_boolean(record->clean));
    json_object_set_new(json, "done", json_boolean(record->done));
    json_object_set_new(json, "exit_status", json_integer(record->exit_status));
    json_object_set_new(json, "fence_ms", json_integer(record->fence_ms));
    return json;
}

static void on_looked(void *arg, int r, const struct lock_sight *sight, const struct error *err)
{
    _cleanup_free_ struct looker *looker = arg;
    char file[LOCK_PATH_SIZE];
    if (!looker->http)
        return;
    struct http_request *request = http_deferred(looker->http);
    if (r < 0)
        http_error(request, 503, NULL, "%s", err->text);
    else
        http_reply_json(request,
                        json_pack("{s:s, s:s, s:s, s:b, s:o}", "mount", looker->mount, "name",
                                  looker->name, "file", lock_name_path(looker->name, file), "taken",
                                  sight->taken, "record",
                                  sight->has_record ? record_json(&sight->record) : json_null()));
}

static void on_drained(void *arg) {}

static void on_closed(void *arg)
{
    struct looker *looker = arg;
    looker->http = NULL;
}

int api_lock_look_serve(struct locks *locks, const char *mount, const char *name,
                        struct http_request *request, struct error *err)
{
    static const struct http_stream_ops ops = {.drained = on_drained, .closed = on_closed};
    _cleanup_free_ struct looker *looker = calloc(1, sizeof(*looker));
    if (!looker)
        return error_set(err, ENOMEM, "no memory");
    looker->mount = mount;
    int r = locks_look(locks, name, on_looked, looker, err);
    if (r < 0)
        return r;
    memcpy(looker->name, name, strlen(name) + 1); /* its length was checked */
    http_defer(request, &ops, looker, &take_ptr(looker)->http);
    return 0;
}
