/*
 * lock: `efsctl lock`, `once` and `lead`: commands under a lock of the fleet.
 */
#ifndef CLI_LOCK_H
#define CLI_LOCK_H

#include "cli/command.h"

enum {
    LOCK_ARGUMENTS_MAX = 4096,
    LOCK_NOT_OBTAINED = 75, /* EX_TEMPFAIL: somebody else has it */
    LOCK_LOST = 76,         /* and the command was ended for that */
};

int lock_run(const struct command_call *call);
int once_run(const struct command_call *call);
int lead_run(const struct command_call *call);

#endif
