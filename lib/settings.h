/*
 * settings: every setting of every program, and the structure that they fill. The table is in
 * settings.c; what it can do is in config.h. Threads: the structure does not change once it is
 * read, and then belongs to all; it owns its strings (config_release()).
 */
#ifndef LIB_SETTINGS_H
#define LIB_SETTINGS_H

#include "lib/config.h"

enum {
    PROGRAM_INIT = 1 << 0,
    PROGRAM_SIDECAR = 1 << 1,
    PROGRAM_WATCH = 1 << 2,
    PROGRAM_CTL = 1 << 3,
};

enum profile { PROFILE_OBSERVE, PROFILE_COORDINATE, PROFILE_CACHE };
enum output_format { FORMAT_TEXT, FORMAT_JSON };
enum metrics_set { METRICS_CORE, METRICS_ALL };
enum aws_checks { AWS_CHECKS_NEVER, AWS_CHECKS_ON_FAILURE, AWS_CHECKS_ALWAYS };

struct settings {
    /* the task */
    int profile; /* enum profile */
    struct mount_list mounts;
    char *run_dir;
    char *task_name; /* "" = host name */
    char *cluster_name, *service_name;
    bool allow_local, seccomp;
    int log_level; /* enum log_level */
    int64_t stop_timeout_ms;

    /* on the share */
    char *state_dir, *tasks_dir;
    char *state_mount; /* "" = each mount itself */
    mode_t task_dir_mode;
    int64_t state_gid; /* -1 = leave as created */

    /* publishing */
    mode_t publish_mode; /* 0 = leave as it is */
    int64_t publish_digest_max_bytes;

    /* task directories, and those of tasks that ended */
    int64_t task_soft_limit_bytes; /* 0 = none */
    int64_t task_usage_interval_ms, task_usage_rate;
    int64_t task_stage_retention_ms; /* 0 = for ever */
    struct name_list orphans_policy;
    char *orphans_archive;
    int64_t orphans_retention_ms;
    bool orphans_dry_run;

    /* the gate */
    int64_t init_deadline_ms;
    struct ids_setting init_as, init_expect_owner;
    int64_t init_lock_hold_ms, init_wait_ms;
    struct name_list init_marker, init_create, init_require, init_access_points;
    char *init_expect_role; /* "" = any */
    bool init_sts;
    int init_aws_checks; /* enum aws_checks */
    char *init_install;  /* "" = nowhere */
    int init_format;     /* enum output_format */

    /* the sidecar's mounts */
    int64_t probe_interval_ms, stall_after_ms, canary_interval_ms, proof_interval_ms;
    int64_t fence_ms, retention_ms;

    /* watching */
    bool watch_enabled;
    struct name_list watch_paths, watch_exclude;
    int64_t watch_max_dirs, watch_batch_ms;
    int64_t feed_memory_bytes, feed_segment_bytes, feed_segments;
    int64_t scan_interval_ms, scan_rate, scan_max_entries;
    int64_t lock_proof_interval_ms, lock_max;
    int64_t claim_max_attempts;
    bool task_protection;
    int64_t feed_poll_ms, feed_poll_idle_ms, feed_idle_after_ms;

    /* the cache */
    char *cache_dir;
    struct name_list cache_rules;
    int64_t cache_size_bytes, cache_files, cache_file_max_bytes, cache_min_free_percent;
    struct ids_setting cache_as;
    int64_t cache_fetch_rate_bytes, cache_bounded_rate;
    struct name_list cache_pin;
    char *cache_warm;
    bool cache_pin_switch, cache_ready_waits;

    /* reactions */
    struct name_list on_change;
    int64_t on_change_debounce_ms;

    /* the API */
    char *api_socket; /* "" = api.sock in run_dir */
    mode_t api_mode;
    int64_t api_gid; /* -1 = the sidecar's */
    struct name_list api_uids;
    int64_t api_rate; /* 0 = no limit */

    /* metrics */
    struct name_list metrics_sinks;
    char *metrics_namespace;
    int64_t metrics_interval_ms;
    int64_t metrics_flush_ms, metrics_buffer_bytes;
    bool metrics_high_resolution;
    char *metrics_emf_file; /* "" = none */
    int64_t metrics_emf_file_bytes;
    int metrics_set; /* enum metrics_set */
    struct name_list metrics_include;
    bool metrics_task_dimension;
    int64_t metrics_max_series;
};

extern const struct config_table settings_table;
extern const char *const profile_names[];

/* Length-checked: RUN_DIR/NAME into buf of size bytes; -ENAMETOOLONG. */
int settings_run_path(const struct settings *settings, const char *name, char *buf, size_t size);

/* The socket's path: api.socket, or api.sock in the run directory. */
int settings_api_socket(const struct settings *settings, char *buf, size_t size);

#endif
