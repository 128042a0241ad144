/*
 * reap: what is done with one write directory whose owner is over, in steps that can be done again.
 *
 *     r = reap_begin(&reap, "web-1", &owner);     // tasks/web-1 -> tasks/.orphans/UNIQUE/web-1
 *     r = reap_settle(&reap, "UNIQUE", over);     // and from there to where the policy says
 *
 * A directory is moved aside under a name that is used once, and only there the policy is carried
 * out. So a rename that arrives late finds nothing to move into once UNIQUE is gone; and whoever
 * clears up next sees all that was begun, and looks at its owner again: one that lives gets its
 * directory back. Every action is logged; with dry_run nothing else is done.
 *
 *     1 nothing is done yet        3 the directory lies in UNIQUE       5 UNIQUE is gone
 *     2 UNIQUE is made             4 it is where the policy says
 *
 * Threads: functions may hang with the mount: for one worker at a time. Errors: -errno and words.
 */
#ifndef SIDECAR_REAP_H
#define SIDECAR_REAP_H

#include <stdbool.h>

#include "lib/error.h"
#include "lib/share/owner.h"
#include "sidecar/orphans.h"
#include "sidecar/place.h"

struct reap {
    const struct place *place;
    int tasks_fd;
    enum orphans_policy policy;
    unsigned budget; /* files that may still be removed in this round */
    struct error err;
};

enum { REAP_UNIQUE_SIZE = 48 };

int reap_begin(struct reap *reap, const char *name, const struct owner *owner,
               char ret_unique[REAP_UNIQUE_SIZE]);

/* Whose is what lies in UNIQUE? -ENODATA: nothing is there; -ENOENT: nobody's any more. */
int reap_owner(struct reap *reap, const char *unique, struct owner *ret_owner);

/* over: its owner is; else it gets it back. 1 done, 0 something is left. */
int reap_settle(struct reap *reap, const char *unique, bool over);

#endif
