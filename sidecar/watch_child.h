/*
 * watch_child: a process of efs-watch and the conversation with it.
 *
 *     r = watch_child_init(&child, base, "/data", on_frame, on_hang_up, arg);
 *     r = watch_child_start(&child, argv, board_fd);
 *     watch_child_send(&child, WATCH_FRAME_PING, payload, length);
 *     watch_child_kill(&child);                           // it is not waited for
 *     r = watch_child_reap(&child, &status);              // on SIGCHLD; 1: it is gone
 *     watch_child_release(&child);
 *
 * on_frame() gets each frame; what it refuses (negative) ends the child. on_hang_up() is called
 * once when nothing more comes: the process may be there still. Nothing blocks; what the child does
 * not read is kept up to a limit.
 *
 * Threads: the loop's. Errors: -errno.
 */
#ifndef SIDECAR_WATCH_CHILD_H
#define SIDECAR_WATCH_CHILD_H

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "lib/frame.h"
#include "lib/share/watch_frames.h"
#include "sidecar/child_words.h"

struct evbuffer;

struct watch_child {
    struct event_base *base;
    const char *path; /* for messages */
    int (*on_frame)(void *arg, const struct frame *frame);
    void (*on_hang_up)(void *arg);
    void *arg;

    pid_t pid; /* 0: none, or it is reaped */
    int fd;    /* -1: the conversation is over */
    bool killed;
    struct event *readable, *writable;
    struct frame_reader reader;
    struct evbuffer *out;
    struct child_words words; /* after its end: the last ones */
};

int watch_child_init(struct watch_child *child, struct event_base *base, const char *path,
                     int (*on_frame)(void *arg, const struct frame *frame),
                     void (*on_hang_up)(void *arg), void *arg);
void watch_child_release(struct watch_child *child);

/* It gets a socket as SPAWN_FD, and board_fd, unless that is -1, as the next. */
int watch_child_start(struct watch_child *child, char *const argv[], int board_fd);

/* -ENOTCONN: it has hung up; -ENOBUFS: it does not read. */
int watch_child_send(struct watch_child *child, enum watch_frame type, const void *payload,
                     size_t length);
void watch_child_kill(struct watch_child *child);

/* 1: it has ended; what it said until then has been told. 0: it has not, or there is none. */
int watch_child_reap(struct watch_child *child, int *ret_status);

#endif
