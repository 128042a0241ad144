/* The file of a lock as the next holder finds it. What was understood is the same when it is
 * written again, and of two records the later one counts. */
#include <errno.h>
#include <string.h>

#include "lib/bytes.h"
#include "lib/crc32c.h"
#include "lib/share/lock_record.h"
#include "tests/fuzz/driver.h"

static void check_same(const struct lock_record *record)
{
    uint8_t bytes[LOCK_RECORD_BYTES];
    struct lock_record same;
    MUST(strlen(record->task) <= LOCK_TEXT_MAX && strlen(record->zone) <= LOCK_TEXT_MAX &&
         strlen(record->purpose) <= LOCK_TEXT_MAX);
    MUST(lock_record_encode(record, bytes) == 0 && lock_record_decode(bytes, &same) == 0);
    MUST(same.serial == record->serial && same.clean == record->clean && same.done == record->done);
    MUST(lock_token_compare(&same.token, &record->token) == 0);
    MUST(same.fence_ms == record->fence_ms && same.exit_status == record->exit_status &&
         same.since_wall_ms == record->since_wall_ms);
    MUST(strcmp(same.task, record->task) == 0 && strcmp(same.zone, record->zone) == 0 &&
         strcmp(same.purpose, record->purpose) == 0);
}

static int pick(const uint8_t *bytes, size_t length)
{
    struct lock_record picked, one;
    int r = lock_record_pick(bytes, length, &picked);
    MUST(r == 0 || r == -ENODATA || r == -EBADMSG || r == -EPROTONOSUPPORT);
    for (size_t at = 0; at + LOCK_RECORD_BYTES <= length && at < LOCK_FILE_BYTES;
         at += LOCK_RECORD_BYTES)
        MUST(lock_record_decode(bytes + at, &one) < 0 || r == -EPROTONOSUPPORT ||
             (r == 0 && picked.serial >= one.serial));
    if (r == 0)
        check_same(&picked);
    return r;
}

int fuzz_parse(const char *text, size_t length)
{
    uint8_t *copy = malloc(length ? length : 1); /* nothing behind the end may be read */
    MUST(copy);
    memcpy(copy, text, length);
    /* No invented input gets past the checksums otherwise. */
    for (size_t at = 0; at + LOCK_RECORD_BYTES <= length; at += LOCK_RECORD_BYTES)
        put_le32(copy + at + LOCK_RECORD_BYTES - 4, crc32c(0, copy + at, LOCK_RECORD_BYTES - 4));
    pick(copy, length);
    free(copy);
    return pick((const uint8_t *)text, length) < 0 ? -1 : 0;
}
