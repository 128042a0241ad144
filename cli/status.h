/*
 * status: `efsctl status`, and the sidecar's status as people read it, in 80 columns.
 *
 * status_print() takes what GET /v1/status answers; a field that is missing prints as "-".
 */
#ifndef CLI_STATUS_H
#define CLI_STATUS_H

#include <jansson.h>
#include <stdio.h>

#include "cli/command.h"

int status_run(const struct command_call *call);

void status_print(const json_t *status, FILE *out);

#endif
