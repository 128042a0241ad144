/*
 * lock_record: what a lock's file says: who had the lock last, with which token, and whether it was
 * given back cleanly.
 *
 * The file holds two records of LOCK_RECORD_BYTES that are written in turns through the locked
 * descriptor: whatever happens during a write, the one before is still there. The valid one with
 * the higher serial counts.
 *
 *     r = lock_record_pick(bytes, length, &record);       // what was read from the start
 *     record.serial++; record.token.n++; record.clean = false; ...
 *     lock_record_encode(&record, bytes);
 *     pwrite(fd, bytes, LOCK_RECORD_BYTES, lock_record_offset(&record));
 *
 * A token is (generation, n), compared in this order, and only grows.
 *
 * Threads: safe. Errors: -ENODATA the lock was never taken; -EBADMSG the file was written, and none
 * of its records is valid; -EPROTONOSUPPORT one of them is whole and of another format, so whatever
 * the other one says may be outdated; -ERANGE a field is out of bounds.
 */
#ifndef LIB_SHARE_LOCK_RECORD_H
#define LIB_SHARE_LOCK_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    LOCK_RECORD_FORMAT = 1,
    LOCK_RECORD_BYTES = 512,
    LOCK_FILE_BYTES = 2 * LOCK_RECORD_BYTES,
    LOCK_TEXT_MAX = 120,
    LOCK_TOKEN_TEXT = 44,
};

struct lock_token {
    uint64_t generation, n;
};

struct lock_record {
    bool clean;      /* given back: nobody has to be waited for */
    bool done;       /* `once`: done for good, with this exit_status */
    uint64_t serial; /* of the record; 0: there is none yet */
    struct lock_token token;
    uint32_t fence_ms; /* the holder's promise: its client is gone so long after its last proof */
    uint32_t exit_status;
    int64_t since_wall_ms;
    char task[LOCK_TEXT_MAX + 1], zone[LOCK_TEXT_MAX + 1], purpose[LOCK_TEXT_MAX + 1];
};

int lock_record_encode(const struct lock_record *record, uint8_t bytes[LOCK_RECORD_BYTES]);
int lock_record_decode(const uint8_t bytes[LOCK_RECORD_BYTES], struct lock_record *ret_record);
int lock_record_pick(const uint8_t *bytes, size_t length, struct lock_record *ret_record);

/* Where this serial lies in the file. */
static inline int64_t lock_record_offset(const struct lock_record *record)
{
    return (int64_t)(record->serial % 2) * LOCK_RECORD_BYTES;
}

/* "GENERATION.N" */
const char *lock_token_format(const struct lock_token *token, char buf[LOCK_TOKEN_TEXT]);
int lock_token_parse(const char *text, struct lock_token *ret_token);
int lock_token_compare(const struct lock_token *a, const struct lock_token *b); /* <0, 0, >0 */

#endif
