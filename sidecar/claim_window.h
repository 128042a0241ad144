/*
 * claim_window: what a listing of a queue found that may be claimed: the oldest, in order.
 *
 *     claim_window_add(&window, "a.jpg", mtime_ns, 0);     // any number: the oldest stay
 *     claim_window_seal(&window);
 *     while ((candidate = claim_window_next(&window))) {   // the caller's now
 *         ... try to claim it ...
 *         claim_window_tell(&window, it_was_mine);
 *         claim_candidate_free(candidate);
 *     }
 *     claim_window_clear(&window);
 *
 * Who is alone takes the oldest first. Several that work on one queue find the same files: who is
 * told twice in a row that somebody was faster goes on at a random place, and after some more the
 * window is worth nothing any more and ends; the next one begins at a random place.
 *
 * Ownership: the window owns its candidates until they are given out. Threads: one at a time.
 */
#ifndef SIDECAR_CLAIM_WINDOW_H
#define SIDECAR_CLAIM_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CLAIM_WINDOW_MAX = 2048 };

struct claim_candidate {
    int64_t mtime_ns;
    unsigned attempts;
    char path[]; /* in the queue */
};

struct claim_window {
    size_t n, room; /* of all[]; those that were given out are NULL */
    size_t left, cursor;
    unsigned missed; /* in a row */
    bool contended;  /* somebody was faster in this window */
    struct claim_candidate **all;
};

int claim_window_add(struct claim_window *window, const char *path, int64_t mtime_ns,
                     unsigned attempts);

/* contended: the window before was. */
void claim_window_seal(struct claim_window *window, bool contended);
struct claim_candidate *claim_window_next(struct claim_window *window);
void claim_window_tell(struct claim_window *window, bool mine);
void claim_window_clear(struct claim_window *window);

void claim_candidate_free(struct claim_candidate *candidate);
const char *claim_candidate_name(const struct claim_candidate *candidate);

#endif
