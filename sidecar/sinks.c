#include "sidecar/sinks.h"

#include <string.h>

const char *const metric_kind_names[] = {
    [METRIC_COUNTER] = "counter",
    [METRIC_GAUGE] = "gauge",
    [METRIC_PEAK] = "peak",
    [METRIC_DISTRIBUTION] = "distribution",
};

const char *const metric_unit_names[] = {
    [UNIT_NONE] = "None",       [UNIT_COUNT] = "Count", [UNIT_MILLISECONDS] = "Milliseconds",
    [UNIT_SECONDS] = "Seconds", [UNIT_BYTES] = "Bytes", [UNIT_PERCENT] = "Percent",
};

static const struct sink *const sinks[] = {&sink_emf, &sink_emf_file, &sink_cloudwatch};

const struct sink *sink_find(const char *name)
{
    for (size_t i = 0; i < sizeof(sinks) / sizeof(sinks[0]); i++)
        if (strcmp(sinks[i]->name, name) == 0)
            return sinks[i];
    return NULL;
}

const char *sink_names(void)
{
    return "emf, emf_file, cloudwatch, none";
}

const char *const dimension_names[DIMENSIONS] = {
    [DIMENSION_CLUSTER] = "ClusterName",
    [DIMENSION_SERVICE] = "ServiceName",
    [DIMENSION_FILE_SYSTEM] = "FileSystemId",
    [DIMENSION_TASK] = "TaskId",
};

const char *metric_dimension(const struct metrics_view *view, const struct metric_group *group,
                             enum dimension dimension)
{
    const struct settings *settings = view->settings;
    switch (dimension) {
    case DIMENSION_CLUSTER:
        return settings->cluster_name;
    case DIMENSION_SERVICE:
        return settings->service_name;
    case DIMENSION_FILE_SYSTEM:
        return group->file_system;
    case DIMENSION_TASK:
        return settings->metrics_task_dimension ? settings->task_name : "";
    case DIMENSIONS:
        break;
    }
    return "";
}
