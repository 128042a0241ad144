/*
 * health: `efsctl health`, for the healthCheck of a container: one line, exit code 0 or 1.
 *
 * Healthy means that the sidecar's loop answers. That a mount stalls counts only when asked for
 * (--fail-on=mount), after --for and a part of up to half of it that differs from task to task: a
 * brown-out of the file system must not replace all tasks at once.
 */
#ifndef CLI_HEALTH_H
#define CLI_HEALTH_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "cli/command.h"

enum { HEALTH_LINE_MAX = 256 };

int health_run(const struct command_call *call);

/* This task's share of for_ms to for_ms * 3/2; name is what differs between tasks. */
int64_t health_patience_ms(int64_t for_ms, const char *name);

/*
 * Is what GET /healthz answered healthy? patience_ms -1: the mounts do not count. The line says why
 * or why not.
 */
bool health_judge(const json_t *healthz, int64_t patience_ms, char line[HEALTH_LINE_MAX]);

#endif
