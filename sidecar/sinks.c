#include "sidecar/sinks.h"

#include <string.h>

const char *const metric_kind_names[] = {
    [METRIC_COUNTER] = "counter",
    [METRIC_GAUGE] = "gauge",
    [METRIC_PEAK] = "peak",
    [METRIC_DISTRIBUTION] = "distribution",
};

const char *const metric_unit_names[] = {
    [UNIT_NONE] = "None",   [UNIT_COUNT] = "Count",     [UNIT_MILLISECONDS] = "Milliseconds",
    [UNIT_BYTES] = "Bytes", [UNIT_PERCENT] = "Percent",
};

static const struct sink *const sinks[] = {&sink_emf};

const struct sink *sink_find(const char *name)
{
    for (size_t i = 0; i < sizeof(sinks) / sizeof(sinks[0]); i++)
        if (strcmp(sinks[i]->name, name) == 0)
            return sinks[i];
    return NULL;
}

const char *sink_names(void)
{
    return "emf, none";
}
