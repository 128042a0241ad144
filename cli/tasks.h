/*
 * tasks: `efsctl tasks`: every task's write directory, whose task lives or ended.
 */
#ifndef CLI_TASKS_H
#define CLI_TASKS_H

#include "cli/command.h"

int tasks_run(const struct command_call *call);

#endif
