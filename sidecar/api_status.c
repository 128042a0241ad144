#include "sidecar/api_status.h"

#include <string.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/mountstats.h"
#include "sidecar/api_cache.h"
#include "sidecar/health.h"
#include "sidecar/metrics.h"
#include "sidecar/mounts.h"
#include "sidecar/run_dir.h"

/* Who asks for it (cache.ready_waits) is not told "ok" before what is pinned is there. */
static const char *status_of(const struct api_sources *from)
{
    for (size_t i = 0; from->settings->cache_ready_waits && i < mounts_count(from->mounts); i++) {
        const struct mount_cache *cache = mounts_cache(from->mounts, i);
        if (cache && mount_cache_is_warming(cache))
            return "warming the cache (cache.ready_waits)";
    }
    return "ok";
}

json_t *api_healthz_json(const struct api_sources *from)
{
    const struct health *health = from->health;
    int64_t now_ms = clock_now_ms();
    json_t *conditions = json_object(), *since = json_object();
    for (size_t i = 0; i < CONDITION_TYPES; i++) {
        const struct condition *condition = &health->conditions.of[i];
        json_object_set_new(conditions, condition_type_names[i],
                            json_string(condition_status_names[condition->status]));
        json_object_set_new(since, condition_type_names[i],
                            json_integer(now_ms - condition->since_ms));
    }
    return json_pack("{s:s, s:I, s:I, s:I, s:o, s:o}", "status", status_of(from), "pid",
                     (json_int_t)getpid(), "uptime_ms", (json_int_t)(now_ms - health->started_ms),
                     "loop_lag_ms", (json_int_t)metrics_loop_lag_ms(from->metrics), "conditions",
                     conditions, "since_ms", since);
}

static json_t *number_or_null(int64_t n)
{
    return n < 0 ? json_null() : json_integer(n);
}

static json_t *string_or_null(const char *text)
{
    return text ? json_string_lossy(text) : json_null();
}

static json_t *watch_json(const struct watcher_status *watch)
{
    json_t *blind = json_array();
    for (size_t i = 0; i < watch->child.listed; i++) {
        const struct watch_blind *entry = &watch->child.blinds[i];
        json_array_append_new(blind, json_pack("{s:o, s:s}", "path", json_string_lossy(entry->path),
                                               "reason", error_name(entry->code)));
    }
    return json_pack(
        "{s:s, s:I, s:o, s:I, s:I, s:I, s:I}", "state", watcher_state_names[watch->state], "dirs",
        (json_int_t)watch->child.directories, "blind", blind, "blind_total",
        (json_int_t)watch->child.blind, "overflows", (json_int_t)watch->child.overflows, "restarts",
        (json_int_t)watch->restarts, "changes", (json_int_t)watch->changes);
}

static json_t *scan_json(const struct watch_scan_status *scan)
{
    static const char *const names[] = {"off", "standby", "idle", "running"};
    const char *state = scan->state < ARRAY_LEN(names) ? names[scan->state] : "unknown";
    int64_t age_ms = scan->fresh_ms ? clock_now_ms() - (int64_t)scan->fresh_ms : -1;
    return json_pack("{s:s, s:I, s:I, s:o}", "state", state, "permille", (json_int_t)scan->permille,
                     "entries", (json_int_t)scan->entries, "age_ms", number_or_null(age_ms));
}

/* What is heard of other tasks and said to them. */
static json_t *feed_json(const struct watcher_status *watch)
{
    const struct watch_feed_status *feed = &watch->child.feed;
    json_t *json = json_pack(
        "{s:b, s:o, s:o, s:I, s:o, s:I, s:I, s:o, s:o}", "member", watch->member, "slot",
        number_or_null(watch->member ? (int64_t)watch->slot : -1), "epoch",
        number_or_null(watch->member ? (int64_t)watch->epoch : -1), "peers",
        (json_int_t)feed->peers, "staleness_ms", number_or_null(watcher_staleness_ms(watch)),
        "announced", (json_int_t)feed->announced, "announce_pending",
        (json_int_t)feed->announce_pending, "announce_error",
        feed->announce_error ? json_string(error_name((int)feed->announce_error)) : json_null(),
        "scan", scan_json(&watch->child.scan));
    json_object_set_new(json, "polls", json_integer((json_int_t)feed->polls));
    json_object_set_new(json, "poll_us", number_or_null(feed->polls ? (int64_t)feed->poll_us : -1));
    json_object_set_new(json, "board_reads", json_integer((json_int_t)feed->board_reads));
    json_object_set_new(json, "records", json_integer((json_int_t)feed->records));
    json_object_set_new(json, "gaps", json_integer((json_int_t)feed->gaps));
    return json;
}

