/* Metrics: intervals and their time stamps, what is sent of them. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/sidecar/metrics_fixture.h"

static char emf[] = "emf";

static const struct metric_cell *cell(struct metric_group *group, enum metric_id id)
{
    return &group->cells[id];
}

static void test_updates(void **state)
{
    struct metrics *metrics = open_metrics();
    struct metric_group *data = metrics_add_mount(metrics, "/data", "");
    assert_false(cell(data, METRIC_WATCH_CHANGES)->known); /* nobody counts */
    assert_true(cell(metrics_of_process(metrics), METRIC_API_REQUESTS)->known);
    assert_false(cell(data, METRIC_MOUNT_READY)->known);

    metrics_count(data, METRIC_WATCH_CHANGES, 3);
    metrics_count(data, METRIC_WATCH_CHANGES, 4);
    assert_true(cell(data, METRIC_WATCH_CHANGES)->total == 7);

    /* The keeper of the total starts anew after 9: what it counted since is added. */
    static const uint64_t totals[] = {5, 9, 9, 2, 3};
    for (size_t i = 0; i < ARRAY_LEN(totals); i++)
        metrics_count_total(data, METRIC_WATCH_OVERFLOWS, totals[i]);
    assert_true(cell(data, METRIC_WATCH_OVERFLOWS)->total == 12);

    metrics_set(data, METRIC_MOUNT_READY, 1);
    metrics_set(data, METRIC_MOUNT_READY, 0);
    assert_true(cell(data, METRIC_MOUNT_READY)->interval == 0);
    metrics_close(metrics, 0);
}

static void test_every_metric_is_described(void **state)
{
    size_t n_core = 0;
    for (size_t i = 0; i < METRIC_N; i++) {
        const struct metric *metric = &metrics_table[i];
        assert_non_null(metric->name);
        assert_true(strlen(metric->meaning) > 10);
        assert_null(strchr(metric->meaning, '|')); /* docs/metrics.md has it in a table */
        assert_true(!metric->core || metric_alarms[i]);
        n_core += metric->core;
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(metric->name, metrics_table[j].name);
    }
    assert_in_range(n_core, 1, METRICS_CORE_MAX);
}

static void test_unknown_sinks(void **state)
{
    struct metrics *metrics;
    struct error err = {0};
    static char wrong[] = "cloudwach";
    settings.metrics_sinks.names[0] = wrong;
    assert_true(metrics_open(base, &settings, &health, &metrics, &err) < 0);
    assert_non_null(strstr(err.text, "metrics.sinks: \"cloudwach\""));

    settings.metrics_sinks = (struct name_list){.n = 2, .names = {emf, none}};
    assert_true(metrics_open(base, &settings, &health, &metrics, &err) < 0);
    assert_non_null(strstr(err.text, "\"none\""));

    settings.metrics_sinks = (struct name_list){.n = 2, .names = {emf, emf}};
    assert_true(metrics_open(base, &settings, &health, &metrics, &err) < 0);
    assert_non_null(strstr(err.text, "twice"));
}

/* ---- intervals, with stdout as a pipe that is read here ---- */

struct pipe_stdout {
    int saved, read_fd;
};

static struct pipe_stdout catch_stdout(void)
{
    int fds[2];
    fflush(stdout);
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    struct pipe_stdout p = {.saved = dup(STDOUT_FILENO), .read_fd = fds[0]};
    dup2(fds[1], STDOUT_FILENO);
    close(fds[1]);
    return p;
}

static void release_stdout(const struct pipe_stdout *p)
{
    dup2(p->saved, STDOUT_FILENO);
    close(p->saved);
}

static void run_interval(struct metrics *metrics, int64_t advance_ms)
{
    clock_fake_advance(advance_ms);
    metrics_tick(metrics);
}

static json_t *next_line(FILE *in)
{
    char line[65536];
    assert_non_null(fgets(line, sizeof(line), in));
    json_t *root = json_loads(line, 0, NULL);
    assert_non_null(root);
    return root;
}

static long long time_of(const json_t *root)
{
    return json_integer_value(json_object_get(json_object_get(root, "_aws"), "Timestamp"));
}

