/* Who works in a directory: written by another task, or planted. */
#include <string.h>

#include "lib/share/board.h"
#include "lib/share/owner.h"
#include "tests/fuzz/driver.h"

int fuzz_parse(const char *text, size_t length)
{
    struct owner owner;
    memset(&owner, 'x', sizeof(owner));
    if (owner_parse(text, length, &owner) < 0)
        return -1;
    MUST(owner.generation > 0 && owner.slot < BOARD_SLOTS);
    MUST(owner.epoch > 0 && owner.epoch <= SLOT_EPOCH_MAX);
    MUST(memchr(owner.task, '\0', sizeof(owner.task)));
    MUST(owner.since_wall_ms >= 0 && owner.bytes >= 0 && owner.files >= 0);
    MUST(owner_equal(&owner, &owner));
    return 0;
}
