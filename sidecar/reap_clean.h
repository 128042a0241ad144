/*
 * reap_clean: what a task that ended has to give back, in its write directory: the files that it
 * had claimed, and the copies that it was publishing.
 *
 *     r = reap_clean(&clean, task_fd, &budget, &err);   // 1: nothing is left; 0: not yet
 *
 * Claims have owners of their own, which are asked about: those of an earlier life of the task, or
 * of a second one with its name, may last longer than the task's. What is done is logged. It may be
 * stopped anywhere and done again. Threads: it may hang with the mount: for workers. Errors: -errno
 * and words.
 */
#ifndef SIDECAR_REAP_CLEAN_H
#define SIDECAR_REAP_CLEAN_H

#include "lib/error.h"
#include "lib/share/owner.h"
#include "lib/share/slot.h"
#include "sidecar/place.h"

struct reap_clean {
    const struct place *place;
    const char *task;
    const struct owner *owner; /* of the directory; it is over. NULL: it has no record (yet) */
    int64_t over_ms;           /* since then, on one's own clock */
    uint64_t generation;
    const struct slot *slots; /* all of the board */
};

int reap_clean(const struct reap_clean *clean, int task_fd, unsigned *budget, struct error *err);

#endif
