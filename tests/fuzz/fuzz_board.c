/* A board as it is read: parsed when every slot is one or was never used. */
#include <errno.h>
#include <string.h>

#include "lib/bytes.h"
#include "lib/crc32c.h"
#include "lib/share/board.h"
#include "tests/fuzz/driver.h"

static void check_slot(const struct slot *slot)
{
    uint8_t again[BOARD_SLOT_BYTES];
    struct slot same;
    MUST(slot->sequence <= SLOT_SEQUENCE_MAX && slot->drained <= slot->sequence);
    MUST(slot_encode(slot, again) == 0 && slot_decode(again, &same) == 0);
    MUST(slot_word(slot) == slot_word(&same) && slot->segment == same.segment);
}

/* The same with a checksum that fits: no invented input gets past it otherwise. */
static void check_signed(const char *text)
{
    uint8_t bytes[BOARD_SLOT_BYTES];
    struct slot slot;
    memcpy(bytes, text, sizeof(bytes));
    put_le32(bytes + 60, crc32c(0, bytes, 60));
    if (slot_decode(bytes, &slot) == 0)
        check_slot(&slot);
}

int fuzz_parse(const char *text, size_t length)
{
    int used = 0;
    if (length % BOARD_SLOT_BYTES != 0)
        return -1;
    for (size_t at = 0; at < length; at += BOARD_SLOT_BYTES) {
        struct slot slot;
        check_signed(text + at);
        int r = slot_decode((const uint8_t *)text + at, &slot);
        if (r == -ENODATA)
            continue;
        if (r < 0)
            return -1;
        used++;
        check_slot(&slot);
    }
    return used > 0 ? 0 : -1;
}
