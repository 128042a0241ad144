/*
 * journal: how a member's change journal lies on the share, byte by byte (docs/protocols/feed.md).
 * journal_writer.h writes it, journal_reader.h reads it.
 *
 *     feed/SLOT-EPOCH/1.log, 2.log, ...      one writer; a full segment ends with NEXT
 *
 * A segment is a HEADER record, then CHANGE and NOTICE records whose sequences grow by one. A
 * record's checksum covers everything behind it, the padding too; zeros are the end of what has
 * been written so far. Whatever is read was written by another host: all lengths are checked.
 *
 * Threads: safe. Errors: -errno.
 */
#ifndef LIB_SHARE_JOURNAL_H
#define LIB_SHARE_JOURNAL_H

#include <stddef.h>
#include <stdint.h>

enum journal_type {
    JOURNAL_HEADER = 1, /* sequence: of the first record of this segment */
    JOURNAL_CHANGE,     /* change_encode(), observer empty: the member itself */
    JOURNAL_NOTICE,     /* notice_encode() */
    JOURNAL_NEXT,       /* u32 segment that goes on; sequence: of its first record */
};

enum {
    JOURNAL_FORMAT = 1,
    JOURNAL_RECORD_HEADER_BYTES = 24,
    JOURNAL_PAYLOAD_MAX = 16 * 1024,
    JOURNAL_RECORD_MAX = JOURNAL_RECORD_HEADER_BYTES + JOURNAL_PAYLOAD_MAX,
    JOURNAL_OBSERVER_MAX = 255,
    JOURNAL_NAME_MAX = 32, /* of a directory or segment, with its NUL */
};

struct journal_record {
    uint16_t type; /* enum journal_type, or a later one: to be skipped */
    uint64_t sequence;
    uint32_t length;
    const uint8_t *payload;
};

/* What a HEADER says. */
struct journal_header {
    uint16_t slot;
    uint32_t epoch, segment;
    char observer[JOURNAL_OBSERVER_MAX + 1];
};

/* Bytes that a payload of this length takes, with header and padding. */
size_t journal_record_bytes(size_t payload_length);

/* Writes journal_record_bytes(length) bytes. length is at most JOURNAL_PAYLOAD_MAX. */
void journal_record_encode(uint16_t type, uint64_t sequence, const void *payload, size_t length,
                           uint8_t *buffer);

/*
 * The record at data. Its size, 0 (nothing whole yet: zeros, cut off, or torn), or -EBADMSG (never
 * a record). More than `length` bytes may be needed: up to JOURNAL_RECORD_MAX.
 */
int journal_record_decode(const uint8_t *data, size_t length, struct journal_record *ret_record);

/* A HEADER's payload. The length, or -EINVAL when the observer is too long. */
int journal_header_encode(const struct journal_header *header, uint8_t *buffer, size_t size);
int journal_header_decode(const uint8_t *data, size_t length, struct journal_header *ret_header);

/* "7-3" and "12.log" into buf of JOURNAL_NAME_MAX bytes; return buf. */
const char *journal_dir_name(unsigned slot, uint32_t epoch, char *buf);
const char *journal_segment_name(uint32_t segment, char *buf);

/* What such a name says; -EINVAL: it is not a journal's. */
int journal_dir_parse(const char *name, unsigned *ret_slot, uint32_t *ret_epoch);
int journal_segment_parse(const char *name, uint32_t *ret_segment);

#endif
