/*
 * watch_verdict: what the condition FeedReady says about an efs-watch that runs, or that ended.
 *
 *     watch_verdict_ready(conditions, &child, lacks_slot);
 *     watch_verdict_ended(conditions, &(struct watch_end){...}, how); // logs it, too
 *     watch_verdict_failing(conditions, in_a_row, how); // it runs again, but for how long?
 *
 * Threads: the loop's.
 */
#ifndef SIDECAR_WATCH_VERDICT_H
#define SIDECAR_WATCH_VERDICT_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/share/watch_frames.h"
#include "sidecar/health.h"

enum {
    WATCH_HOW_SIZE = 256,
    WATCH_ENDS_FAILING = 3, /* in a row: until then it is an accident */
};

/* An end that nobody asked for. */
struct watch_end {
    const char *path;
    int status;             /* of waitpid(2) */
    bool was_silent;        /* it was killed because it did not answer */
    const char *last_words; /* on its stderr; "" */
    unsigned in_a_row;      /* this one counted */
    int64_t pause_ms;       /* until the next start */
};

/* It has read the directories. lacks_slot: it should announce, and cannot. */
void watch_verdict_ready(struct conditions *conditions, const struct watch_status *child,
                         bool lacks_slot);
void watch_verdict_ended(struct conditions *conditions, const struct watch_end *end,
                         char ret_how[WATCH_HOW_SIZE]);
void watch_verdict_failing(struct conditions *conditions, unsigned in_a_row, const char *how);

#endif
