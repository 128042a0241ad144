/*
 * claim: `efsctl claim`: a command once for each file of a directory, in the whole fleet.
 */
#ifndef CLI_CLAIM_H
#define CLI_CLAIM_H

#include "cli/command.h"

int claim_run(const struct command_call *call);

#endif
