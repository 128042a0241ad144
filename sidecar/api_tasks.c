#include "sidecar/api_tasks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/json.h"
#include "sidecar/mounts.h"
#include "sidecar/orphans.h"

struct asker {
    struct http_stream *http; /* NULL: who asked has left */
    const struct settings *settings;
    const char *mount;
};

static json_t *time_json(int64_t wall_ms)
{
    char text[CLOCK_TEXT];
    return wall_ms > 0 ? json_string(clock_format(wall_ms, text)) : json_null();
}

static json_t *number_json(bool known, int64_t number)
{
    return known ? json_integer(number) : json_null();
}

/* Clocks of two hosts: what would be negative is young. */
static json_t *age_json(const struct owner *owner)
{
    int64_t age_ms = clock_wall_ms() - owner->since_wall_ms;
    return number_json(owner->since_wall_ms > 0, age_ms > 0 ? age_ms : 0);
}

static json_t *entry_json(const struct settings *settings, const struct task_entry *entry)
{
    const struct owner *owner = &entry->owner; /* zeros where there is none */
    bool measured = owner->measured_wall_ms > 0;
    _cleanup_free_ char *path = NULL;
    if (asprintf(&path, "%s/%s", settings->tasks_dir, entry->name) < 0)
        return NULL;
    return json_pack(
        "{s:o, s:o, s:s, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "name",
        json_string_lossy(entry->name), "path", json_string_lossy(path), "state", entry->state,
        "mine", strcmp(entry->name, settings->task_name) == 0, "slot",
        number_json(entry->has_owner, owner->slot), "epoch",
        number_json(entry->has_owner, owner->epoch), "since", time_json(owner->since_wall_ms),
        "age_ms", age_json(owner), "bytes", number_json(measured, owner->bytes), "files",
        number_json(measured, owner->files), "measured", time_json(owner->measured_wall_ms));
}

static json_t *list_json(const struct asker *asker, const struct task_list *list)
{
    const struct settings *settings = asker->settings;
    json_t *tasks = json_array();
    for (size_t i = 0; i < list->n; i++)
        json_array_append_new(tasks, entry_json(settings, &list->of[i]));
    return json_pack("{s:o, s:o, s:s, s:b, s:I, s:b, s:o}", "mount",
                     json_string_lossy(asker->mount), "root",
                     json_string_lossy(settings->tasks_dir), "policy",
                     orphans_policy_names[orphans_policy(settings, asker->mount)], "dry_run",
                     settings->orphans_dry_run, "retention_ms",
                     (json_int_t)settings->orphans_retention_ms, "cut", list->cut, "tasks", tasks);
}

static void on_listed(void *arg, const struct task_list *list, const struct error *err)
{
    _cleanup_free_ struct asker *asker = arg;
    if (!asker->http)
        return;
    struct http_request *request = http_deferred(asker->http);
    if (list)
        http_reply_json(request, list_json(asker, list));
    else
        http_error(request, 503, NULL, "%s", err->text);
}

static void on_drained(void *arg) {}

static void on_closed(void *arg)
{
    struct asker *asker = arg;
    asker->http = NULL;
}

/* The mount that was asked for, or the first that has write directories. */
static int ask(const struct api_sources *from, const char *mount, struct asker *asker,
               struct error *err)
{
    int r = error_set(err, ENOENT, "\"%.200s\" is none of the mounts", mount ? mount : "");
    for (size_t i = 0; i < mounts_count(from->mounts); i++) {
        asker->mount = mounts_path(from->mounts, i);
        if (mount && strcmp(mount, asker->mount) != 0)
            continue;
        r = mounts_list_tasks(from->mounts, i, on_listed, asker, err);
        if (r != -EAGAIN)
            break;
    }
    return r;
}

static int status_of(int r)
{
    return r == -EBUSY ? 429 : r == -ENOENT || r == -EINVAL ? 400 : 503;
}

void api_tasks_serve(const struct api_sources *from, struct http_request *request)
{
    static const struct http_stream_ops ops = {.drained = on_drained, .closed = on_closed};
    static const char *const names[] = {"mount", NULL};
    struct http_query query;
    struct error err = {0};
    _cleanup_free_ struct asker *asker = calloc(1, sizeof(*asker));
    if (!asker) {
        http_error(request, 503, NULL, "no memory");
        return;
    }
    asker->settings = from->settings;
    int r = http_query_parse(request->head.query, names, &query, &err);
    if (r == 0)
        r = ask(from, http_query_get(&query, "mount"), asker, &err);
    if (r < 0)
        http_error(request, status_of(r), NULL, "%s", err.text);
    else
        http_defer(request, &ops, asker, &take_ptr(asker)->http);
}
