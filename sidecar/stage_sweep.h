/*
 * stage_sweep: what clients that died left in this task's .stage, while the task lives on.
 *
 *     struct stage_sweep sweep = {0};
 *     r = stage_sweep_look(&sweep, task_fd, now_ms, age_ms, &swept, &err);     // every age_ms
 *     stage_sweep_release(&sweep);
 *
 * A file is removed by the first look that finds it as it was (inode, size, time of modification
 * and change) in one at least age_ms before. What is written to, renamed or linked meanwhile begins
 * anew, and everything does after a look that comes late: who kept the sidecar from looking may
 * have kept the writers from writing. Only names in .stage itself: no link is followed, no
 * directory entered or removed. The looks of an earlier sidecar do not count.
 *
 * A look is a listing, and a question for each file that is there.
 *
 * Ownership: the caller's; what it remembers is released by _release(). Threads: one at a time. It
 * may hang with the mount. Errors: -errno and words; what was removed until then is in ret_swept.
 */
#ifndef SIDECAR_STAGE_SWEEP_H
#define SIDECAR_STAGE_SWEEP_H

#include <stddef.h>
#include <stdint.h>

#include "lib/error.h"

enum { STAGE_SEEN_MAX = 1024 }; /* files that are remembered; others are when these are gone */

struct stage_seen;

struct stage_sweep {
    struct stage_seen *seen;
    size_t n;
    int64_t looked_ms;
};

struct stage_swept {
    uint64_t files, bytes;
};

int stage_sweep_look(struct stage_sweep *sweep, int task_fd, int64_t now_ms, int64_t age_ms,
                     struct stage_swept *ret_swept, struct error *err);
void stage_sweep_release(struct stage_sweep *sweep);

#endif
