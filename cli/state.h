/*
 * state: `efsctl state show|upgrade|reset DIR`: the state directory of a mount, directly on the
 * file system. No sidecar is asked, so this also works when none can start.
 */
#ifndef CLI_STATE_H
#define CLI_STATE_H

#include "cli/command.h"

int state_run(const struct command_call *call);

#endif
