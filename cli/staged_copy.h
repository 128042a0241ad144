/*
 * staged_copy: a copy of a file in the task's directory, synced, for the sidecar to publish.
 *
 *     r = staged_copy_make(fd, task_dir, mode, &name, &err);   // task_dir/.stage/NAME
 *     ... published, or ...
 *     staged_copy_remove(task_dir, name);
 *
 * What lies in .stage is never the only copy, so nothing is lost with it. May hang with the mount.
 * Threads: one at a time.
 */
#ifndef CLI_STAGED_COPY_H
#define CLI_STAGED_COPY_H

#include <sys/types.h>

#include "lib/error.h"

enum { STAGED_NAME_SIZE = 32 };

/* From where fd stands to its end. */
int staged_copy_make(int fd, const char *task_dir, mode_t mode, char ret_name[STAGED_NAME_SIZE],
                     struct error *err);
void staged_copy_remove(const char *task_dir, const char *name);

#endif