static json_t *operation_json(const struct mountstats_op *op)
{
    return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "name", op->name,
                     "calls", (json_int_t)op->calls, "transmissions", (json_int_t)op->transmissions,
                     "timeouts", (json_int_t)op->timeouts, "errors", (json_int_t)op->errors,
                     "sent_bytes", (json_int_t)op->bytes_sent, "received_bytes",
                     (json_int_t)op->bytes_received, "queue_ms", (json_int_t)op->queue_ms,
                     "round_trip_ms", (json_int_t)op->round_trip_ms, "execute_ms",
                     (json_int_t)op->execute_ms);
}

/* Since it was mounted: who asks twice has the difference. */
static json_t *nfs_json(const struct mount_status *mount)
{
    const struct mountstats *nfs = mount->nfs;
    if (mount->nfs_shared_with)
        return json_pack("{s:o}", "shared_with", json_string_lossy(mount->nfs_shared_with));
    if (!nfs)
        return json_null();
    json_t *operations = json_array();
    for (size_t i = 0; i < nfs->n_ops; i++)
        if (nfs->ops[i].calls > 0)
            json_array_append_new(operations, operation_json(&nfs->ops[i]));
    return json_pack("{s:I, s:o, s:o, s:I, s:I, s:I, s:I, s:o}", "age_s", (json_int_t)nfs->age_s,
                     "lease_s", number_or_null(nfs->lease_s), "lease_expired_s",
                     number_or_null(nfs->lease_expired_s), "connections",
                     (json_int_t)nfs->transport.n, "connects", (json_int_t)nfs->transport.connects,
                     "sends", (json_int_t)nfs->transport.sends, "receives",
                     (json_int_t)nfs->transport.receives, "operations", operations);
}

static json_t *locks_json(const struct mount_status *mount)
{
    return mount->has_locks ? json_pack("{s:i, s:i}", "held", (int)mount->locks_held, "waiting",
                                        (int)mount->locks_waiting)
                            : json_null();
}

static json_t *claims_json(const struct mount_status *mount)
{
    return mount->has_claims ? json_pack("{s:i, s:i}", "held", (int)mount->claims_held, "claimers",
                                         (int)mount->claimers)
                             : json_null();
}

static json_t *mount_json(const struct mount_status *mount)
{
    return json_pack(
        "{s:o, s:o, s:o, s:o, s:b, s:o, s:o, s:o, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
        "path", json_string_lossy(mount->path), "file_system",
        json_string_lossy(mount->file_system), "fstype", json_string_lossy(mount->fstype), "source",
        json_string_lossy(mount->source), "read_only", mount->read_only, "conditions",
        conditions_to_json(mount->conditions), "probe_ms", number_or_null(mount->probe_ms),
        "canary_ms", number_or_null(mount->canary_ms), "stalled_ms", (json_int_t)mount->stalled_ms,
        "task_dir", string_or_null(mount->task_dir), "task_link", string_or_null(mount->task_link),
        "nfs", nfs_json(mount), "watch", watch_json(&mount->watch), "feed",
        feed_json(&mount->watch), "locks", locks_json(mount), "claims", claims_json(mount), "cache",
        api_cache_summary_json(mount->cache));
}

json_t *api_status_json(const struct api_sources *from)
{
    const struct settings *settings = from->settings;
    char started[CLOCK_TEXT];
    struct metrics_view view;
    metrics_look(from->metrics, &view); /* what the NFS clients counted until now */
    json_t *mounts = json_array();
    for (size_t i = 0; i < mounts_count(from->mounts); i++) {
        struct mount_status status;
        mounts_status(from->mounts, i, &status);
        json_array_append_new(mounts, mount_json(&status));
    }
    return json_pack("{s:s, s:s, s:o, s:I, s:s, s:I, s:o, s:o, s:I, s:I, s:{s:o, s:b}}", "version",
                     EFS_SIDECAR_VERSION, "profile", profile_names[settings->profile], "task",
                     json_string_lossy(settings->task_name), "pid", (json_int_t)getpid(), "started",
                     clock_format(from->health->started_wall_ms, started), "uptime_ms",
                     (json_int_t)(clock_now_ms() - from->health->started_ms), "conditions",
                     conditions_to_json(&from->health->conditions), "mounts", mounts,
                     "logs_dropped", (json_int_t)log_dropped(), "metrics_dropped",
                     (json_int_t)metrics_dropped(from->metrics), "run_dir", "path",
                     json_string_lossy(settings->run_dir), "protected",
                     (int)run_dir_protect(settings));
}
