/*
 * own_dir: directories of ours in a place that other users of the task may write to as well.
 *
 *     r = own_dir_protect(dir_fd);                      // 1: others may replace what is in it
 *     r = own_dir_make(dir_fd, "mounts", 0755, &fd, &err);
 *     r = own_dir_check(fd, "sidecar.lock", &err);      // a file in it that is open
 *
 * The volumes of a task are writable for every user, so that whoever the sidecar runs as can use
 * them. The sticky bit keeps what one user makes there from the others; what somebody made before
 * us under a name that we use is refused with his uid. The name in a message is relative: the
 * caller puts the directory in front of it.
 *
 * -errno; -EPERM: it is somebody else's. Local calls. Threads: safe.
 */
#ifndef LIB_OWN_DIR_H
#define LIB_OWN_DIR_H

#include <sys/types.h>

#include "lib/error.h"

/* Sets the sticky bit where it is missing and we may. 1: it is missing still. */
int own_dir_protect(int dir_fd);

/* Make it or open it, and with it what is above it in path. Each is ours, and others may not write
 * into it. */
int own_dir_make(int at_fd, const char *path, mode_t mode, int *ret_fd, struct error *err);

/* Is what is open ours? */
int own_dir_check(int fd, const char *name, struct error *err);

#endif
