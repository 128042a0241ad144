#include "sidecar/watcher.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "lib/backoff.h"
#include "lib/bytes.h"
#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/error.h"
#include "lib/frame.h"
#include "lib/log.h"
#include "sidecar/spawn.h"

enum {
    RESTART_FIRST_MS = 1000,
    RESTART_MOST_MS = 60 * 1000,
    LIVED_WELL_MS = 60 * 1000, /* a child that lived so long did not fail at its start */
    PINGS_PER_STALL = 3,
    ENDING_MS = 3000,
    FILLS_PER_TURN = 2, /* then the loop has its turn: it has others to answer */
};

const char *const watcher_state_names[] = {
    [WATCHER_OFF] = "off",
    [WATCHER_STARTING] = "starting",
    [WATCHER_READY] = "ready",
    [WATCHER_RESTARTING] = "restarting",
};

struct watcher {
    struct event_base *base;
    const struct settings *settings;
    const char *path;
    struct feed *feed;
    struct conditions *conditions;
    struct event *readable, *child_ended;
    struct frame_reader reader;

    bool allowed, stopping, killed;
    pid_t pid; /* 0: none, or it is reaped */
    int fd;    /* -1: the conversation is over */
    int64_t started_ms, next_start_ms, ping_ms, heard_ms;
    struct backoff backoff;

    struct watcher_status status;
    uint8_t last_status[WATCH_STATUS_MAX]; /* what the strings in status.child point into */
};

static void say(struct watcher *w, enum condition_status status, const char *reason,
                const char *text)
{
    conditions_set(w->conditions, CONDITION_FEED_READY, status, reason, "%s", text);
}

static void say_ready(struct watcher *w)
{
    const struct watch_status *child = &w->status.child;
    if (child->blind > 0)
        conditions_set(w->conditions, CONDITION_FEED_READY, CONDITION_FALSE, "PartlyBlind",
                       "%u directories are not watched, the first is \"%s\": %s. Raise "
                       "watch.max_dirs or fs.inotify.max_user_watches, or name fewer directories "
                       "in watch.paths",
                       child->blind, child->listed ? child->blinds[0].path : "",
                       child->listed ? error_name(child->blinds[0].code) : "");
    else
        conditions_set(w->conditions, CONDITION_FEED_READY, CONDITION_TRUE, "Watching",
                       "%u directories are watched", child->directories);
}

/* ---- frames from the child ---- */

static int take_status(struct watcher *w, const struct frame *frame)
{
    struct watch_status status;
    if (frame->length > sizeof(w->last_status))
        return -EBADMSG;
    memcpy(w->last_status, frame->payload, frame->length);
    int r = watch_status_decode(w->last_status, frame->length, &status);
    if (r == 0)
        w->status.child = status;
    else
        w->status.child.listed = 0; /* what its strings pointed into is overwritten */
    return r;
}

static int take_change(struct watcher *w, const struct frame *frame)
{
    struct change change;
    int r = change_decode(frame->payload, frame->length, &change);
    if (r < 0)
        return r;
    w->status.changes++;
    return feed_push(w->feed, &change);
}

static int take_hello(const struct frame *frame)
{
    struct watch_hello hello;
    int r = watch_hello_decode(frame->payload, frame->length, &hello);
    return r == 0 && hello.version != WATCH_FRAMES_VERSION ? -EPROTO : r;
}

static int take_frame(struct watcher *w, const struct frame *frame)
{
    int r = 0;
    w->heard_ms = clock_now_ms();
    switch (frame->type) {
    case WATCH_FRAME_HELLO:
        return take_hello(frame);
    case WATCH_FRAME_CHANGE:
        return take_change(w, frame);
    case WATCH_FRAME_READY:
        w->status.state = WATCHER_READY;
        r = take_status(w, frame);
        break;
    case WATCH_FRAME_STATUS:
        r = take_status(w, frame);
        break;
    case WATCH_FRAME_PONG:
        break;
    default:
        return -EBADMSG;
    }
    if (r == 0 && w->status.state == WATCHER_READY && !w->stopping)
        say_ready(w);
    return r;
}

static void hang_up(struct watcher *w)
{
    if (w->fd < 0)
        return;
    event_free(w->readable);
    w->readable = NULL;
    close(w->fd);
    w->fd = -1;
    frame_reader_release(&w->reader);
}

