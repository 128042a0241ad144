/*
 * daemon: the parts of the sidecar put together, from start to stop.
 *
 *     struct settings settings;                       // loaded, see lib/config.h
 *     status = daemon_run(&settings);                 // does not return when a call is stuck
 *
 * One loop thread, which never touches EFS, DNS or a slow disk. SIGTERM and SIGINT give back what
 * is held and end the process within stop_timeout less two seconds, also when a mount hangs;
 * another signal shortens that. Who calls it may have blocked them until then. SIGHUP, SIGUSR1 and
 * SIGUSR2 mean nothing and are ignored. As process 1 it waits for children that it inherits.
 */
#ifndef SIDECAR_DAEMON_H
#define SIDECAR_DAEMON_H

#include "lib/settings.h"

/* The exit code: 0, or 1 with the reason on the log. */
int daemon_run(struct settings *settings);

#endif
