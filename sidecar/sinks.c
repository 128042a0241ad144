#include "sidecar/sinks.h"

#include <string.h>

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
