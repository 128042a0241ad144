/*
 * reaper: looks after the write directories of tasks that ended: what they had claimed goes back,
 * what they were publishing is dropped, and the directory goes where orphans.policy says.
 *
 *     reaper_init(&reaper, &place);
 *     r = reaper_round(&reaper, &janitor, generation, &err);     // again at reaper.due_ms
 *     ... reaper.orphans ...
 *     reaper_release(&reaper);
 *
 * The member that is the janitor does it, after the janitor's round: a round begins with what there
 * is and ends where it may be cut off, so whoever is elected next goes on. Whether an owner is over
 * is decided by the board alone (owner.h): it left, or the janitor has waited for its fence_ms and
 * said so, or its slot is another one's and its fence_ms have passed since that was first seen
 * here. Before anything is done the election is proven, and board and owner are read once more. A
 * directory without a record is nobody's, and left alone but for claims in it; so is one of another
 * state directory.
 *
 * An idle round costs nothing: the directory of all tasks is asked for its attributes, and listed
 * if they moved, and records are read again, when somebody joined or left. Threads: every function
 * but init may hang with the mount: for one worker at a time, and not beside the janitor. Errors:
 * -errno and words; the next round begins anew.
 */
#ifndef SIDECAR_REAPER_H
#define SIDECAR_REAPER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "lib/error.h"
#include "sidecar/orphans.h"
#include "sidecar/place.h"

enum {
    REAPER_GROW = 64,
    REAPER_TASKS = 4096, /* directories that are looked after; more are left alone */
    REAPER_BUDGET = 64,  /* records read and files removed, in a round */
    REAPER_MORE_MS = 1000,
    REAPER_INTERVAL_MS = 60 * 1000,
    REAPER_RETRY_MS = 10 * 60 * 1000,
    REAPER_SETTLE_MS = 90 * 1000,    /* a directory and its record come later than the slot */
    REAPER_SYNC_MS = 15 * 60 * 1000, /* also when nobody came or left */
};

struct janitor;
struct reaper_task;

struct reaper {
    const struct place *place;
    enum orphans_policy policy;
    int64_t due_ms;   /* the next round */
    unsigned orphans; /* directories whose task ended, found by the last round */
    uint64_t settled; /* directories with which something was done, so far */

    struct janitor *janitor; /* during a round, as */
    uint64_t generation;     /* of the state directory */
    unsigned budget;
    bool more; /* than the budget allowed */

    int tasks_fd;      /* -1: not open */
    int64_t synced_ms; /* when the server was asked for the attributes of the directory */
    struct statx_timestamp listed_mtime, listed_ctime;
    bool list_again;  /* it moved a round ago: its times are coarse */
    uint64_t members; /* a sum over the board: who is there */
    int64_t members_moved_ms;
    unsigned round;
    unsigned n_tasks;
    struct reaper_task **tasks; /* with room for a multiple of REAPER_GROW */
};

void reaper_init(struct reaper *reaper, const struct place *place);
int reaper_round(struct reaper *reaper, struct janitor *janitor, uint64_t generation,
                 struct error *err);
void reaper_release(struct reaper *reaper);

#endif
