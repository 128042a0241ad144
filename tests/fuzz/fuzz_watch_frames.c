/* A stream of frames as either end gets it. What is understood means the same when it is said
 * again; only a whole stream of known frames counts as parsed. */
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/frame.h"
#include "lib/share/watch_frames.h"
#include "tests/fuzz/driver.h"

static uint8_t again[FRAME_PAYLOAD_MAX];

#define REPEAT(what, frame)                                                                        \
    ({                                                                                             \
        struct watch_##what got;                                                                   \
        int r_ = watch_##what##_decode((frame)->payload, (frame)->length, &got);                   \
        if (r_ == 0) {                                                                             \
            MUST(watch_##what##_encode(&got, again, sizeof(again)) == (int)(frame)->length);       \
            MUST(memcmp(again, (frame)->payload, (frame)->length) == 0);                           \
        }                                                                                          \
        r_;                                                                                        \
    })

/* A status may come with longer paths than are sent. */
static int parse_status(const struct frame *frame)
{
    struct watch_status got, same;
    if (watch_status_decode(frame->payload, frame->length, &got) < 0)
        return -1;
    int n = watch_status_encode(&got, again, sizeof(again));
    MUST(n > 0 && watch_status_decode(again, (size_t)n, &same) == 0 && same.listed == got.listed);
    return 0;
}

static int parse_change(const struct frame *frame)
{
    struct change got, same;
    if (change_decode(frame->payload, frame->length, &got) < 0)
        return -1;
    int n = change_encode(&got, again, sizeof(again));
    MUST(n > 0 && change_decode(again, (size_t)n, &same) == 0);
    MUST(strcmp(got.path, same.path) == 0 && got.op == same.op);
    return 0;
}

static int parse_frame(const struct frame *frame)
{
    switch (frame->type) {
    case WATCH_FRAME_HELLO:
        return REPEAT(hello, frame);
    case WATCH_FRAME_CHANGE:
        return parse_change(frame);
    case WATCH_FRAME_READY:
    case WATCH_FRAME_STATUS:
        return parse_status(frame);
    case WATCH_FRAME_PONG:
        return REPEAT(pong, frame);
    case WATCH_FRAME_ANNOUNCED:
        return REPEAT(announced, frame);
    case WATCH_FRAME_NOTICE:
        return REPEAT(notice, frame);
    case WATCH_FRAME_ANNOUNCE:
        return REPEAT(announce, frame);
    case WATCH_FRAME_PING:
        return frame->length == sizeof(uint64_t) ? 0 : -1;
    case WATCH_FRAME_STOP:
        return frame->length == 0 ? 0 : -1;
    default:
        return -1;
    }
}

int fuzz_parse(const char *text, size_t length)
{
    int fds[2], r = 1, frames = 0;
    struct frame_reader reader = {0};
    struct frame frame;
    MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0);
    ssize_t sent = length > 0 ? write(fds[1], text, length) : 0;
    close(fds[1]);
    while (r > 0 && (r = frame_reader_fill(&reader, fds[0])) == 1) {
        while ((r = frame_reader_next(&reader, &frame)) == 1) {
            frames++;
            if (parse_frame(&frame) < 0) {
                r = -EBADMSG;
                break;
            }
        }
        r = r == 0 ? 1 : r;
    }
    bool rest = reader.end > reader.start;
    frame_reader_release(&reader);
    close(fds[0]);
    return r == -EPIPE && !rest && frames > 0 && sent == (ssize_t)length ? 0 : -1;
}
