/*
 * promise: for how long what is held may be used after its last proof.
 *
 * Who holds something promises that what uses it is gone fence_ms after the last proof was sent.
 * The margin of it is for what that had under way; before that, there is time to say so.
 * Threads: safe.
 */
#ifndef SIDECAR_PROMISE_H
#define SIDECAR_PROMISE_H

#include <stdint.h>

enum { PROMISE_MARGIN_MS = 2000 };

static inline int64_t promise_valid_until_ms(int64_t proven_ms, int64_t fence_ms)
{
    return proven_ms + fence_ms - PROMISE_MARGIN_MS;
}

/* When it is told as lost if no proof succeeds: early enough for a polite end. */
static inline int64_t promise_lost_ms(int64_t proven_ms, int64_t fence_ms)
{
    return promise_valid_until_ms(proven_ms, fence_ms) - fence_ms / 6;
}

#endif
