#include "watchers/sink.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int sink_open(struct sink *sink, const struct sink_ops *ops, int fd)
{
    *sink = (struct sink){.ops = ops, .fd = fd, .buffer = malloc(SINK_BYTES)};
    return sink->buffer ? 0 : -ENOMEM;
}

void sink_release(struct sink *sink)
{
    free(sink->buffer);
    *sink = (struct sink){.fd = -1};
}

bool sink_has_room(struct sink *sink)
{
    if (SINK_BYTES - sink->end >= SINK_MESSAGE_MAX)
        return true;
    memmove(sink->buffer, sink->buffer + sink->start, sink->end - sink->start);
    sink->end -= sink->start;
    sink->start = 0;
    return SINK_BYTES - sink->end >= SINK_MESSAGE_MAX;
}

void sink_append(struct sink *sink, const void *data, size_t length)
{
    memcpy(sink->buffer + sink->end, data, length);
    sink->end += length;
}

int sink_flush(struct sink *sink)
{
    while (sink_is_waiting(sink)) {
        ssize_t n = sink->ops->write(sink->fd, sink->buffer + sink->start, sink->end - sink->start);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN ? 0 : -errno;
        sink->start += (size_t)n;
    }
    sink->start = sink->end = 0;
    return 0;
}
