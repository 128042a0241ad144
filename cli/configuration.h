/*
 * configuration: `efsctl config`, the settings that the sidecar runs with and where each came from.
 */
#ifndef CLI_CONFIGURATION_H
#define CLI_CONFIGURATION_H

#include "cli/command.h"

int configuration_run(const struct command_call *call);

#endif
