/*
 * claim_recover: gives back what earlier lives of this task had claimed: before a restart of its
 * sidecar, or a slot that was lost.
 *
 *     struct claim_recovery recovery = {.place = place};
 *     r = claim_recover(&recovery, &owner, on_nfs, &err);      // a slot was taken; and again at
 *                                                              // recovery.due_ms
 *
 * All directories of claims in the task's write directory but that of owner, who calls, are looked
 * at. Whether theirs is over is decided by the board alone (owner.h), and of one that did not leave
 * the fence is waited for: what it worked on may go on until then. What dead tasks had claimed is
 * the reaper's.
 *
 * Threads: a worker's, one at a time, as a namespace operation; may hang with the mount. Errors:
 * -errno and words; the next round begins anew.
 */
#ifndef SIDECAR_CLAIM_RECOVER_H
#define SIDECAR_CLAIM_RECOVER_H

#include "sidecar/claim_return.h"

enum { CLAIM_RECOVER_MAX = 64 }; /* directories that are waited for at once */

struct claim_recovery {
    const struct place *place;
    int64_t due_ms;                 /* CLOCK_NEVER: there are none */
    struct claim_returned returned; /* by the last round */
    size_t n;
    struct {
        char name[CLAIM_DIR_TEXT];
        int64_t gone_ms; /* see owner_is_over() */
        bool seen;
    } of[CLAIM_RECOVER_MAX];
};

int claim_recover(struct claim_recovery *recovery, const struct owner *owner, bool on_nfs,
                  struct error *err);

#endif
