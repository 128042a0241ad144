/*
 * member: what this member has on the share, its journal and its slot, and the order in which they
 * are written: record, sync, slot.
 *
 *     struct member member = {
 *         .board_fd = fd, .number = slot, .epoch = epoch, .root_fd = root, ...};
 *     r = member_attach(&member, state_dir);
 *     r = member_append(&member, JOURNAL_CHANGE, payload, length, &sequence);    // any number
 *     r = member_publish(&member);                              // now others can read them
 *     member_detach(&member);
 *
 * All return 0 or -errno; what failed may be called again, nothing is lost by that. -ENOBUFS of
 * append: publish first. member_is_lost() tells the errors that no waiting cures: the slot, the
 * journal or the mount under them is somebody else's by now.
 *
 * Everything here may hang with the mount. Threads: one. Descriptors in the structure are the
 * caller's.
 */
#ifndef WATCHERS_MEMBER_H
#define WATCHERS_MEMBER_H

#include <stdbool.h>

#include "lib/share/journal_writer.h"
#include "lib/share/slot.h"
#include "watchers/peers.h"

struct member {
    int board_fd; /* holds the slot */
    unsigned number;
    uint32_t epoch;
    int root_fd; /* of the tree that the changes are in */
    struct journal_limits limits;
    struct peers_own *own; /* what the slot may hold, for who reads the board; the caller's */

    struct journal_writer *journal; /* NULL: not attached */
    struct slot slot;               /* as it was written last */
};

/* Go on where this epoch's journal ends: it is new, or an efs-watch before this one wrote it. */
int member_attach(struct member *member, const char *state_dir);
void member_detach(struct member *member);

/* A change gets the attributes that the server has, once all that was written to the file on this
 * host is there, too. */
int member_append(struct member *member, uint16_t type, const void *payload, size_t length,
                  uint64_t *ret_sequence);

/* drained: see struct slot; 0 leaves it. */
int member_publish(struct member *member, uint64_t drained);

bool member_is_lost(int r);

#endif
