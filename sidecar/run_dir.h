/*
 * run_dir: the directory that the containers of a task share, and the claim of one sidecar on it.
 *
 *     r = run_dir_open(&settings, &lock_fd, &err);
 *     ...
 *     close(lock_fd);                     // or the end of the process
 *
 * It is made when it is missing, such that other ids can reach the socket in it. Local: may be
 * called in the loop thread.
 */
#ifndef SIDECAR_RUN_DIR_H
#define SIDECAR_RUN_DIR_H

#include "lib/error.h"
#include "lib/settings.h"

/* -EBUSY: a live sidecar has it. */
int run_dir_open(const struct settings *settings, int *ret_lock_fd, struct error *err);

#endif
