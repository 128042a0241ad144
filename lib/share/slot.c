#include "lib/share/slot.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "lib/bytes.h"
#include "lib/crc32c.h"

enum { MAGIC = 0x4553, CRC_AT = 60 };

static bool is_valid(const struct slot *slot)
{
    return slot->state <= SLOT_LEFT && slot->reads_from <= slot->reads_to &&
           slot->epoch <= SLOT_EPOCH_MAX && slot->sequence <= SLOT_SEQUENCE_MAX &&
           slot->drained <= slot->sequence;
}

uint64_t slot_word(const struct slot *slot)
{
    return (uint64_t)slot->epoch << 40 | slot->sequence;
}

int slot_encode(const struct slot *slot, uint8_t bytes[SLOT_BYTES])
{
    if (!is_valid(slot))
        return -ERANGE;
    uint8_t *p = bytes;
    memset(bytes, 0, SLOT_BYTES);
    p = put_le16(p, MAGIC);
    *p++ = SLOT_FORMAT;
    *p++ = (uint8_t)slot->state;
    p = put_le16(p, slot->reads_from);
    p = put_le16(p, slot->reads_to);
    p = put_le64(p, slot_word(slot));
    p = put_le64(p, slot->drained);
    p = put_le32(p, slot->segment);
    put_le32(p, slot->fence_ms);
    put_le32(bytes + CRC_AT, crc32c(0, bytes, CRC_AT));
    return 0;
}

int slot_decode(const uint8_t bytes[SLOT_BYTES], struct slot *ret_slot)
{
    static const uint8_t never_used[SLOT_BYTES];
    if (memcmp(bytes, never_used, SLOT_BYTES) == 0)
        return -ENODATA;
    if (get_le16(bytes) != MAGIC || bytes[2] != SLOT_FORMAT ||
        get_le32(bytes + CRC_AT) != crc32c(0, bytes, CRC_AT))
        return -EBADMSG;
    uint64_t word = get_le64(bytes + 8);
    struct slot slot = {
        .state = bytes[3],
        .reads_from = get_le16(bytes + 4),
        .reads_to = get_le16(bytes + 6),
        .epoch = (uint32_t)(word >> 40),
        .sequence = word & SLOT_SEQUENCE_MAX,
        .drained = get_le64(bytes + 16),
        .segment = get_le32(bytes + 24),
        .fence_ms = get_le32(bytes + 28),
    };
    if (!is_valid(&slot))
        return -EBADMSG;
    *ret_slot = slot;
    return 0;
}
