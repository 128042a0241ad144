/*
 * explain: `efsctl explain`, what a message, an exit code or a stopped task means. Needs no sidecar
 * and no credentials.
 */
#ifndef CLI_EXPLAIN_H
#define CLI_EXPLAIN_H

#include "cli/command.h"

int explain_run(const struct command_call *call);

#endif
