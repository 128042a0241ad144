#include "sidecar/metric_group.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void metrics_count(struct metric_group *group, enum metric_id id, uint64_t n)
{
    struct metric_cell *cell = &group->cells[id];
    cell->known = true;
    cell->interval += (double)n;
    cell->total += (double)n;
}

void metrics_count_total(struct metric_group *group, enum metric_id id, uint64_t total)
{
    uint64_t *seen = &group->cells[id].seen;
    metrics_count(group, id, total >= *seen ? total - *seen : total);
    *seen = total;
}

void metrics_set(struct metric_group *group, enum metric_id id, double value)
{
    struct metric_cell *cell = &group->cells[id];
    if (metrics_table[id].kind == METRIC_GAUGE || value > cell->interval)
        cell->interval = value;
    cell->known = true;
}

void metrics_observe_mean(struct metric_group *group, enum metric_id id, double mean, uint64_t n)
{
    struct metric_cell *cell = &group->cells[id];
    cell->known = true;
    distribution_add(cell->values, mean, n);
    cell->sum += mean * (double)n;
    cell->count += n;
}

void metrics_observe(struct metric_group *group, enum metric_id id, double value)
{
    metrics_observe_mean(group, id, value, 1);
}

void metrics_forget(struct metric_group *group, enum metric_id id)
{
    group->cells[id].known = false;
}

int metrics_set_file_system(struct metric_group *group, const char *file_system)
{
    char *copy = strdup(file_system);
    if (!copy)
        return -ENOMEM;
    free(group->file_system);
    group->file_system = copy;
    return 0;
}

int metric_group_init(struct metric_group *group, struct metric_cell *cells, const char *mount,
                      const char *file_system)
{
    *group = (struct metric_group){
        .mount = strdup(mount), .file_system = strdup(file_system), .cells = cells};
    bool whole = group->mount && group->file_system;
    for (size_t i = 0; whole && i < METRIC_N; i++) {
        const struct metric *metric = &metrics_table[i];
        if (metric->per_mount != (*mount != '\0'))
            continue;
        cells[i].known = metric->kind == METRIC_COUNTER && !metric->per_mount;
        if (metric->kind != METRIC_DISTRIBUTION)
            continue;
        cells[i].values = calloc(1, sizeof(struct distribution));
        cells[i].last = calloc(1, sizeof(struct distribution));
        whole = cells[i].values && cells[i].last;
    }
    if (whole)
        return 0;
    metric_group_release(group);
    return -ENOMEM;
}

void metric_group_release(struct metric_group *group)
{
    for (size_t i = 0; i < METRIC_N; i++) {
        free(group->cells[i].values);
        free(group->cells[i].last);
    }
    free(group->mount);
    free(group->file_system);
}

void metric_group_begin(struct metric_group *group)
{
    for (size_t i = 0; i < METRIC_N; i++) {
        struct metric_cell *cell = &group->cells[i];
        switch (metrics_table[i].kind) {
        case METRIC_PEAK:
            cell->total = cell->interval;
            cell->interval = 0;
            break;
        case METRIC_COUNTER:
            cell->interval = 0;
            break;
        case METRIC_DISTRIBUTION:
            if (cell->values && cell->values->n > 0)
                *cell->last = *cell->values;
            if (cell->values)
                distribution_clear(cell->values);
            break;
        case METRIC_GAUGE:
            break;
        }
    }
}
