#include "lib/share/watch_frames.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "lib/bytes.h"
#include "lib/cleanup.h"

enum {
    ANNOUNCE_HEADER_BYTES = 8 + 2,
    NOTICE_HEADER_BYTES = 2 + 4 + 2,
    BLIND_HEADER_BYTES = 4 + 2,
};

/* The numbers of a status, in the order in which they are sent. */
static const struct {
    uint16_t at;
    bool wide;
} numbers[] = {
#define N32(field)                                                                                 \
    {                                                                                              \
        offsetof(struct watch_status, field), false                                                \
    }
#define N64(field)                                                                                 \
    {                                                                                              \
        offsetof(struct watch_status, field), true                                                 \
    }
    N32(directories),
    N32(scanning),
    N32(blind),
    N32(pending),
    N64(events),
    N64(changes),
    N64(overflows),
    N64(resyncs),
    N32(feed.peers),
    N32(feed.announce_pending),
    N32(feed.announce_error),
    N32(feed.poll_us),
    N64(feed.poll_sent_ms),
    N64(feed.fresh_ms),
    N64(feed.announced),
    N64(feed.polls),
    N64(feed.board_reads),
    N64(feed.records),
    N64(feed.gaps),
    N32(scan.state),
    N32(scan.permille),
    N64(scan.entries),
    N64(scan.fresh_ms),
    N32(listed),
#undef N32
#undef N64
};

/* A string of n bytes and a NUL, alone. */
static bool is_text(const uint8_t *data, size_t n)
{
    return strnlen((const char *)data, n + 1) == n;
}

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

int watch_announce_encode(const struct watch_announce *announce, uint8_t *buffer, size_t size)
{
    size_t n = ANNOUNCE_HEADER_BYTES + announce->length;
    if (announce->length > WATCH_RECORD_MAX || size < n)
        return -EMSGSIZE;
    uint8_t *p = put_le16(put_le64(buffer, announce->id), announce->type);
    if (announce->length > 0)
        memcpy(p, announce->payload, announce->length);
    return (int)n;
}

int watch_announce_decode(const uint8_t *data, size_t length, struct watch_announce *ret_announce)
{
    if (length < ANNOUNCE_HEADER_BYTES || length > WATCH_ANNOUNCE_MAX)
        return -EBADMSG;
    *ret_announce = (struct watch_announce){
        .id = get_le64(data),
        .type = get_le16(data + 8),
        .length = length - ANNOUNCE_HEADER_BYTES,
        .payload = data + ANNOUNCE_HEADER_BYTES,
    };
    return 0;
}

int watch_announced_encode(const struct watch_announced *announced, uint8_t *buffer, size_t size)
{
    if (size < WATCH_ANNOUNCED_BYTES)
        return -EMSGSIZE;
    uint8_t *p = put_le32(put_le64(buffer, announced->id), (uint32_t)announced->result);
    put_le64(p, announced->sequence);
    return WATCH_ANNOUNCED_BYTES;
}

int watch_announced_decode(const uint8_t *data, size_t length,
                           struct watch_announced *ret_announced)
{
    if (length != WATCH_ANNOUNCED_BYTES)
        return -EBADMSG;
    *ret_announced = (struct watch_announced){
        .id = get_le64(data),
        .result = (int32_t)get_le32(data + 8),
        .sequence = get_le64(data + 12),
    };
    return 0;
}

int watch_notice_encode(const struct watch_notice *notice, uint8_t *buffer, size_t size)
{
    size_t text = strnlen(notice->observer, CHANGE_OBSERVER_MAX + 1);
    size_t n = NOTICE_HEADER_BYTES + text + 1 + notice->length;
    if (text > CHANGE_OBSERVER_MAX || notice->length > WATCH_RECORD_MAX || size < n)
        return -EMSGSIZE;
    uint8_t *p = put_le32(put_le16(buffer, notice->slot), notice->epoch);
    p = put_le16(p, (uint16_t)text);
    memcpy(p, notice->observer, text + 1);
    if (notice->length > 0)
        memcpy(p + text + 1, notice->payload, notice->length);
    return (int)n;
}

int watch_notice_decode(const uint8_t *data, size_t length, struct watch_notice *ret_notice)
{
    if (length < NOTICE_HEADER_BYTES + 1)
        return -EBADMSG;
    size_t text = get_le16(data + 6), header = NOTICE_HEADER_BYTES + text + 1;
    if (text > CHANGE_OBSERVER_MAX || length < header || length - header > WATCH_RECORD_MAX ||
        !is_text(data + NOTICE_HEADER_BYTES, text))
        return -EBADMSG;
    *ret_notice = (struct watch_notice){
        .slot = get_le16(data),
        .epoch = get_le32(data + 2),
        .observer = (const char *)data + NOTICE_HEADER_BYTES,
        .length = length - header,
        .payload = data + header,
    };
    return 0;
}

static uint8_t *put_numbers(uint8_t *p, const struct watch_status *status)
{
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        const void *field = (const uint8_t *)status + numbers[i].at;
        p = numbers[i].wide ? put_le64(p, *(const uint64_t *)field)
                            : put_le32(p, *(const uint32_t *)field);
    }
    return p;
}

/* What lies behind them, or NULL. */
static const uint8_t *get_numbers(const uint8_t *p, const uint8_t *end, struct watch_status *status)
{
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        void *field = (uint8_t *)status + numbers[i].at;
        ptrdiff_t n = numbers[i].wide ? 8 : 4;
        if (end - p < n)
            return NULL;
        if (numbers[i].wide)
            *(uint64_t *)field = get_le64(p);
        else
            *(uint32_t *)field = get_le32(p);
        p += n;
    }
    return p;
}

int watch_status_encode(const struct watch_status *status, uint8_t *buffer, size_t size)
{
    if (size < WATCH_STATUS_MAX || status->listed > WATCH_BLIND_LISTED)
        return -EMSGSIZE;
    uint8_t *p = put_numbers(buffer, status);
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
    struct watch_status status = {0};
    const uint8_t *end = data + length, *p = get_numbers(data, end, &status);
    if (!p || status.listed > WATCH_BLIND_LISTED)
        return -EBADMSG;
    for (uint32_t i = 0; i < status.listed; i++) {
        if (end - p < BLIND_HEADER_BYTES)
            return -EBADMSG;
        size_t n = get_le16(p + 4);
        const uint8_t *path = p + BLIND_HEADER_BYTES;
        if ((size_t)(end - path) < n + 1 || !is_text(path, n))
            return -EBADMSG;
        status.blinds[i] =
            (struct watch_blind){.code = (int)get_le32(p), .path = (const char *)path};
        p = path + n + 1;
    }
    if (p != end)
        return -EBADMSG;
    *ret_status = status;
    return 0;
}
