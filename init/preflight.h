/*
 * preflight: `efs-init preflight`, why a mount from here would fail, without mounting anything. For
 * a task without the volume: one whose mount fails never starts a container to look from.
 *
 * Threads: one, before others are started.
 */
#ifndef INIT_PREFLIGHT_H
#define INIT_PREFLIGHT_H

#include "init/preflight_survey.h"

/* argv[0] is "preflight". Ends the process with 0 or the code of the first failure's cause; returns
 * the exit code when there was nothing to look at. */
int preflight_main(int argc, char **argv);

/* What TARGET means, a file system id or ARN, a DNS name or an address, into what of *wish is
 * empty. -EINVAL. */
int preflight_parse_target(const char *target, struct preflight_wish *wish, struct error *err);

#endif
