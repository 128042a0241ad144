/*
 * sink: where changes go: frames to the sidecar, or JSON lines for people.
 *
 *     sink_open(&sink, &sink_lines, STDOUT_FILENO);
 *     if (sink_has_room(&sink)) sink_change(&sink, &change);   // room is enough for any message
 *     poll sink.fd for POLLOUT while sink_is_waiting(); sink_flush(&sink);
 *
 * Nothing blocks and nothing grows: what does not fit stays with the caller. sink_flush() returns
 * 0, or -errno when the other end is gone (-EPIPE) or broken. The others return 0 or -ENOMEM.
 * Threads: one.
 */
#ifndef WATCHERS_SINK_H
#define WATCHERS_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/share/change.h"
#include "lib/share/watch_frames.h"

/* The largest message: a rename of two longest paths of control characters, as JSON. */
enum { SINK_MESSAGE_MAX = 64 * 1024, SINK_BYTES = 4 * SINK_MESSAGE_MAX };

struct sink;

struct sink_ops {
    int (*hello)(struct sink *sink, uint32_t epoch);
    int (*change)(struct sink *sink, const struct change *change);
    int (*ready)(struct sink *sink, const char *root, const struct watch_status *status);
    int (*status)(struct sink *sink, const struct watch_status *status);
    int (*pong)(struct sink *sink, const struct watch_pong *pong);
    int (*announced)(struct sink *sink, const struct watch_announced *announced);
    int (*notice)(struct sink *sink, const struct watch_notice *notice);
    ssize_t (*write)(int fd, const void *data, size_t length); /* -1 and EAGAIN: not now */
};

extern const struct sink_ops sink_lines;  /* changes and ready; nothing else */
extern const struct sink_ops sink_frames; /* to a stream socket */

struct sink {
    const struct sink_ops *ops;
    int fd;
    char *buffer;
    size_t start, end;
};

int sink_open(struct sink *sink, const struct sink_ops *ops, int fd);
void sink_release(struct sink *sink);

bool sink_has_room(struct sink *sink);
static inline bool sink_is_waiting(const struct sink *sink)
{
    return sink->end > sink->start;
}
int sink_flush(struct sink *sink);

/* For the variants: append a whole message, at most SINK_MESSAGE_MAX bytes. */
void sink_append(struct sink *sink, const void *data, size_t length);

#endif
