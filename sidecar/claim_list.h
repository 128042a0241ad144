/*
 * claim_list: what may be claimed from a queue just now.
 *
 *     struct claim_listing listing = {.place = place, .queue = "uploads", .match = "*.jpg"};
 *     r = claim_list(&listing, &err);          // listing.window, and listing.retry_ms
 *
 * Regular files, the oldest first. Attributes come with the names (READDIRPLUS): no call for each.
 * Where the directory changes so much that there would be one, most have no known age: they come
 * last, each listing beginning at a random one.
 * What was given back is found beneath .retry, and taken when it has rested there for a while, as
 * seen from here: longer after each failure. Of a very long queue the first LIST_NAMES_MAX names in
 * the server's order are looked at.
 *
 * Threads: a worker's, as a namespace operation (it removes what is left behind beneath .retry);
 * may hang with the mount. Errors: -errno and words.
 */
#ifndef SIDECAR_CLAIM_LIST_H
#define SIDECAR_CLAIM_LIST_H

#include <stdbool.h>

#include "sidecar/claim_file.h"
#include "sidecar/claim_window.h"

enum { CLAIM_LIST_NAMES_MAX = 20000, CLAIM_RESTING_MAX = 256 };

/* Directories beneath .retry, and since when they have been seen. */
struct claim_resting {
    size_t n;
    struct {
        char name[CLAIM_DIR_TEXT];
        int64_t since_ms;
        bool seen; /* in this listing */
    } of[CLAIM_RESTING_MAX];
};

struct claim_listing {
    const struct place *place;
    const char *queue, *match;    /* match "": all */
    struct claim_resting resting; /* of the listing before, and of this one */
    struct claim_window window;
    unsigned names, start;        /* in the queue; where those without a known age begin */
    unsigned slow, slow_in_a_row; /* questions for attributes that went to the server */
    int64_t retry_ms;             /* when something has rested long enough; CLOCK_NEVER */
};

int claim_list(struct claim_listing *listing, struct error *err);

#endif
