/* What the tests of metrics share: settings, a clock that stands still, and metrics that go
 * nowhere.
 */
#ifndef TESTS_UNIT_SIDECAR_METRICS_FIXTURE_H
#define TESTS_UNIT_SIDECAR_METRICS_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/json.h"
#include "sidecar/health.h"
#include "sidecar/metrics.h"

static char none[] = "none", namespace[] = "EFSSidecar", cluster[] = "prod", service[] = "web",
            task[] = "task-1";

static struct settings settings;
static struct health health;
static struct event_base *base;

static inline int set_up(void **state)
{
    settings = (struct settings){
        .metrics_sinks = {.n = 1, .names = {none}},
        .metrics_namespace = namespace,
        .metrics_interval_ms = 60000,
        .metrics_set = METRICS_ALL,
        .metrics_max_series = 1000,
        .task_name = task,
        .cluster_name = cluster,
        .service_name = service,
    };
    clock_fake_set(1000000, 1800000000000);
    health_init(&health);
    base = event_base_new();
    return base ? 0 : -1;
}

static inline int tear_down(void **state)
{
    event_base_free(base);
    clock_fake_off();
    return 0;
}

static inline struct metrics *open_metrics(void)
{
    struct metrics *metrics = NULL;
    struct error err = {0};
    if (metrics_open(base, &settings, &health, &metrics, &err) < 0)
        fail_msg("%s", err.text);
    return metrics;
}

static inline double value_of(const json_t *root, const char *name)
{
    json_t *value = json_object_get(root, name);
    assert_true(json_is_number(value));
    return json_number_value(value);
}

static inline json_t *emf_of(struct metrics *metrics, const struct metric_group *group)
{
    struct metrics_view view;
    metrics_look(metrics, &view);
    _cleanup_free_ char *text = emf_render(&view, group);
    return text ? json_loads(text, 0, NULL) : NULL;
}

static inline void fill(struct metrics *metrics, struct metric_group *data)
{
    for (size_t i = 0; i < METRIC_N; i++) {
        struct metric_group *group =
            metrics_table[i].per_mount ? data : metrics_of_process(metrics);
        if (metrics_table[i].kind == METRIC_DISTRIBUTION)
            metrics_observe(group, i, 1.5);
        else if (metrics_table[i].kind == METRIC_COUNTER)
            metrics_count(group, i, 1);
        else
            metrics_set(group, i, 1);
    }
}

#endif
