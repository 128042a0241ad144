/*
 * reaper_list: which directories there are: the part of reaper.h that lists them. For reaper.c
 * only.
 *
 *     r = reaper_list(reaper);          // reads them again if the directory of all tasks moved
 *     ... reaper->tasks[0 .. n_tasks-1] ...
 *
 * This task's own is not among them, nor are names that begin with a dot. Threads and errors: as
 * reaper.h.
 */
#ifndef SIDECAR_REAPER_LIST_H
#define SIDECAR_REAPER_LIST_H

#include "lib/share/owner.h"
#include "sidecar/reaper.h"

/* A directory beneath that of all tasks, or one beneath .orphans/. */
struct reaper_task {
    bool aside; /* the name is a UNIQUE of reap.h */
    bool read, has_owner, cleaned, told;
    struct owner owner;
    int64_t read_ms;
    int64_t gone_ms;   /* see owner_is_over() */
    int64_t over_ms;   /* since when its owner has been over; 0: it is not */
    int64_t claims_ms; /* without a record: when its claims were looked at */
    int64_t retry_ms;  /* not before, because something failed */
    unsigned round;    /* in which it was listed last */
    char name[];
};

/* -errno; -ESTALE: what is open is not what has the name any more. */
int reaper_list(struct reaper *reaper);

#endif
