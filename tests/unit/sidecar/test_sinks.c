/* What the sinks render: EMF lines, Prometheus text. */
#include <stdlib.h>
#include <string.h>

#include "lib/mountstats.h"
#include "tests/unit/sidecar/metrics_fixture.h"

static char nothing[] = "";

static void test_emf_dimensions(void **state)
{
    struct metrics *metrics = open_metrics();
    struct metrics_view view;
    struct metric_group *data = metrics_add_mount(metrics, "/data", "");
    metrics_set(data, METRIC_MOUNT_STALLED, 0);
    assert_int_equal(metrics_set_file_system(data, "fs-0123456789abcdef0"), 0);
    settings.service_name = nothing;
    metrics_look(metrics, &view);
    _cleanup_free_ char *text = emf_render(&view, data);
    _cleanup_json_ json_t *root = json_loads(text, 0, NULL);
    json_t *directive =
        json_array_get(json_object_get(json_object_get(root, "_aws"), "CloudWatchMetrics"), 0);
    _cleanup_free_ char *dimensions =
        json_dumps(json_object_get(directive, "Dimensions"), JSON_COMPACT);
    assert_string_equal(dimensions, "[[\"ClusterName\",\"FileSystemId\"]]");
    assert_string_equal(json_string_value(json_object_get(root, "ClusterName")), "prod");
    assert_string_equal(json_string_value(json_object_get(root, "FileSystemId")),
                        "fs-0123456789abcdef0");
    assert_null(json_object_get(root, "MountReady")); /* never set: not told */
    assert_null(json_object_get(root, "Heartbeat"));  /* not the mount's */
    assert_null(json_object_get(root, "TaskId"));

    settings.metrics_task_dimension = true;
    _cleanup_json_ json_t *tasks = emf_of(metrics, data);
    assert_string_equal(json_string_value(json_object_get(tasks, "TaskId")), "task-1");
    metrics_close(metrics, 0);
}

enum { EMF_ARRAY_MAX = 100 }; /* of the specification */

static void test_emf_distributions(void **state)
{
    struct metrics *metrics = open_metrics();
    struct metrics_view view;
    struct metric_group *data = metrics_add_mount(metrics, "/data", "");
    for (int i = 0; i < EMF_ARRAY_MAX; i++)
        metrics_observe(data, METRIC_PROBE_LATENCY, i % 3 + 0.5);
    metrics_look(metrics, &view);
    _cleanup_free_ char *few = emf_render(&view, data);
    _cleanup_json_ json_t *plain = json_loads(few, 0, NULL);
    json_t *values = json_object_get(plain, "ProbeLatency");
    assert_int_equal(json_array_size(values), EMF_ARRAY_MAX);
    assert_null(json_object_get(plain, "CanaryWriteLatency")); /* empty */

    for (int i = 0; i < 5000; i++)
        metrics_observe(data, METRIC_PROBE_LATENCY, i);
    _cleanup_free_ char *many = emf_render(&view, data);
    _cleanup_json_ json_t *merged = json_loads(many, 0, NULL);
    values = json_object_get(merged, "ProbeLatency");
    assert_int_equal(json_array_size(json_object_get(values, "Values")), EMF_ARRAY_MAX);
    assert_int_equal(json_array_size(json_object_get(values, "Counts")), EMF_ARRAY_MAX);
    assert_true(value_of(values, "Count") == 5000 + EMF_ARRAY_MAX);
    assert_true(value_of(values, "Max") == 4999 && value_of(values, "Min") == 0);
    assert_true(strlen(many) < 16384); /* Docker would cut a longer line in pieces */
    metrics_close(metrics, 0);
}

/* All metrics with many different values each: the line stays in one piece and loses no sample. */
static void test_emf_line_is_never_cut(void **state)
{
    static const int samples[] = {90, 5000};
    for (size_t s = 0; s < ARRAY_LEN(samples); s++) {
        struct metrics *metrics = open_metrics();
        struct metric_group *data = metrics_add_mount(metrics, "/data", "fs-0123456789abcdef0");
        fill(metrics, data);
        for (size_t i = 0; i < METRIC_N; i++)
            for (int n = 0; metrics_table[i].kind == METRIC_DISTRIBUTION && n < samples[s]; n++)
                metrics_observe(data, i, 1000.0 / (n + 3));
        struct metrics_view view;
        metrics_look(metrics, &view);
        _cleanup_free_ char *text = emf_render(&view, data);
        assert_in_range(strlen(text), 4096, 16383);
        _cleanup_json_ json_t *root = json_loads(text, 0, NULL);
        json_t *value = json_object_get(root, "NfsLockTime");
        assert_true(value_of(value, "Count") == samples[s] + 1);
        assert_true(value_of(value, "Min") <= 1.5);
        assert_true(value_of(value, "Max") > 333.333 && value_of(value, "Max") < 333.334);
        metrics_close(metrics, 0);
    }
}

