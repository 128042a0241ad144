#include "sidecar/api_status.h"

#include <string.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/mountstats.h"
#include "sidecar/health.h"
#include "sidecar/metrics.h"
#include "sidecar/mounts.h"

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
    return json_pack("{s:s, s:I, s:I, s:I, s:o, s:o}", "status", "ok", "pid", (json_int_t)getpid(),
                     "uptime_ms", (json_int_t)(now_ms - health->started_ms), "loop_lag_ms",
                     (json_int_t)metrics_loop_lag_ms(from->metrics), "conditions", conditions,
                     "since_ms", since);
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

static json_t *mount_json(const struct mount_status *mount)
{
    return json_pack(
        "{s:o, s:o, s:o, s:o, s:b, s:o, s:o, s:o, s:I, s:o, s:o, s:o, s:o}", "path",
        json_string_lossy(mount->path), "file_system", json_string_lossy(mount->file_system),
        "fstype", json_string_lossy(mount->fstype), "source", json_string_lossy(mount->source),
        "read_only", mount->read_only, "conditions", conditions_to_json(mount->conditions),
        "probe_ms", number_or_null(mount->probe_ms), "canary_ms", number_or_null(mount->canary_ms),
        "stalled_ms", (json_int_t)mount->stalled_ms, "task_dir", string_or_null(mount->task_dir),
        "task_link", string_or_null(mount->task_link), "nfs", nfs_json(mount), "watch",
        watch_json(&mount->watch));
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
    return json_pack("{s:s, s:s, s:o, s:I, s:s, s:I, s:o, s:o, s:I, s:I}", "version",
                     EFS_SIDECAR_VERSION, "profile", profile_names[settings->profile], "task",
                     json_string_lossy(settings->task_name), "pid", (json_int_t)getpid(), "started",
                     clock_format(from->health->started_wall_ms, started), "uptime_ms",
                     (json_int_t)(clock_now_ms() - from->health->started_ms), "conditions",
                     conditions_to_json(&from->health->conditions), "mounts", mounts,
                     "logs_dropped", (json_int_t)log_dropped(), "metrics_dropped",
                     (json_int_t)metrics_dropped(from->metrics));
}
