/*
 * support: efsctl support, all that a bug report needs as one JSON document, redacted; and efsctl
 * log, which shows the sidecar's last lines and sets what it logs from now on.
 */
#ifndef CLI_SUPPORT_H
#define CLI_SUPPORT_H

#include "cli/command.h"

int support_run(const struct command_call *call);
int log_run(const struct command_call *call);

#endif
