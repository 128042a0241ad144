/*
 * publish: `efsctl publish`: a finished file appears at its place, whole, for all tasks.
 *
 * A file on the mount is published as it is, and leaves its old place; one from elsewhere, and with
 * --keep any, is copied to the task's directory first. DEST is relative to the mount, or an
 * absolute path on one.
 */
#ifndef CLI_PUBLISH_H
#define CLI_PUBLISH_H

#include "cli/command.h"

enum {
    PUBLISH_EXISTS = 73,  /* EX_CANTCREAT: there is something, and not --replace */
    PUBLISH_UNKNOWN = 74, /* EX_IOERR: it may be published or not */
    PUBLISH_STALE = 76,   /* as `efsctl lock`: the lock was lost */
    PUBLISH_ARGUMENTS_MAX = 1001,
};

int publish_run(const struct command_call *call);

#endif
