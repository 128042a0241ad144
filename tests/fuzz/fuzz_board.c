/* A board as it is read: parsed when every slot is one or was never used. */
#include <errno.h>

#include "lib/share/board.h"
#include "tests/fuzz/driver.h"

int fuzz_parse(const char *text, size_t length)
{
    int used = 0;
    if (length % BOARD_SLOT_BYTES != 0)
        return -1;
    for (size_t at = 0; at < length; at += BOARD_SLOT_BYTES) {
        uint8_t again[BOARD_SLOT_BYTES];
        struct slot slot, same;
        int r = slot_decode((const uint8_t *)text + at, &slot);
        if (r == -ENODATA)
            continue;
        if (r < 0)
            return -1;
        used++;
        MUST(slot.sequence <= SLOT_SEQUENCE_MAX && slot.drained <= slot.sequence);
        MUST(slot_encode(&slot, again) == 0 && slot_decode(again, &same) == 0);
        MUST(slot_word(&slot) == slot_word(&same) && slot.segment == same.segment);
    }
    return used > 0 ? 0 : -1;
}
