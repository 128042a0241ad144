/*
 * configuration: `efsctl config`, the settings that the sidecar runs with and where each came from.
 */
#ifndef CLI_CONFIGURATION_H
#define CLI_CONFIGURATION_H

#include <jansson.h>
#include <stdio.h>

#include "cli/command.h"

int configuration_run(const struct command_call *call);

/* What GET /v1/config answers, a line per setting. */
void configuration_print(json_t *config, FILE *out);

#endif
