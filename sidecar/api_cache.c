#include "sidecar/api_cache.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/json.h"
#include "lib/price.h"
#include "sidecar/cache_versions.h"
#include "sidecar/mounts.h"

/* ---- GET ---- */

static const double month_ms = PRICE_MONTH_HOURS * 3600.0 * 1000;

static double dollars(double metered_bytes)
{
    return metered_bytes / (1024.0 * 1024 * 1024) * PRICE_EFS_READ_GIB;
}

/* If it goes on as it went since the cache was opened. */
static double dollars_a_month(const struct mount_cache_view *view)
{
    double spent = dollars((double)view->own->metered_bytes);
    return view->open_ms > 0 ? spent * month_ms / (double)view->open_ms : 0;
}

static json_t *counts_json(const uint64_t counts[CACHE_COUNTS])
{
    json_t *json = json_object();
    for (enum cache_count what = 0; what < CACHE_COUNTS; what++)
        json_object_set_new(json, cache_count_name(what), json_integer((json_int_t)counts[what]));
    return json;
}

static json_t *reasons_json(const uint64_t failed[CACHE_FAILURES])
{
    json_t *json = json_object();
    for (size_t i = 0; i < CACHE_FAILURES; i++)
        json_object_set_new(json, cache_failure_names[i], json_integer((json_int_t)failed[i]));
    return json;
}

static json_t *failures_json(const struct cache_stats *stats)
{
    json_t *json = reasons_json(stats->failed);
    json_object_set_new(json, "last_error",
                        stats->last_error ? json_string(error_name(stats->last_error))
                                          : json_null());
    return json;
}

/* What keeping its copies fresh asks of EFS: by the clock for bounded, with each open for validate.
 */
static json_t *rule_json(const struct cache_rule *rule, uint64_t files, uint64_t bytes)
{
    struct own_calls look = {0}, open = {0};
    double proofs_s = rule->mode == CACHE_BOUNDED
                          ? (double)files * 1000.0 / (double)cache_prove_after_ms(rule->bound_ms)
                          : 0;
    own_calls_add(&look, OWN_CACHE_LOOK, 1);
    own_calls_add(&open, OWN_PROBE, rule->mode == CACHE_VALIDATE); /* one GETATTR as well */
    return json_pack("{s:s, s:s, s:o, s:I, s:I, s:o, s:o, s:o}", "glob", rule->glob, "mode",
                     cache_mode_names[rule->mode], "bound_ms",
                     rule->mode == CACHE_BOUNDED ? json_integer(rule->bound_ms) : json_null(),
                     "files", (json_int_t)files, "bytes", (json_int_t)bytes, "calls_per_second",
                     json_double(proofs_s * (double)look.calls), "dollars_month",
                     json_double(dollars(proofs_s * (double)look.metered_bytes) * month_ms / 1000),
                     "dollars_per_million_opens",
                     json_double(dollars((double)open.metered_bytes) * 1e6));
}

static json_t *rules_json(const struct mount_cache_view *view)
{
    json_t *rules = json_array();
    for (size_t i = 0; i < view->rules->n; i++)
        json_array_append_new(rules, rule_json(&view->rules->of[i], view->stats->of_rule[i].files,
                                               view->stats->of_rule[i].bytes));
    return rules;
}

static json_t *cost_json(const struct mount_cache_view *view)
{
    return json_pack("{s:I, s:I, s:o, s:o, s:s}", "calls", (json_int_t)view->own->calls,
                     "metered_bytes", (json_int_t)view->own->metered_bytes, "dollars",
                     json_double(dollars((double)view->own->metered_bytes)), "dollars_month",
                     json_double(dollars_a_month(view)), "region", PRICE_REGION);
}

