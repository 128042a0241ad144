/*
 * run_dir: the directory that the containers of a task share, and the claim of one sidecar on it.
 *
 *     r = run_dir_open(&settings, &lock_fd, &err);
 *     if (!run_dir_protect(&settings)) ...     // other users may replace what we make there
 *     ... now and then:
 *     r = run_dir_keep(&settings, &lock_fd, &err);
 *     ...
 *     close(lock_fd);                     // or the end of the process
 *
 * It is made when it is missing, such that other ids can reach the socket in it. The claim is a
 * lock on a file in it: when that was removed, with or without the directory, another sidecar could
 * begin, so it is put back, or given up for good when somebody was faster. What another user has
 * made under our names is refused. Local: may be called in the loop thread.
 */
#ifndef SIDECAR_RUN_DIR_H
#define SIDECAR_RUN_DIR_H

#include <stdbool.h>

#include "lib/error.h"
#include "lib/settings.h"

/* -EBUSY: a live sidecar has it. */
int run_dir_open(const struct settings *settings, int *ret_lock_fd, struct error *err);

/* Is what we make there safe from other users? The sticky bit is set where it is missing and the
 * directory is ours. */
bool run_dir_protect(const struct settings *settings);

/* 1: it was gone and is there again; 0: it is there; -EBUSY: another sidecar has it by now; other
 * errors: it cannot be put back for now. */
int run_dir_keep(const struct settings *settings, int *lock_fd, struct error *err);

#endif
