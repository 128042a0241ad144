/*
 * slot: what a member says on the board, 64 bytes (docs/protocols/feed.md).
 *
 *     struct slot slot = {.state = SLOT_JOINED, .reads_from = 1, .reads_to = 1, .epoch = 3, ...};
 *     slot_encode(&slot, bytes);
 *     r = slot_decode(bytes, &slot);      // -ENODATA never used, -EBADMSG garbage
 *
 * A slot on the board is written by whoever holds its lock, and read by everybody: what
 * slot_decode() returns may come from a member that is confused, so nothing in it but the word may
 * be relied on, and that only as a hint to look into the journal. Threads: safe.
 */
#ifndef LIB_SHARE_SLOT_H
#define LIB_SHARE_SLOT_H

#include <stdint.h>

enum { SLOT_BYTES = 64, SLOT_FORMAT = 1 };

#define SLOT_EPOCH_MAX    ((UINT32_C(1) << 24) - 1) /* behind it the slot is retired */
#define SLOT_SEQUENCE_MAX ((UINT64_C(1) << 40) - 1) /* behind it the member joins anew */

enum slot_state {
    SLOT_FREE,
    SLOT_JOINED, /* with its lock free: the owner died */
    SLOT_LEFT,   /* given back by its owner, everything announced */
};

struct slot {
    enum slot_state state;
    uint16_t reads_from, reads_to; /* formats of the state directory that this member reads */
    uint32_t epoch;
    uint64_t sequence; /* of the last record that peers may read; 0: none yet */
    uint64_t drained;  /* every local change before the last drain is recorded up to here */
    uint32_t segment;  /* that holds the record `sequence`; the first is 1 */
    uint32_t fence_ms;
};

/* epoch:24 | sequence:40. It differs whenever there is something to read. */
uint64_t slot_word(const struct slot *slot);

/* -ERANGE: a field is out of bounds. */
int slot_encode(const struct slot *slot, uint8_t bytes[SLOT_BYTES]);
int slot_decode(const uint8_t bytes[SLOT_BYTES], struct slot *ret_slot);

#endif
