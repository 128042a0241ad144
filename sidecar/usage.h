/*
 * usage: how much lies in a directory, measured a few files at a time.
 *
 *     struct usage usage = USAGE_NONE;
 *     while ((r = usage_measure(&usage, dir_fd, 50)) == 1)
 *         ... a second later ...                      // r == 0: usage.bytes, usage.files
 *     usage_reset(&usage);
 *
 * Files are counted by their length, but for the directory's own record (owner.h); everything that
 * is no directory is a file; other mounts and symbolic links are not followed. A tree that changes
 * meanwhile is counted as it was met. Where there are more directories than can be remembered, or
 * one cannot be read, the rest is left out and partial says so.
 *
 * Threads: every call may hang with the mount: for one worker at a time. Errors: -errno of the
 * directory itself.
 */
#ifndef SIDECAR_USAGE_H
#define SIDECAR_USAGE_H

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { USAGE_PENDING_MAX = 16 * 1024 };

struct usage {
    int64_t bytes, files;
    bool partial;

    int root_fd; /* -1: not begun */
    dev_t device;
    DIR *dir;         /* that is being read, and */
    char *path;       /* where it is */
    char **pending;   /* paths of those to be read */
    size_t n_pending; /* at most USAGE_PENDING_MAX */
};

#define USAGE_NONE ((struct usage){.root_fd = -1})

/* Look at up to `most` entries. 1: there is more; 0: done. dir_fd is needed by the first call. */
int usage_measure(struct usage *usage, int dir_fd, unsigned most);

/* Forget all but the sums. */
void usage_reset(struct usage *usage);

#endif
