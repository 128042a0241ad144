/*
 * board: the file in the state directory in which every member owns a slot, by an OFD write lock on
 * the slot's bytes.
 *
 *     board_create(state_fd, gid);                        // namespace operation; any member may
 *     board_open(state_fd, on_nfs, &fd);
 *     r = board_take(fd, board_first_choice(task), &slot);
 *     board_write_slot(fd, slot, &(struct slot){...});
 *     ... ofd_prove(fd) now and then (see ofd.h) ...
 *     close(fd);                                          // gives the slot back
 *
 * The descriptor is the ownership: a slot is written through it or not at all, and after a loss all
 * its duplicates are closed before another is opened. Readers have a descriptor of their own:
 *
 *     board_stat(reader_fd, &now);                   // one attribute call: did anything move?
 *     board_read(reader_fd, bytes);
 *     r = slot_decode(bytes + i * BOARD_SLOT_BYTES, &slot);
 *
 * Threads: safe; every call may hang with the mount. Errors: -errno.
 */
#ifndef LIB_SHARE_BOARD_H
#define LIB_SHARE_BOARD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/share/slot.h"

struct statx;

enum {
    BOARD_SLOTS = 256,
    BOARD_SLOT_BYTES = SLOT_BYTES,
    BOARD_BYTES = BOARD_SLOTS * BOARD_SLOT_BYTES
};

/* gid -1 leaves the group as it is. */
int board_create(int state_fd, int64_t gid);

/* direct: with O_DIRECT, so that a lost lock is noticed. */
int board_open(int state_fd, bool direct, int *ret_fd);

/* Where a member of this name looks first, so that it finds its slot of last time. */
unsigned board_first_choice(const char *name);

/* Lock the first free slot from `first` on. -EUSERS: all are taken. */
int board_take(int fd, unsigned first, unsigned *ret_slot);

/* Write a slot whole, through the descriptor that holds its lock. -EIO, -ESTALE: the lock or the
 * board is lost. */
int board_write_slot(int fd, unsigned slot, const struct slot *content);

/* All slots, as they are; a file that is too short counts as zeros from there on. */
int board_read(int fd, uint8_t bytes[BOARD_BYTES]);

/* The attributes that the server has now. */
int board_stat(int fd, struct statx *ret_attributes);

#endif
