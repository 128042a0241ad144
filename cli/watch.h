/*
 * watch: `efsctl watch`, the stream of changes: a line for people on a terminal, JSON lines
 * otherwise, or a command that is run after changes (watch_exec.h).
 */
#ifndef CLI_WATCH_H
#define CLI_WATCH_H

#include "cli/command.h"

int watch_run(const struct command_call *call);

#endif
