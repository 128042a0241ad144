/*
 * notice: what a sidecar says to its peers beside changes: a lock was released, a set was
 * published. It travels as a record of the member's journal, so what it shortens is a wait; nothing
 * is lost when it comes late or twice.
 *
 *     struct notice notice = {.kind = NOTICE_LOCK_RELEASED, .number = token, .name = "nightly"};
 *     int n = notice_encode(&notice, buffer, sizeof(buffer));
 *     r = notice_decode(data, length, &notice);          // name and data point into the buffer
 *
 * The name is bytes without NUL; data is anything. A kind that is not known here is decoded all the
 * same: a newer peer may say more. Encoding: the length, -EINVAL (out of bounds) or -EMSGSIZE;
 * decoding: 0 or -EBADMSG. Threads: safe.
 */
#ifndef LIB_SHARE_NOTICE_H
#define LIB_SHARE_NOTICE_H

#include <stddef.h>
#include <stdint.h>

enum notice_kind {
    NOTICE_LOCK_RELEASED = 1,
    NOTICE_PUBLISHED_SET,
};

enum {
    NOTICE_NAME_MAX = 255,
    NOTICE_DATA_MAX = 4096,
    NOTICE_HEADER_BYTES = 16,
    NOTICE_ENCODED_MAX = NOTICE_HEADER_BYTES + NOTICE_NAME_MAX + 1 + NOTICE_DATA_MAX,
};

struct notice {
    uint16_t kind; /* enum notice_kind, or a later one */
    uint64_t number;
    const char *name; /* NULL: "" */
    const void *data;
    size_t data_length;
};

int notice_encode(const struct notice *notice, uint8_t *buffer, size_t size);
int notice_decode(const uint8_t *data, size_t length, struct notice *ret_notice);

#endif
