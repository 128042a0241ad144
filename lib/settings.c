#include "lib/settings.h"

#include <errno.h>
#include <stdio.h>

#include "lib/cleanup.h"
#include "lib/log.h"

const char *const profile_names[] = {"observe", "coordinate", "cache", NULL};
static const char *const format_names[] = {"text", "json", NULL};
static const char *const metrics_set_names[] = {"core", "all", NULL};
static const char *const aws_checks_names[] = {"never", "on_failure", "always", NULL};

#define AT(field) offsetof(struct settings, field)

enum {
    SECOND = 1000,
    MINUTE = 60 * SECOND,
    HOUR = 60 * MINUTE,
    DAY = 24 * HOUR,
    INIT = PROGRAM_INIT,
    SIDE = PROGRAM_SIDECAR,
    WATCH = PROGRAM_WATCH,
    CTL = PROGRAM_CTL,
};

#define ID_MAX 4294967294LL /* (uid_t)-1 means "no id" */

/* Grouped as in the structure; --help and the manual pages print them in this order. */
static const struct setting table[] = {
    {"profile", SETTING_CHOICE, SIDE, AT(profile), "coordinate", 0, 0, profile_names,
     "What the sidecar does: gate, health and metrics only (observe), plus feed, locks and "
     "directories (coordinate), plus the cache (cache)"},
    {"mounts", SETTING_MOUNTS, INIT | SIDE, AT(mounts), "", 0, CONFIG_MOUNTS_MAX, NULL,
     "The shared directories, as PATH[=FILE_SYSTEM_ID][:rw|:ro],... (rw when nothing is said)"},
    {"run_dir", SETTING_PATH, INIT | SIDE | CTL, AT(run_dir), "/run/efs-sidecar", 0, 0, NULL,
     "Directory, shared by the containers of the task, for the socket, the ready report and the "
     "links to the task's directories"},
    {"task.name", SETTING_TEXT, SIDE, AT(task_name), "", 0, 128, NULL,
     "Name of this task's write directory; the host name when not set"},
    {"cluster", SETTING_TEXT, SIDE, AT(cluster_name), "", 0, 255, NULL,
     "ECS cluster, a dimension of every metric"},
    {"service", SETTING_TEXT, SIDE, AT(service_name), "", 0, 255, NULL,
     "ECS service, a dimension of every metric"},
    {"allow_local", SETTING_BOOL, INIT | SIDE, AT(allow_local), "false", 0, 0, NULL,
     "Accept a directory that is not on NFS (demo, laptop)"},
    {"log_level", SETTING_CHOICE, SIDE | WATCH, AT(log_level), "info", 0, 0, log_level_names,
     "The least important lines that are logged"},
    {"security.seccomp", SETTING_BOOL, INIT | SIDE | WATCH, AT(seccomp), "true", 0, 0, NULL,
     "Forbid itself the system calls that it does not make"},
    {"stop_timeout", SETTING_DURATION, SIDE, AT(stop_timeout_ms), "30s", 5 * SECOND, 10 * MINUTE,
     NULL, "The container's stopTimeout: two seconds less after SIGTERM the sidecar is gone"},

    {"state.dir", SETTING_TEXT, SIDE | WATCH, AT(state_dir), ".efs-sidecar", 1, 255, NULL,
     "Name of the state directory on each mount"},
    {"state.mount", SETTING_PATH, SIDE, AT(state_mount), "", 0, 0, NULL,
     "Where a volume of its own for the state directories is mounted, so that the shared "
     "directories may be read-only; every one of them then needs its file system id"},
    {"state.gid", SETTING_COUNT, SIDE | WATCH, AT(state_gid), "-1", -1, ID_MAX, NULL,
     "Group of what the sidecar makes on the share; -1 leaves it as created"},
    {"task.root", SETTING_TEXT, SIDE | WATCH, AT(tasks_dir), "tasks", 1, CONFIG_TEXT_MAX - 1, NULL,
     "Where the tasks' write directories lie, relative to the mount"},
    {"task.dir_mode", SETTING_MODE, SIDE, AT(task_dir_mode), "2770", 0, 0, NULL,
     "Permission bits of this task's write directory"},
    {"task.soft_limit", SETTING_SIZE, SIDE, AT(task_soft_limit_bytes), "0", 0, INT64_MAX, NULL,
     "When this task's write directory holds more, TaskDirectoryReady is False; 0 for no limit"},
    {"task.usage_interval", SETTING_DURATION, SIDE, AT(task_usage_interval_ms), "1h", 0, 7 * DAY,
     NULL, "How often it is measured; 0 for never"},
    {"task.usage_rate", SETTING_COUNT, SIDE, AT(task_usage_rate), "50", 1, 10000, NULL,
     "The most files of it that are asked for their size in a second"},
    {"task.stage_retention", SETTING_DURATION, SIDE, AT(task_stage_retention_ms), "1h", 0, 7 * DAY,
     NULL,
     "What lies in its .stage and stays the same for so long, while nothing is published, was left "
     "by a client that died, and is removed; 0 for never"},

    {"task.protection", SETTING_BOOL, SIDE, AT(task_protection), "false", 0, 0, NULL,
     "Ask ECS not to end this task by scaling in or deploying while it works on claimed files or "
     "publishes; the task role then needs ecs:UpdateTaskProtection"},

    {"orphans.policy", SETTING_NAMES, SIDE, AT(orphans_policy), "keep", 0, CONFIG_NAMES_MAX, NULL,
     "What becomes of the write directory of a task that ended: keep, adopt, archive or delete; "
     "PATH=POLICY,... for each mount"},
    {"orphans.retention", SETTING_DURATION, SIDE, AT(orphans_retention_ms), "1d", 0, 365LL * DAY,
     NULL, "How long it has to be an orphan before it is deleted"},
    {"orphans.archive", SETTING_TEXT, SIDE, AT(orphans_archive), "", 0, CONFIG_TEXT_MAX - 1, NULL,
     "Where archived directories go, relative to the mount"},
    {"orphans.dry_run", SETTING_BOOL, SIDE, AT(orphans_dry_run), "false", 0, 0, NULL,
     "Only log what the policy would do"},

    {"publish.mode", SETTING_MODE, SIDE, AT(publish_mode), "0", 0, 0, NULL,
     "Permission bits of files that are published, unless the request says which; 0 leaves them as "
     "they are"},
    {"publish.digest_max", SETTING_SIZE, SIDE, AT(publish_digest_max_bytes), "64MiB", 0,
     1024LL * 1024 * 1024 * 1024, NULL,
     "Size up to which a file that is published is read for its SHA-256, which the other tasks are "
     "told; 0 for never"},

    {"deadline", SETTING_DURATION, INIT, AT(init_deadline_ms), "20s", 1 * SECOND, 10 * MINUTE, NULL,
     "When the gate gives up; keep it below the container's startTimeout"},
    {"as", SETTING_IDS, INIT, AT(init_as), "", 0, 0, NULL,
     "Check with these numeric ids (UID:GID), the ones that the app runs with"},
    {"expect_owner", SETTING_IDS, INIT, AT(init_expect_owner), "", 0, 0, NULL,
     "Fail unless new files belong to these numeric ids (UID:GID), the access point's"},
    {"lock_hold", SETTING_DURATION, INIT, AT(init_lock_hold_ms), "0s", 0, 10 * MINUTE, NULL,
     "Hold and prove a lock for this long, to find hosts that take each other's locks"},
    {"wait", SETTING_DURATION, INIT, AT(init_wait_ms), "0s", 0, 1 * HOUR, NULL,
     "Try again for this long when what is wrong may heal by itself, such as a missing path"},
    {"marker", SETTING_NAMES, INIT, AT(init_marker), "", 0, CONFIG_NAMES_MAX, NULL,
     "Files that prove that it is the right directory, as PATH[=CONTENT],..., looked for before "
     "anything is written"},
    {"create", SETTING_NAMES, INIT, AT(init_create), "", 0, CONFIG_NAMES_MAX, NULL,
     "Directories to make if they are missing, as PATH[:MODE],... (0755 when nothing is said)"},
    {"require", SETTING_NAMES, INIT, AT(init_require), "", 0, CONFIG_NAMES_MAX, NULL,
     "Paths that must exist, with owner and permission bits, as PATH[:UID:GID[:MODE]],..."},
    {"access_points", SETTING_NAMES, INIT, AT(init_access_points), "", 0, CONFIG_MOUNTS_MAX, NULL,
     "The access points that the mounts go through, as PATH=ACCESS_POINT_ID,... with the paths of "
     "the list of mounts"},
    {"expect_role", SETTING_TEXT, INIT, AT(init_expect_role), "", 0, 512, NULL,
     "Fail unless the task has credentials, of this role (name or ARN)"},
    {"sts", SETTING_BOOL, INIT, AT(init_sts), "false", 0, 0, NULL,
     "Ask STS whose credentials they are, which proves that AWS accepts them"},
    {"aws_checks", SETTING_CHOICE, INIT, AT(init_aws_checks), "on_failure", 0, 0, aws_checks_names,
     "When the EFS API is asked about file system, access point, mount target and policy"},
    {"install", SETTING_PATH, INIT, AT(init_install), "", 0, 0, NULL,
     "Put efsctl, which runs in any image, and libefscache.so into this directory"},
    {"format", SETTING_CHOICE, INIT, AT(init_format), "text", 0, 0, format_names,
     "text for people on stderr, or json for programs on stdout"},

    {"mount.probe_interval", SETTING_DURATION, SIDE, AT(probe_interval_ms), "10s", 0, 1 * HOUR,
     NULL, "How often each mount is asked for its attributes (one GETATTR); 0 for never"},
    {"mount.stall_after", SETTING_DURATION, SIDE, AT(stall_after_ms), "15s", 1 * SECOND, 1 * HOUR,
     NULL, "A call that has not come back after this long makes the mount stalled"},
    {"canary.interval", SETTING_DURATION, SIDE, AT(canary_interval_ms), "5m", 0, 1 * DAY, NULL,
     "How often a small file is written and synced, to measure it; 0 for never"},
    {"lease.proof_interval", SETTING_DURATION, SIDE, AT(proof_interval_ms), "180s", 1 * SECOND,
     10 * MINUTE, NULL,
     "How often this task's slot on the board is proven to be held (one GETATTR and one READ) "
     "while "
     "nothing is held under it"},
    {"lease.fence", SETTING_DURATION, SIDE, AT(fence_ms), "30s", 10 * SECOND, 10 * MINUTE, NULL,
     "How long after its last proof a host that lost its locks may still act; the others wait that "
     "long before they take over what it held"},

    {"lock.proof_interval", SETTING_DURATION, SIDE, AT(lock_proof_interval_ms), "10s", 1 * SECOND,
     5 * MINUTE, NULL,
     "How often a lock that is held is proven to be held; at most a third of lease.fence"},
    {"lock.max", SETTING_COUNT, SIDE, AT(lock_max), "512", 1, 4000, NULL,
     "The most locks of a mount that this task holds or waits for at once"},

    {"claim.max_attempts", SETTING_COUNT, SIDE, AT(claim_max_attempts), "5", 1, 1000, NULL,
     "How often work on a claimed file may fail before it goes to the directory .dead of its "
     "queue; "
     "the death of a task that worked on it counts"},

    {"watch.enabled", SETTING_BOOL, SIDE, AT(watch_enabled), "true", 0, 0, NULL,
     "Watch for changes (not in the observe profile)"},
    {"watch.paths", SETTING_NAMES, SIDE | WATCH, AT(watch_paths), "", 0, CONFIG_NAMES_MAX, NULL,
     "Directories to watch, relative to the mount; everything when not set"},
    {"watch.exclude", SETTING_NAMES, SIDE | WATCH, AT(watch_exclude), "", 0, CONFIG_NAMES_MAX, NULL,
     "Names (shell patterns) that are not watched, at any depth; .efs-stage, .owner, .stage, "
     ".claims, .retry, .dead, .orphans and the state directory never are"},
    {"watch.max_dirs", SETTING_COUNT, SIDE | WATCH, AT(watch_max_dirs), "8192", 1, 1000000, NULL,
     "The most directories that are watched on a mount; each costs a call to EFS and kernel "
     "memory"},
    {"watch.batch", SETTING_DURATION, SIDE | WATCH, AT(watch_batch_ms), "50ms", 0, 10 * SECOND,
     NULL, "Changes of one path within this time are reported as one"},
    {"feed.poll", SETTING_DURATION, SIDE | WATCH, AT(feed_poll_ms), "1s", 10, 1 * HOUR, NULL,
     "How often the other tasks' board is looked at (one GETATTR) while anything changes"},
    {"feed.poll_idle", SETTING_DURATION, SIDE | WATCH, AT(feed_poll_idle_ms), "5s", 10, 1 * HOUR,
     NULL, "The same while nothing has changed for feed.idle_after"},
    {"feed.idle_after", SETTING_DURATION, SIDE | WATCH, AT(feed_idle_after_ms), "60s", 0, 1 * HOUR,
     NULL, "When looking at the board slows down to feed.poll_idle"},
    {"feed.retention", SETTING_DURATION, SIDE, AT(retention_ms), "15m", 1 * MINUTE, 1 * DAY, NULL,
     "How long the journal of a task that ended is kept for tasks that were cut off"},
    {"scan.interval", SETTING_DURATION, SIDE | WATCH, AT(scan_interval_ms), "0s", 0, 7 * DAY, NULL,
     "How often one task of all compares the tree with what it was, for writers without a sidecar; "
     "0 for never"},
    {"scan.rate", SETTING_COUNT, SIDE | WATCH, AT(scan_rate), "50", 1, 100000, NULL,
     "The most calls to EFS in a second that it makes for that"},
    {"scan.max_entries", SETTING_COUNT, SIDE | WATCH, AT(scan_max_entries), "1000000", 1,
     100 * 1000 * 1000, NULL,
     "The most files and directories that it remembers, at about 30 bytes each"},
    {"feed.memory", SETTING_SIZE, SIDE, AT(feed_memory_bytes), "1MiB", 64 * 1024, 64 * 1024 * 1024,
     NULL, "Recent changes of each mount that are kept for readers who come back or are slow"},
    {"feed.segment", SETTING_SIZE, SIDE | WATCH, AT(feed_segment_bytes), "1MiB", 64 * 1024,
     64 * 1024 * 1024, NULL, "Size at which a file of this task's journal on the share is full"},
    {"feed.segments", SETTING_COUNT, SIDE | WATCH, AT(feed_segments), "8", 2, 1000, NULL,
     "Files of its journal that are kept; a task that is further behind looks again at everything"},

    {"cache.dir", SETTING_PATH, SIDE, AT(cache_dir), "/var/cache/efs-sidecar", 0, 0, NULL,
     "Directory on a volume of the task, not on EFS, for the copies of hot files (profile cache); "
     "the containers of the task need it at this path"},
    {"cache.rules", SETTING_NAMES, SIDE, AT(cache_rules), "", 0, CONFIG_NAMES_MAX, NULL,
     "Which files are cached and how fresh copies are, as GLOB=MODE,... with immutable, validate, "
     "bounded:TIME or off; the first that matches counts, and validate where none does"},
    {"cache.size", SETTING_SIZE, SIDE, AT(cache_size_bytes), "1GiB", 1024 * 1024,
     1024LL * 1024 * 1024 * 1024 * 1024, NULL, "The most that copies of each mount fill"},
    {"cache.files", SETTING_COUNT, SIDE, AT(cache_files), "100000", 1, 4000000, NULL,
     "The most copies of each mount"},
    {"cache.file_max", SETTING_SIZE, SIDE, AT(cache_file_max_bytes), "64MiB", 4096,
     1024LL * 1024 * 1024 * 1024, NULL, "Larger files are not copied"},
    {"cache.min_free", SETTING_COUNT, SIDE, AT(cache_min_free_percent), "10", 0, 90, NULL,
     "Percentage of the volume of cache.dir that stays free for others"},
    {"cache.as", SETTING_IDS, SIDE, AT(cache_as), "", 0, 0, NULL,
     "Numeric ids (UID:GID) of the app: what only they may read is copied for them alone; without "
     "it only what everybody may read is copied"},
    {"cache.fetch_rate", SETTING_SIZE, SIDE, AT(cache_fetch_rate_bytes), "0", 0,
     1024LL * 1024 * 1024 * 1024, NULL,
     "The most bytes in a second that are read from EFS to make copies; 0 for no limit"},
    {"cache.bounded_rate", SETTING_COUNT, SIDE, AT(cache_bounded_rate), "200", 1, 100000, NULL,
     "The most calls to EFS in a second that keep bounded copies fresh; those that it does not "
     "suffice for are dropped"},
    {"cache.pin", SETTING_NAMES, SIDE, AT(cache_pin), "", 0, CONFIG_NAMES_MAX, NULL,
     "Directories of the mounts (/models/**,...) of which every file has a copy, opened or not, of "
     "any size, that is not evicted"},
    {"cache.pin_switch", SETTING_BOOL, SIDE, AT(cache_pin_switch), "false", 0, 0, NULL,
     "Also keep a whole version of what is pinned, in .current/MOUNT of cache.dir; a new one takes "
     "its place at once, when all of it is there"},
    {"cache.warm", SETTING_PATH, SIDE, AT(cache_warm), "", 0, 0, NULL,
     "A file with paths of the mounts, one a line, that are copied when the sidecar starts; a "
     "directory with all below it"},
    {"cache.ready_waits", SETTING_BOOL, SIDE, AT(cache_ready_waits), "false", 0, 0, NULL,
     "Whether the health check (efsctl health) fails until what is pinned and warmed is there for "
     "the first time"},

    {"on_change", SETTING_NAMES, SIDE, AT(on_change), "", 0, CONFIG_NAMES_MAX, NULL,
     "What to do within the task when files change, as GLOB=http://127.0.0.1:PORT/PATH (a POST) or "
     "GLOB=signal:HUP:PROCESS,..."},
    {"on_change_debounce", SETTING_DURATION, SIDE, AT(on_change_debounce_ms), "200ms", 0, 1 * HOUR,
     NULL, "It is done when no change has come for this long (ten times as long at most)"},

    {"api.socket", SETTING_PATH, SIDE | CTL, AT(api_socket), "", 0, 0, NULL,
     "Path of the API's socket; api.sock in the run directory when not set"},
    {"api.mode", SETTING_MODE, SIDE, AT(api_mode), "0660", 0, 0, NULL,
     "Permission bits of the API's socket"},
    {"api.gid", SETTING_COUNT, SIDE, AT(api_gid), "-1", -1, ID_MAX, NULL,
     "Group of the API's socket; -1 leaves it as created"},
    {"api.uids", SETTING_NAMES, SIDE, AT(api_uids), "", 0, CONFIG_NAMES_MAX, NULL,
     "Numeric user ids that may use the API, besides root and the sidecar's own; all when not set"},
    {"api.rate", SETTING_COUNT, SIDE, AT(api_rate), "1000", 0, 1000000, NULL,
     "The most requests in a second, of each user id, that cost calls to EFS (publish, locks, "
     "claims, tasks, cache), five seconds' worth at once; 0 for no limit"},

    {"metrics.sinks", SETTING_NAMES, SIDE, AT(metrics_sinks), "emf", 0, CONFIG_NAMES_MAX, NULL,
     "Where metrics go, one or more of emf (JSON lines on stdout for CloudWatch Logs), emf_file "
     "and "
     "cloudwatch (calls of PutMetricData); or none"},
    {"metrics.namespace", SETTING_TEXT, SIDE, AT(metrics_namespace), "EFSSidecar", 1, 255, NULL,
     "CloudWatch namespace"},
    {"metrics.interval", SETTING_DURATION, SIDE, AT(metrics_interval_ms), "60s", 1 * SECOND,
     1 * HOUR, NULL, "How often metrics are sent"},
    {"metrics.cloudwatch_flush", SETTING_DURATION, SIDE, AT(metrics_flush_ms), "5m", 1 * SECOND,
     1 * HOUR, NULL,
     "How often PutMetricData is called, which is paid for; each interval keeps its own time "
     "stamp"},
    {"metrics.high_resolution", SETTING_BOOL, SIDE, AT(metrics_high_resolution), "false", 0, 0,
     NULL,
     "Let CloudWatch keep seconds, not minutes, and call it after each interval; set the interval "
     "to match"},
    {"metrics.buffer", SETTING_SIZE, SIDE, AT(metrics_buffer_bytes), "1MiB", 64 * 1024,
     64 * 1024 * 1024, NULL,
     "Memory for what waits to be sent to CloudWatch; the oldest is dropped when it is full"},
    {"metrics.emf_file", SETTING_PATH, SIDE, AT(metrics_emf_file), "", 0, 0, NULL,
     "Where the sink emf_file appends its lines; keep it off EFS"},
    {"metrics.emf_file_size", SETTING_SIZE, SIDE, AT(metrics_emf_file_bytes), "16MiB", 64 * 1024,
     1024 * 1024 * 1024, NULL,
     "At this size the file is renamed to FILE.1, which replaces the one before"},
    {"metrics.set", SETTING_CHOICE, SIDE, AT(metrics_set), "core", 0, 0, metrics_set_names,
     "Which metrics CloudWatch gets: the few that alarms need (core), or all"},
    {"metrics.include", SETTING_NAMES, SIDE, AT(metrics_include), "", 0, CONFIG_NAMES_MAX, NULL,
     "Names of metrics that CloudWatch gets besides the core ones"},
    {"metrics.task_dimension", SETTING_BOOL, SIDE, AT(metrics_task_dimension), "false", 0, 0, NULL,
     "Tell the metrics of tasks apart by task.name (dimension TaskId): each task is then paid for"},
    {"metrics.max_series", SETTING_COUNT, SIDE, AT(metrics_max_series), "500", 1, 10000, NULL,
     "The most metrics, counted for each mount, that this task gives CloudWatch; those beyond are "
     "refused and counted"},
};

static enum config_source sources[ARRAY_LEN(table)];

const struct config_table settings_table = {
    .settings = table,
    .n = ARRAY_LEN(table),
    .struct_size = sizeof(struct settings),
    .sources = sources,
};

int settings_run_path(const struct settings *settings, const char *name, char *buf, size_t size)
{
    int n = snprintf(buf, size, "%s/%s", settings->run_dir, name);
    return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

int settings_api_socket(const struct settings *settings, char *buf, size_t size)
{
    if (!*settings->api_socket)
        return settings_run_path(settings, "api.sock", buf, size);
    int n = snprintf(buf, size, "%s", settings->api_socket);
    return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}
