/*
 * http_connection: what the parts of the HTTP server know of a connection: http.c reads requests,
 * http_answer.c writes answers, and here is whose it is and in which state.
 *
 *     c = http_connection_new(server, fd);             // READING
 *     http_connection_enter(c, HTTP_ANSWERING);
 *     ...
 *     http_connection_close(c);                        // closed() of its stream is called
 *
 * Each user's connections are counted. Where all there may be are there, those of the user who has
 * most make room, so that one who takes all he gets does not keep the others out.
 *
 * Ownership: a connection belongs to its server. Threads: loop thread only.
 */
#ifndef SIDECAR_HTTP_CONNECTION_H
#define SIDECAR_HTTP_CONNECTION_H

#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "sidecar/http.h"

enum http_state {
    HTTP_READING,   /* a request, from its first byte to its last */
    HTTP_ANSWERING, /* the next request waits until this answer is taken */
    HTTP_STREAMING,
    HTTP_DISCARDING, /* closed for us; what still comes is thrown away, or the client would lose the
                        answer to a reset */
};

struct http_stream {
    struct bufferevent *bev;
    const struct http_stream_ops *ops;
    void *arg;
    bool chunked;
};

/* One uid, while it has connections. */
struct http_user {
    uid_t uid;
    size_t n, n_streams;
    LIST_ENTRY(http_user) link;
};

struct http_connection {
    struct http_server *server;
    struct http_user *user;
    struct bufferevent *bev;
    enum http_state state;
    bool close_after; /* the answer */
    bool large;       /* counts in the server's n_large */
    size_t discarded;
    int64_t deadline_ms; /* READING, DISCARDING: in the server's waiting list */
    char *head_text;     /* of a request whose body is not complete yet */
    struct http_request request;
    struct http_stream stream;
    TAILQ_ENTRY(http_connection) link; /* in waiting or in busy */
};

TAILQ_HEAD(http_connection_list, http_connection);
LIST_HEAD(http_user_list, http_user);

struct http_server {
    struct event_base *base;
    struct evconnlistener *listener;
    struct event *timer; /* for the first of waiting, and for a pause of the listener */
    const struct http_handlers *handlers;
    void *arg;
    int64_t resume_ms; /* of a paused listener */
    size_t n, n_streams, n_large;
    struct http_connection_list waiting; /* the first has the earliest deadline */
    struct http_connection_list busy;    /* ANSWERING, STREAMING */
    struct http_user_list users;
};

/* NULL: no memory, or nobody is there; the fd is closed then. Its callbacks are the caller's. */
struct http_connection *http_connection_new(struct http_server *server, int fd);
void http_connection_enter(struct http_connection *c, enum http_state state);
void http_connection_dismiss_body(struct http_connection *c);
void http_connection_close(struct http_connection *c);

/* Who makes room: of the user who has most, the one that has been silent for longest, else the one
 * that takes its answer most slowly; never a stream. NULL: all are. */
struct http_connection *http_connection_least_useful(struct http_server *server);

void http_connection_arm_timer(struct http_server *server);

#endif
