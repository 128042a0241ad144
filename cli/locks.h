/*
 * locks: `efsctl locks`: which locks this task has or waits for, and what the file of one says.
 */
#ifndef CLI_LOCKS_H
#define CLI_LOCKS_H

#include <stddef.h>

#include "cli/command.h"

int locks_run(const struct command_call *call);

/* "/v1/locks/PREFIXNAME" with the name as in a URL. -E2BIG: it does not fit. */
int locks_resource(const char *prefix, const char *name, char *buf, size_t size);

#endif
