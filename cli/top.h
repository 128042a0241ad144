/*
 * top: `efsctl top`, a live view of the mounts on a terminal; one look as plain text elsewhere.
 */
#ifndef CLI_TOP_H
#define CLI_TOP_H

#include "cli/command.h"

int top_run(const struct command_call *call);

#endif
