#include "sidecar/watch_child.h"

#include <errno.h>
#include <event2/buffer.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/error.h"
#include "lib/log.h"
#include "sidecar/spawn.h"

enum {
    FILLS_PER_TURN = 2, /* then the loop has its turn: it has others to answer */
    UNSENT_MAX = 256 * 1024,
};

int watch_child_init(struct watch_child *child, struct event_base *base, const char *path,
                     int (*on_frame)(void *arg, const struct frame *frame),
                     void (*on_hang_up)(void *arg), void *arg)
{
    *child = (struct watch_child){
        .base = base,
        .path = path,
        .on_frame = on_frame,
        .on_hang_up = on_hang_up,
        .arg = arg,
        .fd = -1,
        .out = evbuffer_new(),
    };
    child_words_init(&child->words);
    return child->out ? 0 : -ENOMEM;
}

static void free_events(struct watch_child *child)
{
    if (child->readable)
        event_free(child->readable);
    if (child->writable)
        event_free(child->writable);
    child->readable = child->writable = NULL;
}

static void hang_up(struct watch_child *child)
{
    if (child->fd < 0)
        return;
    free_events(child);
    close(child->fd);
    child->fd = -1;
    frame_reader_release(&child->reader);
    evbuffer_drain(child->out, evbuffer_get_length(child->out));
    child->on_hang_up(child->arg);
}

void watch_child_kill(struct watch_child *child)
{
    hang_up(child);
    if (child->pid > 0 && !child->killed) {
        kill(child->pid, SIGKILL);
        child->killed = true;
    }
}

void watch_child_release(struct watch_child *child)
{
    watch_child_kill(child);
    child_words_close(&child->words);
    if (child->out)
        evbuffer_free(child->out);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct watch_child *child = arg;
    struct frame frame;
    for (int i = 0; i < FILLS_PER_TURN; i++) {
        int r = frame_reader_fill(&child->reader, fd);
        if (r == 0)
            return;
        while (r > 0 && (r = frame_reader_next(&child->reader, &frame)) == 1)
            r = child->on_frame(child->arg, &frame) < 0 ? -EBADMSG : 1;
        if (r == -EPIPE || r == -ECONNRESET) { /* it is ending: SIGCHLD tells how */
            hang_up(child);
            return;
        }
        if (r < 0) {
            log_error("efs-watch on %s sent what cannot be understood (%s): is it of another "
                      "version than efs-sidecar? It is started again",
                      child->path, error_name(-r));
            watch_child_kill(child);
            return;
        }
    }
}

static void flush(struct watch_child *child)
{
    if (evbuffer_get_length(child->out) > 0)
        evbuffer_write(child->out, child->fd); /* who is gone is told by SIGCHLD */
    if (evbuffer_get_length(child->out) > 0)
        event_add(child->writable, NULL);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    flush(arg);
}

/* A child that does not read is given no more than this: what follows is decided by its silence. */
int watch_child_send(struct watch_child *child, enum watch_frame type, const void *payload,
                     size_t length)
{
    uint8_t buffer[FRAME_HEADER_BYTES + WATCH_ANNOUNCE_MAX];
    if (child->fd < 0)
        return -ENOTCONN;
    if (length > WATCH_ANNOUNCE_MAX)
        return -EMSGSIZE;
    if (evbuffer_get_length(child->out) > UNSENT_MAX)
        return -ENOBUFS;
    int n = frame_encode((uint16_t)type, payload, length, buffer);
    if (n < 0 || evbuffer_add(child->out, buffer, (size_t)n) < 0)
        return n < 0 ? n : -ENOMEM;
    flush(child);
    return 0;
}

int watch_child_start(struct watch_child *child, char *const argv[], int board_fd)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    _cleanup_close_ int ours = pair[0], theirs = pair[1], err_fd = -1;
    const int fds[] = {theirs, board_fd};
    evutil_make_socket_nonblocking(ours);
    child->readable = event_new(child->base, ours, EV_READ | EV_PERSIST, on_readable, child);
    child->writable = event_new(child->base, ours, EV_WRITE, on_writable, child);
    bool listens = child->readable && child->writable && event_add(child->readable, NULL) == 0;
    int r = listens ? child_words_open(&child->words, child->base, &err_fd) : -ENOMEM;
    if (r == 0)
        r = spawn_beside(argv, fds, board_fd < 0 ? 1 : 2, err_fd, &child->pid);
    if (r < 0) {
        child_words_close(&child->words);
        free_events(child);
        return r;
    }
    child->fd = take_fd(&ours);
    child->killed = false;
    return 0;
}

int watch_child_reap(struct watch_child *child, int *ret_status)
{
    int status;
    if (child->pid == 0 || !spawn_wait(child->pid, &status))
        return 0;
    spawn_reap_strays(); /* this one may have stood before them */
    if (child->fd >= 0)  /* what it said before it ended */
        on_readable(child->fd, EV_READ, child);
    hang_up(child);
    child_words_close(&child->words);
    child->pid = 0;
    *ret_status = status;
    return 1;
}
