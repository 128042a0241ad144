/* taskdef: `efsctl taskdef add FILE`, which needs no sidecar. */
#ifndef CLI_TASKDEF_H
#define CLI_TASKDEF_H

#include "cli/command.h"

int taskdef_run(const struct command_call *call);

#endif
