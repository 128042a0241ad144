#include "lib/share/journal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/bytes.h"
#include "lib/crc32c.h"
#include "lib/parse.h"
#include "lib/share/board.h"

enum { CRC_AT = 4, CRC_FROM = 8, HEADER_BYTES = 17 };

static const uint8_t magic[4] = {'E', 'F', 'S', 'J'};

size_t journal_record_bytes(size_t payload_length)
{
    return (JOURNAL_RECORD_HEADER_BYTES + payload_length + 7) / 8 * 8;
}

void journal_record_encode(uint16_t type, uint64_t sequence, const void *payload, size_t length,
                           uint8_t *buffer)
{
    size_t bytes = journal_record_bytes(length);
    uint8_t *p = put_le32(buffer, (uint32_t)length) + sizeof(uint32_t);
    p = put_le64(p, sequence);
    p = put_le16(p, type);
    p = put_le16(p, 0);
    p = put_le32(p, 0);
    memcpy(p, payload, length);
    memset(p + length, 0, bytes - JOURNAL_RECORD_HEADER_BYTES - length);
    put_le32(buffer + CRC_AT, crc32c(0, buffer + CRC_FROM, bytes - CRC_FROM));
}

int journal_record_decode(const uint8_t *data, size_t length, struct journal_record *ret_record)
{
    if (length < JOURNAL_RECORD_HEADER_BYTES)
        return 0;
    /* No page boundary cuts the length, so it is zero or what was written, even in a torn record.
     */
    size_t payload_length = get_le32(data);
    if (payload_length > JOURNAL_PAYLOAD_MAX)
        return -EBADMSG;
    size_t bytes = journal_record_bytes(payload_length);
    if (bytes > length || get_le32(data + CRC_AT) != crc32c(0, data + CRC_FROM, bytes - CRC_FROM))
        return 0;
    struct journal_record record = {
        .type = get_le16(data + 16),
        .sequence = get_le64(data + 8),
        .length = (uint32_t)payload_length,
        .payload = data + JOURNAL_RECORD_HEADER_BYTES,
    };
    if (record.type == 0 || get_le16(data + 18) != 0 || get_le32(data + 20) != 0)
        return -EBADMSG;
    *ret_record = record;
    return (int)bytes;
}

int journal_header_encode(const struct journal_header *header, uint8_t *buffer, size_t size)
{
    size_t observer_length = strnlen(header->observer, sizeof(header->observer));
    if (observer_length > JOURNAL_OBSERVER_MAX || HEADER_BYTES + observer_length > size)
        return -EINVAL;
    memcpy(buffer, magic, sizeof(magic));
    uint8_t *p = put_le16(buffer + sizeof(magic), JOURNAL_FORMAT);
    p = put_le16(p, header->slot);
    p = put_le32(p, header->epoch);
    p = put_le32(p, header->segment);
    *p++ = (uint8_t)observer_length;
    memcpy(p, header->observer, observer_length);
    return (int)(HEADER_BYTES + observer_length);
}

int journal_header_decode(const uint8_t *data, size_t length, struct journal_header *ret_header)
{
    if (length < HEADER_BYTES || memcmp(data, magic, sizeof(magic)) != 0 ||
        get_le16(data + 4) != JOURNAL_FORMAT || length != HEADER_BYTES + (size_t)data[16] ||
        memchr(data + HEADER_BYTES, '\0', data[16]))
        return -EBADMSG;
    *ret_header = (struct journal_header){
        .slot = get_le16(data + 6),
        .epoch = get_le32(data + 8),
        .segment = get_le32(data + 12),
    };
    memcpy(ret_header->observer, data + HEADER_BYTES, data[16]);
    return 0;
}

const char *journal_dir_name(unsigned slot, uint32_t epoch, char *buf)
{
    snprintf(buf, JOURNAL_NAME_MAX, "%u-%" PRIu32, slot, epoch);
    return buf;
}

const char *journal_segment_name(uint32_t segment, char *buf)
{
    snprintf(buf, JOURNAL_NAME_MAX, "%" PRIu32 ".log", segment);
    return buf;
}

int journal_dir_parse(const char *name, unsigned *ret_slot, uint32_t *ret_epoch)
{
    char copy[JOURNAL_NAME_MAX], again[JOURNAL_NAME_MAX];
    int64_t slot, epoch;
    snprintf(copy, sizeof(copy), "%s", name);
    char *dash = strchr(copy, '-');
    if (!dash)
        return -EINVAL;
    *dash = '\0';
    if (parse_i64(copy, 0, BOARD_SLOTS - 1, &slot) < 0 ||
        parse_i64(dash + 1, 1, SLOT_EPOCH_MAX, &epoch) < 0 ||
        strcmp(journal_dir_name((unsigned)slot, (uint32_t)epoch, again), name) != 0)
        return -EINVAL;
    *ret_slot = (unsigned)slot;
    *ret_epoch = (uint32_t)epoch;
    return 0;
}

int journal_segment_parse(const char *name, uint32_t *ret_segment)
{
    char copy[JOURNAL_NAME_MAX], again[JOURNAL_NAME_MAX];
    int64_t segment;
    snprintf(copy, sizeof(copy), "%s", name);
    copy[strcspn(copy, ".")] = '\0';
    if (parse_i64(copy, 1, UINT32_MAX, &segment) < 0 ||
        strcmp(journal_segment_name((uint32_t)segment, again), name) != 0)
        return -EINVAL;
    *ret_segment = (uint32_t)segment;
    return 0;
}
