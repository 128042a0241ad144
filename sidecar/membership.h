/*
 * membership: a slot of the board, taken as a new epoch, and given back.
 *
 *     struct membership member;
 *     r = membership_take(&place, on_nfs, &member, &err);     // member.fd holds the slot
 *     ...
 *     r = membership_leave(&member);     // everything is announced: nobody has to look again
 *     close(member.fd);
 *
 * Taking it locks a slot, checks that the state directory is one of this mount and of a format that
 * is read here, starts a journal of an epoch that was never used, and writes the slot. A slot whose
 * epochs are used up is left alone for ever. Where the first choice is taken by a task of the same
 * name, that is told: somebody may run one task twice.
 *
 * Every function may hang with the mount: for workers only. Threads: safe. Errors: -errno and
 * words; beside what the calls return, -EUSERS (all slots are taken), -EXDEV (the state is of
 * another root), -EPROTONOSUPPORT (it is of a newer format).
 */
#ifndef SIDECAR_MEMBERSHIP_H
#define SIDECAR_MEMBERSHIP_H

#include <stdbool.h>
#include <stdint.h>

#include "sidecar/place.h"

struct membership {
    int fd; /* the slot is written through this description or not at all */
    unsigned slot;
    uint32_t epoch;
    uint64_t generation; /* of the state directory */
    bool unclean;        /* the last owner died, and may have left something untold */
    int twin;            /* the slot of another task with this name; -1 */
    int64_t sent_ms;     /* it was held then */
};

int membership_take(const struct place *place, bool on_nfs, struct membership *ret_member,
                    struct error *err);
int membership_leave(const struct membership *member);

#endif
