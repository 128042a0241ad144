#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <poll.h>
#include <unistd.h>

#include "lib/json.h"
#include "lib/share/change_line.h"
#include "watchers/sink.h"

static int append_line(struct sink *sink, const json_t *object)
{
    char line[SINK_MESSAGE_MAX];
    size_t length = object ? json_dumpb(object, line, sizeof(line) - 1, JSON_COMPACT) : 0;
    if (length == 0 || length >= sizeof(line))
        return -ENOMEM;
    line[length] = '\n';
    sink_append(sink, line, length + 1);
    return 0;
}

static int lines_change(struct sink *sink, const struct change *change)
{
    char *line = sink->buffer + sink->end; /* there is room for any one message */
    size_t length = change_line(change, NULL, line, SINK_MESSAGE_MAX - 1);
    if (length == 0)
        return -EMSGSIZE;
    line[length] = '\n';
    sink->end += length + 1;
    return 0;
}

static int lines_ready(struct sink *sink, const char *root, const struct watch_status *status)
{
    json_t *path = json_string_lossy(root);
    _cleanup_json_ json_t *object =
        json_pack("{s:b, s:o, s:I, s:I}", "ready", 1, "root", path, "directories",
                  (json_int_t)status->directories, "blind", (json_int_t)status->blind);
    return append_line(sink, object);
}

static int lines_hello(struct sink *sink, uint32_t epoch)
{
    return 0;
}

static int lines_status(struct sink *sink, const struct watch_status *status)
{
    return 0;
}

static int lines_pong(struct sink *sink, const struct watch_pong *pong)
{
    return 0;
}

static int lines_announced(struct sink *sink, const struct watch_announced *announced)
{
    return 0;
}

static int lines_notice(struct sink *sink, const struct watch_notice *notice)
{
    return 0;
}

/* stdout is shared with others, so it is not ours to make non-blocking: a pipe that polls writable
 * takes PIPE_BUF bytes without blocking. */
static ssize_t lines_write(int fd, const void *data, size_t length)
{
    struct pollfd writable = {.fd = fd, .events = POLLOUT};
    int n = poll(&writable, 1, 0);
    if (n == 0)
        errno = EAGAIN;
    if (n <= 0)
        return -1;
    return write(fd, data, length < PIPE_BUF ? length : PIPE_BUF);
}

const struct sink_ops sink_lines = {
    .hello = lines_hello,
    .change = lines_change,
    .ready = lines_ready,
    .status = lines_status,
    .pong = lines_pong,
    .announced = lines_announced,
    .notice = lines_notice,
    .write = lines_write,
};