static void test_intervals(void **state)
{
    struct pipe_stdout p = catch_stdout();
    settings.metrics_sinks.names[0] = emf;
    struct metrics *metrics = open_metrics();
    metrics_count(metrics_of_process(metrics), METRIC_API_REQUESTS, 2);
    run_interval(metrics, 60000 + 7); /* 7 ms late */
    metrics_count(metrics_of_process(metrics), METRIC_API_REQUESTS, 5);
    run_interval(metrics, 3 * 60000); /* the process was stopped over two ends */
    run_interval(metrics, 60000 - 7);
    clock_fake_advance(1500);
    metrics_close(metrics, 5000); /* what is left of the interval goes out */
    release_stdout(&p);

    FILE *in = fdopen(p.read_fd, "r");
    static const struct {
        long long wall_ms;
        double requests, missed;
    } expected[] = {
        {1800000060000, 2, 0},
        {1800000120000, 5, 2},
        {1800000300000, 0, 0},
        {1800000301500, 0, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
        _cleanup_json_ json_t *line = next_line(in);
        assert_true(time_of(line) == expected[i].wall_ms);
        assert_true(value_of(line, "ApiRequests") == expected[i].requests);
        assert_true(value_of(line, "MetricIntervalsMissed") == expected[i].missed);
        assert_true(value_of(line, "Heartbeat") == 1);
        assert_true(value_of(line, "ResidentMemory") > 100000);
    }
    assert_int_equal(fgetc(in), EOF);
    fclose(in);
}

/* ---- what CloudWatch gets ---- */

static void test_set_and_include(void **state)
{
    static char changes[] = "WatchChanges", lag[] = "LoopLag";
    for (int all = 0; all <= 1; all++) {
        settings.metrics_set = all ? METRICS_ALL : METRICS_CORE;
        settings.metrics_include = (struct name_list){.n = 2, .names = {changes, lag}};
        struct metrics *metrics = open_metrics();
        struct metric_group *data = metrics_add_mount(metrics, "/data", "fs-1");
        fill(metrics, data);
        _cleanup_json_ json_t *process = emf_of(metrics, metrics_of_process(metrics));
        _cleanup_json_ json_t *mount = emf_of(metrics, data);
        struct metrics_view view;
        size_t length;
        metrics_look(metrics, &view);
        _cleanup_free_ char *prometheus = prometheus_render(&view, &length);
        for (size_t i = 0; i < METRIC_N; i++) {
            const struct metric *metric = &metrics_table[i];
            bool wanted = all || metric->core || i == METRIC_WATCH_CHANGES || i == METRIC_LOOP_LAG;
            bool got = json_object_get(metric->per_mount ? mount : process, metric->name) != NULL;
            if (got != wanted)
                fail_msg("%s was %ssent", metric->name, got ? "" : "not ");
            if (!strstr(prometheus, metric->meaning))
                fail_msg("%s is not in GET /metrics", metric->name);
        }
        metrics_close(metrics, 0);
    }
}

/* The mount that comes last loses, and what it would have sent is counted, each interval. */
static void test_max_series(void **state)
{
    size_t of_process = 0;
    for (size_t i = 0; i < METRIC_N; i++)
        of_process += !metrics_table[i].per_mount;
    settings.metrics_max_series = METRIC_N + 1;
    struct metrics *metrics = open_metrics();
    struct metric_group *process = metrics_of_process(metrics);
    struct metric_group *data = metrics_add_mount(metrics, "/data", "fs-1");
    struct metric_group *more = metrics_add_mount(metrics, "/more", "fs-2");
    for (size_t i = 0; i < METRIC_N; i++) {
        if (metrics_table[i].kind == METRIC_GAUGE && metrics_table[i].per_mount)
            metrics_set(more, i, 1);
    }
    fill(metrics, data);
    double before = cell(process, METRIC_SERIES_REFUSED)->total;
    run_interval(metrics, 60000);
    _cleanup_json_ json_t *first = emf_of(metrics, data), *second = emf_of(metrics, more);
    assert_non_null(json_object_get(first, "MountReady"));
    assert_non_null(json_object_get(second, "MountStalled"));
    assert_null(json_object_get(second, "MountReady"));
    const double refused = (double)(METRIC_N - of_process - 1);
    assert_true(cell(process, METRIC_SERIES_REFUSED)->total == before + refused);
    run_interval(metrics, 60000);
    assert_true(cell(process, METRIC_SERIES_REFUSED)->total == before + 2 * refused);
    metrics_close(metrics, 0);
}

static void test_include_is_checked(void **state)
{
    static char wrong[] = "NfsErors";
    struct config_report report = {0};
    settings.metrics_include = (struct name_list){.n = 1, .names = {wrong}};
    metrics_check(&settings, &report);
    assert_int_equal(report.n_errors, 1);
    assert_non_null(strstr(report.text, "metrics.include: there is no metric \"NfsErors\""));
}

static void test_condition(void **state)
{
    const struct condition *publishing = &health.conditions.of[CONDITION_METRICS_PUBLISHING];
    struct metrics *metrics = open_metrics();
    assert_int_equal(publishing->status, CONDITION_UNKNOWN);
    metrics_close(metrics, 0);

    struct pipe_stdout p = catch_stdout();
    settings.metrics_sinks.names[0] = emf;
    metrics = open_metrics();
    assert_int_equal(publishing->status, CONDITION_TRUE);
    /* Nobody reads: the pipe (64 KiB) and the queue (256 KiB) fill up, then lines are dropped. */
    int64_t lines = 0;
    while (metrics_dropped(metrics) == 0 && lines++ < 10000)
        run_interval(metrics, 60000);
    int dropping = publishing->status;
    uint64_t dropped = metrics_dropped(metrics);
    int flags = fcntl(p.read_fd, F_GETFL);
    fcntl(p.read_fd, F_SETFL, flags | O_NONBLOCK);
    char buf[65536];
    while (publishing->status == CONDITION_FALSE) { /* drained again: it recovers */
        while (read(p.read_fd, buf, sizeof(buf)) > 0)
            usleep(1000);
        run_interval(metrics, 60000);
    }
    close(p.read_fd);
    metrics_close(metrics, 1000);
    release_stdout(&p);
    assert_int_equal(dropping, CONDITION_FALSE);
    assert_int_equal(dropped, 1);
    assert_in_range(lines, 100, 5000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_updates, set_up, tear_down),
        cmocka_unit_test(test_every_metric_is_described),
        cmocka_unit_test_setup_teardown(test_unknown_sinks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_intervals, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_set_and_include, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_max_series, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_include_is_checked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_condition, set_up, tear_down),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
