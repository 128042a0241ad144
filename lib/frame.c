#include "lib/frame.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { READER_BYTES = 2 * (FRAME_HEADER_BYTES + FRAME_PAYLOAD_MAX) };

struct header {
    uint32_t length;
    uint16_t type;
    uint16_t zero;
};
_Static_assert(sizeof(struct header) == FRAME_HEADER_BYTES, "the header is 8 bytes");

int frame_encode(uint16_t type, const void *payload, size_t length, uint8_t *buffer)
{
    if (length > FRAME_PAYLOAD_MAX)
        return -EMSGSIZE;
    struct header header = {.length = (uint32_t)length, .type = type};
    memcpy(buffer, &header, sizeof(header));
    if (length)
        memcpy(buffer + sizeof(header), payload, length);
    return (int)(sizeof(header) + length);
}

int frame_reader_fill(struct frame_reader *reader, int fd)
{
    if (!reader->buffer) {
        reader->buffer = malloc(READER_BYTES);
        if (!reader->buffer)
            return -ENOMEM;
    }
    if (reader->start > 0) {
        memmove(reader->buffer, reader->buffer + reader->start, reader->end - reader->start);
        reader->end -= reader->start;
        reader->start = 0;
    }
    if (reader->end == READER_BYTES) /* the caller did not take what was there */
        return 1;
    ssize_t n;
    do
        n = read(fd, reader->buffer + reader->end, READER_BYTES - reader->end);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == EAGAIN ? 0 : -errno;
    if (n == 0)
        return -EPIPE;
    reader->end += (size_t)n;
    return 1;
}

int frame_reader_next(struct frame_reader *reader, struct frame *ret_frame)
{
    size_t unread = reader->end - reader->start;
    struct header header;
    if (unread < sizeof(header))
        return 0;
    memcpy(&header, reader->buffer + reader->start, sizeof(header));
    if (header.length > FRAME_PAYLOAD_MAX || header.zero != 0)
        return -EBADMSG;
    if (unread < sizeof(header) + header.length)
        return 0;
    *ret_frame = (struct frame){
        .type = header.type,
        .length = header.length,
        .payload = reader->buffer + reader->start + sizeof(header),
    };
    reader->start += sizeof(header) + header.length;
    return 1;
}

void frame_reader_release(struct frame_reader *reader)
{
    free(reader->buffer);
    *reader = (struct frame_reader){0};
}
