/* A cursor as a client of the API sends it. */
#include <string.h>

#include "lib/share/change.h"
#include "tests/fuzz/driver.h"

int fuzz_parse(const char *text, size_t length)
{
    char *copy = malloc(length + 1), again[CHANGE_CURSOR_TEXT];
    uint32_t epoch = 0, same_epoch = 0;
    uint64_t sequence = 0, same_sequence = 0;
    MUST(copy);
    memcpy(copy, text, length);
    copy[length] = '\0';
    int r = change_cursor_parse(copy, &epoch, &sequence);
    free(copy);
    if (r < 0)
        return -1;
    change_cursor_format(epoch, sequence, again);
    MUST(change_cursor_parse(again, &same_epoch, &same_sequence) == 0);
    MUST(epoch == same_epoch && sequence == same_sequence);
    return 0;
}