/* How far what is pinned and warmed has come. */
static json_t *warming_json(const struct cache_stats *stats)
{
    const struct cache_pins_progress *pins = &stats->pins;
    json_t *json =
        json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:b, s:b}", "files", (json_int_t)pins->files,
                  "done", (json_int_t)pins->done, "failed", (json_int_t)pins->failed, "sized",
                  (json_int_t)pins->sized, "bytes", (json_int_t)pins->bytes, "done_bytes",
                  (json_int_t)pins->done_bytes, "listed", pins->walked, "complete", pins->complete,
                  "too_many", pins->over);
    json_object_set_new(json, "kept_files", json_integer((json_int_t)stats->kept_files));
    json_object_set_new(json, "kept_bytes", json_integer((json_int_t)stats->kept_bytes));
    int64_t ms = pins->began_ms ? clock_now_ms() - pins->began_ms : pins->took_ms;
    json_object_set_new(json, "ms", json_integer(ms));
    json_object_set_new(json, "switch_error",
                        stats->version_error ? json_string(error_name(stats->version_error))
                                             : json_null());
    return json;
}

static json_t *cache_json(const struct api_sources *from, const char *mount,
                          const struct mount_cache *cache)
{
    struct mount_cache_view view;
    mount_cache_view(cache, &view);
    const struct settings *settings = from->settings;
    const struct cache_stats *stats = view.stats;
    json_t *json =
        json_pack("{s:s, s:o, s:b, s:I, s:I, s:I, s:I, s:I, s:b}", "mount", mount, "dir",
                  json_sprintf("%s/%s", settings->cache_dir, view.name), "ready", view.is_open,
                  "files", (json_int_t)stats->files, "files_max", (json_int_t)settings->cache_files,
                  "bytes", (json_int_t)stats->bytes, "size", (json_int_t)settings->cache_size_bytes,
                  "jobs", (json_int_t)stats->jobs, "removing_old", stats->sweeping);
    if (settings->cache_pin_switch)
        json_object_set_new(
            json, "current",
            json_sprintf("%s/" CACHE_CURRENT "/%s", settings->cache_dir, view.name));
    json_object_set_new(json, "warming", warming_json(stats));
    json_object_set_new(json, "opens", counts_json(stats->counts));
    json_object_set_new(json, "fetches", json_integer((json_int_t)stats->fetches));
    json_object_set_new(json, "fetched_bytes", json_integer((json_int_t)stats->fetched_bytes));
    json_object_set_new(json, "looks", json_integer((json_int_t)stats->looks));
    json_object_set_new(json, "evictions", json_integer((json_int_t)stats->evictions));
    json_object_set_new(json, "invalidations", json_integer((json_int_t)stats->invalidations));
    json_object_set_new(json, "failed", failures_json(stats));
    json_object_set_new(json, "rules", rules_json(&view));
    json_object_set_new(json, "cost", cost_json(&view));
    return json;
}

json_t *api_cache_json(const struct api_sources *from)
{
    json_t *mounts = json_array();
    for (size_t i = 0; i < mounts_count(from->mounts); i++) {
        const struct mount_cache *cache = mounts_cache(from->mounts, i);
        if (cache)
            json_array_append_new(mounts, cache_json(from, mounts_path(from->mounts, i), cache));
    }
    return json_pack("{s:o, s:I}", "mounts", mounts, "now_ms", (json_int_t)clock_now_ms());
}

json_t *api_cache_summary_json(const struct mount_cache *cache)
{
    struct mount_cache_view view;
    if (!cache)
        return json_null();
    mount_cache_view(cache, &view);
    return json_pack("{s:b, s:I, s:I, s:I, s:I, s:o}", "ready", view.is_open, "files",
                     (json_int_t)view.stats->files, "bytes", (json_int_t)view.stats->bytes, "hits",
                     (json_int_t)view.stats->counts[CACHE_HITS], "calls",
                     (json_int_t)view.own->calls, "dollars_month",
                     json_double(dollars_a_month(&view)));
}

/* ---- POST ---- */

/* A request until its command is done. */
struct asker {
    struct cache_command command;
    struct http_stream *http; /* NULL: who asked has left */
    json_t *body;             /* has the paths */
    const char *paths[CACHE_PATHS_MAX];
};

static void free_asker(struct asker *asker)
{
    json_decref(asker->body);
    free(asker);
}