static void test_prometheus(void **state)
{
    struct metrics *metrics = open_metrics();
    struct metrics_view view;
    size_t length;
    struct metric_group *odd = metrics_add_mount(metrics, "/a\"b\\c\nd", "");
    struct metric_group *data = metrics_add_mount(metrics, "/data", "fs-1");
    metrics_set(odd, METRIC_MOUNT_READY, 1);
    metrics_set(data, METRIC_MOUNT_READY, 0);
    metrics_observe(data, METRIC_CANARY_LATENCY, 1500);
    metrics_observe(data, METRIC_CANARY_LATENCY, 500);
    metrics_count(data, METRIC_WATCH_CHANGES, 12);
    clock_fake_advance(1000);
    metrics_look(metrics, &view);
    _cleanup_free_ char *text = prometheus_render(&view, &length);
    static const char *const wanted[] = {
        "# TYPE efs_sidecar_mount_ready gauge\n"
        "efs_sidecar_mount_ready{mount=\"/a\\\"b\\\\c\\nd\"} 1\n"
        "efs_sidecar_mount_ready{mount=\"/data\",file_system=\"fs-1\"} 0\n",
        "# TYPE efs_sidecar_canary_write_latency_seconds summary\n"
        "efs_sidecar_canary_write_latency_seconds_sum{mount=\"/data\",file_system=\"fs-1\"} 2\n"
        "efs_sidecar_canary_write_latency_seconds_count{mount=\"/data\",file_system=\"fs-1\"} 2\n",
        "# TYPE efs_sidecar_watch_changes_total counter\n",
        "efs_sidecar_watch_changes_total{mount=\"/data\",file_system=\"fs-1\"} 12\n",
        "\nefs_sidecar_heartbeat_total 0\n",
        "# TYPE efs_sidecar_cpu_used_ratio gauge\n",
        "# TYPE efs_sidecar_resident_memory_bytes gauge\n",
    };
    assert_int_equal(strlen(text), length);
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
        if (!strstr(text, wanted[i]))
            fail_msg("missing:\n%s\nin:\n%s", wanted[i], text);
    metrics_close(metrics, 0);
}

/* Each operation of the NFS client that was called, by name. */
static void test_prometheus_operations(void **state)
{
    struct metrics *metrics = open_metrics();
    struct metrics_view view;
    size_t length;
    struct metric_group *data = metrics_add_mount(metrics, "/data", "fs-1");
    struct mountstats stats = {
        .n_ops = 2,
        .ops = {{.name = "READ", .calls = 7, .round_trip_ms = 1500, .bytes_received = 99},
                {.name = "LOCKT"}},
    };
    data->nfs = &stats;
    metrics_look(metrics, &view);
    _cleanup_free_ char *text = prometheus_render(&view, &length);
    static const char *const wanted[] = {
        "# TYPE efs_sidecar_nfs_op_calls_total counter\n"
        "efs_sidecar_nfs_op_calls_total{mount=\"/data\",file_system=\"fs-1\",op=\"READ\"} 7\n",
        "\nefs_sidecar_nfs_op_round_trip_seconds_total{mount=\"/data\",file_system=\"fs-1\","
        "op=\"READ\"} 1.5\n",
        "\nefs_sidecar_nfs_op_received_bytes_total{mount=\"/data\",file_system=\"fs-1\","
        "op=\"READ\"} 99\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
        if (!strstr(text, wanted[i]))
            fail_msg("missing:\n%s\nin:\n%s", wanted[i], text);
    assert_null(strstr(text, "LOCKT"));
    metrics_close(metrics, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_emf_dimensions, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_emf_distributions, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_emf_line_is_never_cut, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_prometheus, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_prometheus_operations, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
