/*
 * conformance: does the file system in a directory do what the design relies on? Alone, or from
 * two tasks at once (--peer). Needs no sidecar.
 *
 *     efsctl conformance [--peer] [--json] DIR
 *
 * Each property is tried by a process of its own, so one that hangs is reported as unknown, not
 * waited for. What is made lies in DIR/.efs-conformance and is removed again. Exit code 0: all of
 * them hold; 1: one does not, or is not known. Threads: one.
 */
#ifndef CLI_CONFORMANCE_H
#define CLI_CONFORMANCE_H

#include "cli/command.h"

int conformance_run(const struct command_call *call);

#endif