static json_t *first_json(const struct cache_pins_report *report)
{
    if (!report->first_error)
        return json_null();
    return json_pack("{s:o, s:s, s:s}", "path", json_string_lossy(report->first), "reason",
                     cache_failure_names[cache_failure_of(-report->first_error)], "error",
                     error_name(report->first_error));
}

static json_t *answer_json(const struct cache_command *command)
{
    const struct cache_pins_report *report = &command->report;
    if (command->kind != CACHE_COMMAND_REPORT)
        return json_pack("{s:I, s:I}", "copies", (json_int_t)command->copies, "refused",
                         (json_int_t)command->refused);
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:o, s:o}", "files", (json_int_t)report->files,
                     "copies", (json_int_t)report->copies, "pending", (json_int_t)report->pending,
                     "refused", (json_int_t)report->refused, "failed_files",
                     (json_int_t)report->failed_files, "failed", reasons_json(report->failed),
                     "first", first_json(report));
}

static void on_done(struct cache_command *command)
{
    struct asker *asker = (struct asker *)(void *)command; /* it is its first member */
    if (asker->http)
        http_reply_json(http_deferred(asker->http), answer_json(command));
    free_asker(asker);
}

static void on_drained(void *arg) {}

static void on_closed(void *arg)
{
    struct asker *asker = arg;
    asker->http = NULL;
}

static int take_paths(struct asker *asker, struct error *err)
{
    const json_t *list = json_object_get(asker->body, "paths");
    size_t n = json_array_size(list);
    if (n == 0 || n > CACHE_PATHS_MAX)
        return error_set(err, EINVAL, "\"paths\" must be a list of 1 to %d paths", CACHE_PATHS_MAX);
    for (size_t i = 0; i < n; i++) {
        asker->paths[i] = json_string_value(json_array_get(list, i));
        if (!asker->paths[i])
            return error_set(err, EINVAL, "\"paths\": entry %zu is not a text", i + 1);
    }
    asker->command.paths = asker->paths;
    asker->command.n_paths = n;
    return 0;
}

static struct mount_cache *find_cache(struct mounts *mounts, const char *mount)
{
    for (size_t i = 0; i < mounts_count(mounts); i++)
        if (mounts_cache(mounts, i) && (!mount || strcmp(mounts_path(mounts, i), mount) == 0))
            return mounts_cache(mounts, i);
    return NULL;
}

static int parse(struct asker *asker, const struct http_request *request, const char **ret_mount,
                 struct error *err)
{
    static const char *const keys[] = {"mount", "paths", NULL};
    *ret_mount = NULL;
    int r = json_parse(request->body, request->head.body_bytes, &asker->body, err);
    if (r == 0)
        r = json_only_keys(asker->body, keys, err);
    if (r == 0 && json_object_get(asker->body, "mount"))
        r = json_get_string(asker->body, "mount", CONFIG_TEXT_MAX, ret_mount, err);
    return r == 0 ? take_paths(asker, err) : r;
}

void api_cache_serve(const struct api_sources *from, enum cache_command_kind kind,
                     struct http_request *request)
{
    static const struct http_stream_ops ops = {.drained = on_drained, .closed = on_closed};
    struct error err = {0};
    const char *mount;
    struct asker *asker = calloc(1, sizeof(*asker));
    if (!asker) {
        http_error(request, 503, NULL, "no memory");
        return;
    }
    asker->command.kind = kind;
    asker->command.done = on_done;
    int r = parse(asker, request, &mount, &err);
    struct mount_cache *cache = r == 0 ? find_cache(from->mounts, mount) : NULL;
    if (r < 0)
        http_error(request, 400, "{\"paths\":[\"a/b\"],\"mount\":\"/data\"}", "%s", err.text);
    else if (!cache)
        http_error(request, 404, "set EFS_SIDECAR_PROFILE=cache", "there is no cache for %s",
                   mount ? mount : "any mount");
    else if (mount_cache_command(cache, &asker->command) < 0)
        http_error(request, 503, "condition CacheReady in GET /v1/status says why",
                   "the cache is not ready, or has %d requests to do already", CACHE_COMMANDS_MAX);
    else {
        http_defer(request, &ops, asker, &asker->http);
        return;
    }
    free_asker(asker);
}
