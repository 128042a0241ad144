#include <sys/socket.h>

#include "lib/frame.h"
#include "watchers/sink.h"

enum { PAYLOAD_MAX = WATCH_NOTICE_MAX }; /* the largest */

_Static_assert((size_t)PAYLOAD_MAX >= (size_t)CHANGE_ENCODED_MAX, "a change fits");
_Static_assert((size_t)PAYLOAD_MAX >= (size_t)WATCH_STATUS_MAX, "a status fits");
_Static_assert(SINK_MESSAGE_MAX >= FRAME_HEADER_BYTES + PAYLOAD_MAX, "a frame fits");

static int append_frame(struct sink *sink, enum watch_frame type, const void *payload, int length)
{
    uint8_t frame[FRAME_HEADER_BYTES + PAYLOAD_MAX];
    if (length < 0)
        return length;
    int n = frame_encode((uint16_t)type, payload, (size_t)length, frame);
    if (n < 0)
        return n;
    sink_append(sink, frame, (size_t)n);
    return 0;
}

static int frames_hello(struct sink *sink, uint32_t epoch)
{
    uint8_t payload[WATCH_HELLO_BYTES];
    struct watch_hello hello = {.version = WATCH_FRAMES_VERSION, .epoch = epoch};
    return append_frame(sink, WATCH_FRAME_HELLO, payload,
                        watch_hello_encode(&hello, payload, sizeof(payload)));
}

static int frames_change(struct sink *sink, const struct change *change)
{
    uint8_t payload[CHANGE_ENCODED_MAX];
    return append_frame(sink, WATCH_FRAME_CHANGE, payload,
                        change_encode(change, payload, sizeof(payload)));
}

static int append_status(struct sink *sink, enum watch_frame type,
                         const struct watch_status *status)
{
    uint8_t payload[WATCH_STATUS_MAX];
    return append_frame(sink, type, payload, watch_status_encode(status, payload, sizeof(payload)));
}

static int frames_ready(struct sink *sink, const char *root, const struct watch_status *status)
{
    return append_status(sink, WATCH_FRAME_READY, status);
}

static int frames_status(struct sink *sink, const struct watch_status *status)
{
    return append_status(sink, WATCH_FRAME_STATUS, status);
}

static int frames_pong(struct sink *sink, const struct watch_pong *pong)
{
    uint8_t payload[WATCH_PONG_BYTES];
    return append_frame(sink, WATCH_FRAME_PONG, payload,
                        watch_pong_encode(pong, payload, sizeof(payload)));
}

static int frames_announced(struct sink *sink, const struct watch_announced *announced)
{
    uint8_t payload[WATCH_ANNOUNCED_BYTES];
    return append_frame(sink, WATCH_FRAME_ANNOUNCED, payload,
                        watch_announced_encode(announced, payload, sizeof(payload)));
}

static int frames_notice(struct sink *sink, const struct watch_notice *notice)
{
    uint8_t payload[WATCH_NOTICE_MAX];
    return append_frame(sink, WATCH_FRAME_NOTICE, payload,
                        watch_notice_encode(notice, payload, sizeof(payload)));
}

static ssize_t frames_write(int fd, const void *data, size_t length)
{
    return send(fd, data, length, MSG_DONTWAIT | MSG_NOSIGNAL);
}

const struct sink_ops sink_frames = {
    .hello = frames_hello,
    .change = frames_change,
    .ready = frames_ready,
    .status = frames_status,
    .pong = frames_pong,
    .announced = frames_announced,
    .notice = frames_notice,
    .write = frames_write,
};
