/*
 * watch_exec: `efsctl watch --exec`: a command that is run after changes, one at a time.
 *
 *     watch_exec_open("nginx -s reload", 200, &exec);
 *     watch_exec_add(exec, line, change);                // while watch_exec_has_room(exec)
 *     if (clock_now_ms() >= watch_exec_due_ms(exec))
 *         watch_exec_start(exec, &err);
 *     if (watch_exec_reap(exec))                         // after SIGCHLD: the run is over
 *         ... watch_exec_code(exec), watch_exec_cursor(exec) ...
 *     watch_exec_close(exec);                            // not while one is running
 *
 * The command goes to /bin/sh, in a process group of its own, with the changes as JSON lines on
 * stdin (a file in memory: a command that does not read it blocks nobody) and the last of them in
 * EFS_WATCH_PATH (whole, exact bytes), EFS_WATCH_OP and EFS_WATCH_CURSOR. Its output goes where
 * ours goes. If we are killed it gets SIGTERM.
 *
 * Changes wait in memory up to a cap; who has no room for more stops reading the stream, and the
 * sidecar makes a resync of what it cannot keep either.
 *
 * Ownership: command is the caller's. Threads: one; SIGCHLD must be blocked or have a handler.
 */
#ifndef CLI_WATCH_EXEC_H
#define CLI_WATCH_EXEC_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/error.h"

struct watch_exec;

int watch_exec_open(const char *command, int64_t debounce_ms, struct watch_exec **ret_exec);
void watch_exec_close(struct watch_exec *exec);

bool watch_exec_has_room(const struct watch_exec *exec);
int watch_exec_add(struct watch_exec *exec, const char *line, const json_t *change); /* -ENOMEM */

bool watch_exec_waits(const struct watch_exec *exec); /* for its time */
bool watch_exec_runs(const struct watch_exec *exec);
int64_t watch_exec_due_ms(const struct watch_exec *exec); /* CLOCK_NEVER: not now */

int watch_exec_start(struct watch_exec *exec, struct error *err);
void watch_exec_signal(const struct watch_exec *exec, int signal_number);

/* true, once: the run has ended. Then there are its exit code (128 and the signal, if that ended
 * it) and the cursor of the last change that it was told. */
bool watch_exec_reap(struct watch_exec *exec);
int watch_exec_code(const struct watch_exec *exec);
const char *watch_exec_cursor(const struct watch_exec *exec);

/* The path of a change, with its mount's in front, to be freed; NULL: no memory, or it is none. */
char *watch_exec_path(const json_t *change);

#endif
