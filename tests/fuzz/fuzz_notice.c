/* A notice of a peer; what was understood is the same when it is said again. */
#include <string.h>

#include "lib/share/notice.h"
#include "tests/fuzz/driver.h"

int fuzz_parse(const char *text, size_t length)
{
    static uint8_t again[NOTICE_ENCODED_MAX];
    struct notice notice, same;
    if (notice_decode((const uint8_t *)text, length, &notice) < 0)
        return -1;
    MUST(strlen(notice.name) <= NOTICE_NAME_MAX && notice.data_length <= NOTICE_DATA_MAX);
    int n = notice_encode(&notice, again, sizeof(again));
    MUST(n == (int)length && notice_decode(again, (size_t)n, &same) == 0);
    MUST(same.number == notice.number && strcmp(same.name, notice.name) == 0);
    MUST(memcmp(same.data, notice.data, notice.data_length) == 0);
    return 0;
}
