/*
 * metrics: `efsctl metrics`, what the sidecar measures as a table, and with --cost (cost.h)
 * what it costs.
 *
 * metrics_print() takes what GET /v1/metrics answers. The table fits 80 columns; where there are
 * METRICS_WIDE each line ends with what the metric means.
 */
#ifndef CLI_METRICS_H
#define CLI_METRICS_H

#include <jansson.h>
#include <stdio.h>

#include "cli/command.h"

enum { METRICS_WIDE = 120 };

int metrics_run(const struct command_call *call);

void metrics_print(const json_t *metrics, int columns, FILE *out);

#endif
