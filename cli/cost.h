/*
 * cost: `efsctl metrics --cost`, what a month of the metrics and of the sidecar's own calls costs,
 * each line with its formula, computed from what the running sidecar really sent.
 */
#ifndef CLI_COST_H
#define CLI_COST_H

#include <jansson.h>
#include <stdio.h>

#include "cli/command.h"

/* region: NULL for that of the environment, if it says one. */
int cost_run(const struct command_call *call, const char *region);

/* metrics and config as of GET /v1/metrics and /v1/config; region NULL: not known. */
void cost_print(const json_t *metrics, const json_t *config, const char *region, FILE *out);

#endif
