/*
 * guard: runs a command that may only run for as long as a lock is valid, and ends it when its time
 * is up, also when efsctl or the sidecar is stopped or gone.
 *
 *     guard_start(&(struct guard_options){.argv = argv, ...}, &guard, &err);
 *     guard_extend(guard, valid_until_ms);             // with every proof of the lock
 *     poll guard_fd(guard) for POLLIN, then
 *     while ((r = guard_next(guard, &report)) == 1)
 *         GUARD_EXITED    the command ended; processes that it started may still run
 *         GUARD_ENDING    it is being ended, because the time is up or the lock is lost
 *         GUARD_GONE      it and all that it started are gone: the lock may be given back
 *     r == -EPIPE                                      // the guard itself is gone:
 *         guard_end_orphans()
 *     guard_close(guard);
 *
 * The guard is a process of its own, between efsctl and the command. All descendants of the command
 * come back to it (it is their subreaper), so it knows when the last of them is gone, whatever
 * process groups they made. It ends them politely GUARD_GRACE_MS before the time is up, and by
 * SIGKILL when it is. When the guard dies, the kernel kills the command, and what that had started
 * comes to efsctl, which kills it.
 *
 * Ownership: guard_close() ends nothing: a guard that lost efsctl goes on until the time is up.
 * Threads: one. Errors: -errno.
 */
#ifndef CLI_GUARD_H
#define CLI_GUARD_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/error.h"

enum {
    GUARD_GRACE_MS = 5000, /* at most, and a fifth of the time that it began with */
    GUARD_NOT_FOUND = 127, /* what a command that cannot be run exits with, as in a shell */
    GUARD_NOT_RUN = 126,
};

enum guard_on_lost {
    GUARD_TERM,  /* SIGTERM, then SIGKILL */
    GUARD_KILL,  /* SIGKILL at once */
    GUARD_IGNORE /* it runs on: the promise of the lock is given up */
};

struct guard_options {
    char *const *argv;
    enum guard_on_lost on_lost;
    int64_t valid_until_ms;  /* clock_now_ms() */
    const sigset_t *signals; /* that the command begins with blocked */
};

enum guard_event { GUARD_EXITED, GUARD_ENDING, GUARD_GONE };

struct guard_report {
    enum guard_event event;
    int status; /* GUARD_EXITED: as of waitpid(2) */
};

struct guard;

/* The command gets this process's environment, streams and process group. When the time is up
 * already it is not run, and GUARD_ENDING and GUARD_GONE come. */
int guard_start(const struct guard_options *options, struct guard **ret_guard, struct error *err);
void guard_close(struct guard *guard); /* NULL is fine */

int guard_fd(const struct guard *guard);
int guard_next(struct guard *guard, struct guard_report *ret_report); /* 1, 0: nothing yet */

void guard_extend(struct guard *guard, int64_t valid_until_ms);
void guard_lost(struct guard *guard);               /* the lock is: end it as on_lost says */
void guard_signal(struct guard *guard, int number); /* for the command, or what is left of it */

/* One that does not do its duty, because somebody stopped it: -EPIPE follows. */
void guard_kill(struct guard *guard);

/* After -EPIPE: kill all children of this process. true: none is left. */
bool guard_end_orphans(void);

#endif