static void kill_child(struct watcher *w)
{
    hang_up(w);
    if (w->pid > 0 && !w->killed) {
        kill(w->pid, SIGKILL);
        w->killed = true;
    }
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct watcher *w = arg;
    struct frame frame;
    for (int i = 0; i < FILLS_PER_TURN; i++) {
        int r = frame_reader_fill(&w->reader, fd);
        if (r == 0)
            return;
        while (r > 0 && (r = frame_reader_next(&w->reader, &frame)) == 1)
            r = take_frame(w, &frame) < 0 ? -EBADMSG : 1;
        if (r == -EPIPE || r == -ECONNRESET) { /* it is ending: SIGCHLD tells how */
            hang_up(w);
            return;
        }
        if (r < 0) {
            log_error("efs-watch on %s sent what cannot be understood (%s): is it of another "
                      "version than efs-sidecar? It is started again",
                      w->path, error_name(-r));
            kill_child(w);
            return;
        }
    }
}

static void send_frame(struct watcher *w, enum watch_frame type, const void *payload, size_t length)
{
    uint8_t buffer[FRAME_HEADER_BYTES + sizeof(uint64_t)];
    int n = frame_encode(type, payload, length, buffer);
    /* A full socket means that the child does not read: what follows from that is decided by its
     * silence. Frames are so small against the buffer that none goes out in part. */
    if (w->fd >= 0 && send(w->fd, buffer, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        return;
}

/* ---- the child's life ---- */

static void tell_how_it_ended(const struct watcher *w, int status)
{
    if (WIFSIGNALED(status))
        log_warn("efs-watch on %s was ended by signal %d (%s)", w->path, WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    else
        log_warn("efs-watch on %s ended with code %d%s", w->path, WEXITSTATUS(status),
                 WEXITSTATUS(status) == SPAWN_NOT_FOUND ? ": the program was not found beside "
                                                          "efs-sidecar or in $PATH"
                                                        : "");
}

static void on_child_ended(evutil_socket_t number, short what, void *arg)
{
    struct watcher *w = arg;
    int status;
    if (w->pid == 0 || waitpid(w->pid, &status, WNOHANG) != w->pid)
        return;
    if (w->fd >= 0) /* what it said before it ended */
        on_readable(w->fd, EV_READ, w);
    hang_up(w);
    w->pid = 0;
    if (w->stopping)
        return;
    tell_how_it_ended(w, status);
    int64_t now_ms = clock_now_ms();
    if (now_ms - w->started_ms >= LIVED_WELL_MS)
        backoff_reset(&w->backoff);
    w->next_start_ms = now_ms + backoff_next_ms(&w->backoff);
    w->status.restarts++;
    w->status.state = WATCHER_RESTARTING;
    memset(&w->status.child, 0, sizeof(w->status.child));
    conditions_set(w->conditions, CONDITION_FEED_READY, CONDITION_FALSE, "WatcherRestarting",
                   "efs-watch ended and is started again; its log lines say why. Changes until "
                   "then are reported as a resync");
}

static int exec_watch(struct watcher *w, int fd)
{
    char program[] = "efs-watch", child[32], existing[] = "--existing", *argv[64];
    _cleanup_free_ char *root = strdup(w->path);
    char **options = config_to_options(&settings_table, PROGRAM_WATCH, w->settings);
    size_t n = 0;

    snprintf(child, sizeof(child), "--child=%d", SPAWN_FD);
    argv[n++] = program;
    argv[n++] = child;
    if (w->status.restarts > 0)
        argv[n++] = existing; /* a resync, and what exists */
    for (size_t i = 0; options && options[i] && n < ARRAY_LEN(argv) - 2; i++)
        argv[n++] = options[i];
    argv[n++] = root;
    argv[n] = NULL;
    int r = options && root ? spawn_beside(argv, &fd, 1, &w->pid) : -ENOMEM;
    config_free_options(options);
    return r;
}

/* Start the child and listen to it. */
static int start(struct watcher *w)
{
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        return -errno;
    _cleanup_close_ int ours = fds[0], theirs = fds[1];
    evutil_make_socket_nonblocking(ours);
    w->readable = event_new(w->base, ours, EV_READ | EV_PERSIST, on_readable, w);
    if (!w->readable)
        return -ENOMEM;
    int r = event_add(w->readable, NULL) < 0 ? -ENOMEM : exec_watch(w, theirs);
    if (r < 0) {
        event_free(w->readable);
        w->readable = NULL;
        return r;
    }
    w->fd = take_fd(&ours);
    w->killed = false;
    w->started_ms = w->heard_ms = w->ping_ms = clock_now_ms();
    if (w->status.state == WATCHER_OFF) {
        w->status.state = WATCHER_STARTING;
        say(w, CONDITION_UNKNOWN, "Starting", "efs-watch reads the directories");
    }
    return 0;
}

static void try_start(struct watcher *w)
{
    int64_t now_ms = clock_now_ms();
    if (!w->allowed || w->stopping || now_ms < w->next_start_ms)
        return;
    int r = start(w);
    if (r == 0)
        return;
    w->next_start_ms = now_ms + backoff_next_ms(&w->backoff);
    conditions_set(w->conditions, CONDITION_FEED_READY, CONDITION_FALSE, "WatcherNotStarted",
                   "efs-watch cannot be started: %s. It is tried again", strerror(-r));
}

/* ---- heartbeat ---- */

static void check_silence(struct watcher *w, int64_t now_ms)
{
    int64_t silence_ms = now_ms - w->heard_ms;
    if (silence_ms <= w->settings->stall_after_ms)
        return;
    conditions_set(w->conditions, CONDITION_FEED_READY, CONDITION_FALSE, "WatcherStalled",
                   "efs-watch has not answered for %lld s%s", (long long)(silence_ms / 1000),
                   w->allowed ? "; it is killed and started again"
                              : ", and neither has the mount. Local changes are kept by the "
                                "kernel and reported when it answers");
    if (w->allowed)
        kill_child(w);
}

void watcher_tick(struct watcher *w)
{
    int64_t now_ms = clock_now_ms();
    if (w->pid == 0) {
        try_start(w);
        return;
    }
    if (w->fd < 0 || w->stopping) { /* it is ending, and is helped when that takes too long */
        if (now_ms - w->heard_ms > ENDING_MS)
            kill_child(w);
        return;
    }
    if (now_ms - w->ping_ms >= w->settings->stall_after_ms / PINGS_PER_STALL) {
        uint8_t nonce[sizeof(uint64_t)];
        put_le64(nonce, (uint64_t)now_ms);
        w->ping_ms = now_ms;
        send_frame(w, WATCH_FRAME_PING, nonce, sizeof(nonce));
    }
    check_silence(w, now_ms);
}

void watcher_allow(struct watcher *w, bool allowed)
{
    if (allowed && !w->allowed)
        w->heard_ms = clock_now_ms(); /* what hung with the mount gets time to come back */
    w->allowed = allowed;
}

void watcher_status(const struct watcher *w, struct watcher_status *ret_status)
{
    *ret_status = w->status;
}

/* ---- */

int watcher_new(struct event_base *base, const struct settings *settings, const char *path,
                struct feed *feed, struct conditions *conditions, struct watcher **ret_watcher)
{
    struct watcher *w = malloc(sizeof(*w));
    if (!w)
        return -ENOMEM;
    *w = (struct watcher){
        .base = base,
        .settings = settings,
        .path = path,
        .feed = feed,
        .conditions = conditions,
        .fd = -1,
        .backoff = {.first_ms = RESTART_FIRST_MS, .most_ms = RESTART_MOST_MS},
    };
    w->child_ended = evsignal_new(base, SIGCHLD, on_child_ended, w);
    if (!w->child_ended || event_add(w->child_ended, NULL) < 0) {
        watcher_free(w);
        return -ENOMEM;
    }
    say(w, CONDITION_UNKNOWN, "Starting", "efs-watch is started when the mount answers");
    *ret_watcher = w;
    return 0;
}

void watcher_free(struct watcher *w)
{
    if (!w)
        return;
    kill_child(w);
    if (w->child_ended)
        event_free(w->child_ended);
    free(w);
}

void watcher_stop(struct watcher *w)
{
    if (w->stopping)
        return;
    w->stopping = true;
    w->heard_ms = clock_now_ms();
    send_frame(w, WATCH_FRAME_STOP, NULL, 0);
}

bool watcher_stopped(const struct watcher *w)
{
    return w->pid == 0;
}

void watcher_kill(struct watcher *w)
{
    kill_child(w);
}
