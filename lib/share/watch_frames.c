#include "lib/share/watch_frames.h"

#include <errno.h>
#include <string.h>

#include "lib/bytes.h"

enum { STATUS_HEADER_BYTES = 5 * 4 + 4 * 8, BLIND_HEADER_BYTES = 4 + 2 };

int watch_hello_encode(const struct watch_hello *hello, uint8_t *buffer, size_t size)
{
    if (size < WATCH_HELLO_BYTES)
        return -EMSGSIZE;
    put_le32(put_le32(buffer, hello->version), hello->epoch);
    return WATCH_HELLO_BYTES;
}

int watch_hello_decode(const uint8_t *data, size_t length, struct watch_hello *ret_hello)
{
    if (length != WATCH_HELLO_BYTES)
        return -EBADMSG;
    *ret_hello = (struct watch_hello){.version = get_le32(data), .epoch = get_le32(data + 4)};
    return 0;
}

int watch_pong_encode(const struct watch_pong *pong, uint8_t *buffer, size_t size)
{
    if (size < WATCH_PONG_BYTES)
        return -EMSGSIZE;
    put_le32(put_le64(buffer, pong->nonce), pong->scanning);
    return WATCH_PONG_BYTES;
}

int watch_pong_decode(const uint8_t *data, size_t length, struct watch_pong *ret_pong)
{
    if (length != WATCH_PONG_BYTES)
        return -EBADMSG;
    *ret_pong = (struct watch_pong){.nonce = get_le64(data), .scanning = get_le32(data + 8)};
    return 0;
}

int watch_status_encode(const struct watch_status *status, uint8_t *buffer, size_t size)
{
    if (size < WATCH_STATUS_MAX || status->listed > WATCH_BLIND_LISTED)
        return -EMSGSIZE;
    uint8_t *p = buffer;
    p = put_le32(p, status->directories);
    p = put_le32(p, status->scanning);
    p = put_le32(p, status->blind);
    p = put_le32(p, status->pending);
    p = put_le64(p, status->events);
    p = put_le64(p, status->changes);
    p = put_le64(p, status->overflows);
    p = put_le64(p, status->resyncs);
    p = put_le32(p, status->listed);
    for (uint32_t i = 0; i < status->listed; i++) {
        size_t n = strnlen(status->blinds[i].path, WATCH_BLIND_PATH_MAX);
        p = put_le32(p, (uint32_t)status->blinds[i].code);
        p = put_le16(p, (uint16_t)n);
        memcpy(p, status->blinds[i].path, n);
        p[n] = '\0';
        p += n + 1;
    }
    return (int)(p - buffer);
}

int watch_status_decode(const uint8_t *data, size_t length, struct watch_status *ret_status)
{
    if (length < STATUS_HEADER_BYTES)
        return -EBADMSG;
    struct watch_status status = {
        .directories = get_le32(data),
        .scanning = get_le32(data + 4),
        .blind = get_le32(data + 8),
        .pending = get_le32(data + 12),
        .events = get_le64(data + 16),
        .changes = get_le64(data + 24),
        .overflows = get_le64(data + 32),
        .resyncs = get_le64(data + 40),
        .listed = get_le32(data + 48),
    };
    if (status.listed > WATCH_BLIND_LISTED)
        return -EBADMSG;
    const uint8_t *p = data + STATUS_HEADER_BYTES, *end = data + length;
    for (uint32_t i = 0; i < status.listed; i++) {
        if (end - p < BLIND_HEADER_BYTES)
            return -EBADMSG;
        size_t n = get_le16(p + 4);
        const char *path = (const char *)p + BLIND_HEADER_BYTES;
        if ((size_t)(end - p) < BLIND_HEADER_BYTES + n + 1 || strnlen(path, n + 1) != n)
            return -EBADMSG;
        status.blinds[i] = (struct watch_blind){.code = (int)get_le32(p), .path = path};
        p += BLIND_HEADER_BYTES + n + 1;
    }
    if (p != end)
        return -EBADMSG;
    *ret_status = status;
    return 0;
}
