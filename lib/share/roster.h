/*
 * roster: who is on the board: each slot with whether a member holds it now.
 *
 *     r = roster_read(state_fd, &roster, &err);
 *     for (i = 0; i < BOARD_SLOTS; i++) ... roster.entries[i] ...
 *     r = roster_all_read(&roster, format, &err);      // may the format be changed to this one?
 *
 * Whether a slot is held is asked of the server, by a lock that is not taken; so this is for people
 * and rare decisions. -ENOENT: there is no board, so nobody. Threads: safe; may hang with the
 * mount.
 */
#ifndef LIB_SHARE_ROSTER_H
#define LIB_SHARE_ROSTER_H

#include <stdbool.h>

#include "lib/error.h"
#include "lib/share/board.h"

struct roster_entry {
    bool live;
    int status; /* of slot_decode() */
    struct slot slot;
};

struct roster {
    unsigned live;
    struct roster_entry entries[BOARD_SLOTS];
};

int roster_read(int state_fd, struct roster *ret_roster, struct error *err);

/* -EBUSY: a live member does not read this format, or does not say; the first is named. */
int roster_all_read(const struct roster *roster, uint32_t format, struct error *err);

/* "live", "dead" (joined, and nobody holds it), "left", "free", "garbage". */
const char *roster_state(const struct roster_entry *entry);

#endif
