/*
 * frame: messages on a stream socket between the sidecar and its efs-watch children.
 *
 * A frame is an 8-byte header (payload length u32, type u16, zero u16; host byte order: both ends
 * are one machine) and at most FRAME_PAYLOAD_MAX bytes. A header that breaks these rules ends the
 * conversation: -EBADMSG.
 *
 *     frame_encode(FRAME_CHANGE, payload, length, buffer);  // FRAME_HEADER_BYTES + length to send
 *
 *     struct frame_reader reader = {0};
 *     r = frame_reader_fill(&reader, fd);         // 1 read something, 0 would block, -EPIPE closed
 *     while ((r = frame_reader_next(&reader, &frame)) == 1)
 *         ...                                     // frame.payload is valid until the next fill
 *     frame_reader_release(&reader);
 *
 * Threads: a reader belongs to one thread.
 */
#ifndef LIB_FRAME_H
#define LIB_FRAME_H

#include <stddef.h>
#include <stdint.h>

enum { FRAME_HEADER_BYTES = 8, FRAME_PAYLOAD_MAX = 64 * 1024 };

struct frame {
    uint16_t type;
    uint32_t length;
    const uint8_t *payload;
};

struct frame_reader {
    uint8_t *buffer;
    size_t start, end; /* unread bytes */
};

/* Writes FRAME_HEADER_BYTES + length bytes to buffer; returns that number or -EMSGSIZE. */
int frame_encode(uint16_t type, const void *payload, size_t length, uint8_t *buffer);

int frame_reader_fill(struct frame_reader *reader, int fd);
int frame_reader_next(struct frame_reader *reader,
                      struct frame *ret_frame); /* 1, 0: need more, -EBADMSG */
void frame_reader_release(struct frame_reader *reader);

#endif
