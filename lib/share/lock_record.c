#include "lib/share/lock_record.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/bytes.h"
#include "lib/crc32c.h"

enum {
    CLEAN = 1 << 0,
    DONE = 1 << 1,
    TEXTS_AT = 56,
    CRC_AT = LOCK_RECORD_BYTES - 4,
};

static const uint8_t magic[] = {'E', 'F', 'S', 'L'};

static uint8_t *put_text(uint8_t *p, const char *text)
{
    size_t length = strlen(text);
    *p++ = (uint8_t)length;
    return mempcpy(p, text, length);
}

int lock_record_encode(const struct lock_record *record, uint8_t bytes[LOCK_RECORD_BYTES])
{
    if (record->serial == 0 || strlen(record->task) > LOCK_TEXT_MAX ||
        strlen(record->zone) > LOCK_TEXT_MAX || strlen(record->purpose) > LOCK_TEXT_MAX)
        return -ERANGE;
    memset(bytes, 0, LOCK_RECORD_BYTES);
    memcpy(bytes, magic, sizeof(magic));
    uint8_t *p = put_le16(bytes + 4, LOCK_RECORD_FORMAT);
    p = put_le16(p, (uint16_t)((record->clean ? CLEAN : 0) | (record->done ? DONE : 0)));
    p = put_le64(p, record->serial);
    p = put_le64(p, record->token.generation);
    p = put_le64(p, record->token.n);
    p = put_le32(p, record->fence_ms);
    p = put_le32(p, record->exit_status);
    put_le64(p, (uint64_t)record->since_wall_ms);
    p = put_text(bytes + TEXTS_AT, record->task);
    p = put_text(p, record->zone);
    put_text(p, record->purpose);
    put_le32(bytes + CRC_AT, crc32c(0, bytes, CRC_AT));
    return 0;
}

static int get_text(const uint8_t **p, char *ret_text)
{
    size_t length = *(*p)++;
    if (length > LOCK_TEXT_MAX || memchr(*p, 0, length))
        return -EBADMSG;
    memcpy(ret_text, *p, length);
    ret_text[length] = '\0';
    *p += length;
    return 0;
}

int lock_record_decode(const uint8_t bytes[LOCK_RECORD_BYTES], struct lock_record *ret_record)
{
    if (memcmp(bytes, magic, sizeof(magic)) != 0 ||
        get_le32(bytes + CRC_AT) != crc32c(0, bytes, CRC_AT))
        return -EBADMSG;
    if (get_le16(bytes + 4) != LOCK_RECORD_FORMAT)
        return -EPROTONOSUPPORT;
    uint16_t flags = get_le16(bytes + 6);
    struct lock_record record = {
        .clean = flags & CLEAN,
        .done = flags & DONE,
        .serial = get_le64(bytes + 8),
        .token = {.generation = get_le64(bytes + 16), .n = get_le64(bytes + 24)},
        .fence_ms = get_le32(bytes + 32),
        .exit_status = get_le32(bytes + 36),
        .since_wall_ms = (int64_t)get_le64(bytes + 40),
    };
    const uint8_t *p = bytes + TEXTS_AT;
    if (record.serial == 0 || get_text(&p, record.task) < 0 || get_text(&p, record.zone) < 0 ||
        get_text(&p, record.purpose) < 0)
        return -EBADMSG;
    *ret_record = record;
    return 0;
}

static bool is_blank(const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (bytes[i])
            return false;
    return true;
}

int lock_record_pick(const uint8_t *bytes, size_t length, struct lock_record *ret_record)
{
    struct lock_record record, best = {0};
    for (size_t at = 0; at + LOCK_RECORD_BYTES <= length && at < LOCK_FILE_BYTES;
         at += LOCK_RECORD_BYTES) {
        int r = lock_record_decode(bytes + at, &record);
        if (r == -EPROTONOSUPPORT)
            return r;
        if (r == 0 && record.serial > best.serial)
            best = record;
    }
    if (best.serial == 0) /* the first record of all lies in the second place: when it is torn,
                             nothing was ever granted */
        return is_blank(bytes, length < LOCK_RECORD_BYTES ? length : LOCK_RECORD_BYTES) ? -ENODATA
                                                                                        : -EBADMSG;
    *ret_record = best;
    return 0;
}

const char *lock_token_format(const struct lock_token *token, char buf[LOCK_TOKEN_TEXT])
{
    snprintf(buf, LOCK_TOKEN_TEXT, "%" PRIu64 ".%" PRIu64, token->generation, token->n);
    return buf;
}

static int parse_part(const char *text, size_t length, uint64_t *ret_value)
{
    char part[21];
    if (length == 0 || length >= sizeof(part) || strspn(text, "0123456789") < length)
        return -EINVAL;
    memcpy(part, text, length);
    part[length] = '\0';
    errno = 0;
    *ret_value = strtoull(part, NULL, 10);
    return -errno;
}

int lock_token_parse(const char *text, struct lock_token *ret_token)
{
    struct lock_token token;
    size_t length = strcspn(text, ".");
    if (text[length] != '.' || parse_part(text, length, &token.generation) < 0 ||
        parse_part(text + length + 1, strlen(text + length + 1), &token.n) < 0)
        return -EINVAL;
    *ret_token = token;
    return 0;
}

int lock_token_compare(const struct lock_token *a, const struct lock_token *b)
{
    if (a->generation != b->generation)
        return a->generation < b->generation ? -1 : 1;
    return (a->n > b->n) - (a->n < b->n);
}
