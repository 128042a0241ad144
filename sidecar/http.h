/*
 * http: as much of an HTTP/1.1 server as a local API needs, on a listening Unix socket.
 *
 *     static const struct http_handlers handlers = {.handle = ..., .answered = ...};
 *     r = http_open(base, fd, &handlers, arg, &server);
 *     ...
 *     handle(arg, request): calls exactly one of
 *         http_reply(request, 200, "application/json", text, length);
 *         http_error(request, 404, hint, "there is no %s", request->head.path);
 *         http_stream_begin(request, "application/x-ndjson", &ops, arg, &stream);
 *         http_defer(request, &ops, arg, &stream);
 *
 * libevent's own server is not used because the API is open to every container of the task: it
 * answers malformed requests itself, with HTML; it keeps any number of connections, also silent
 * ones; and it shows a connection only once its whole request is there.
 *
 * Limits: HTTP_CONNECTIONS_MAX connections, of which those make room that have been silent for
 * longest, of the user who has most; a request has to be complete HTTP_WAIT_MS after the connection
 * or the last answer; sizes as in http_head.h. A second request on a connection is read when the
 * first one's answer is taken.
 *
 * Ownership: a request ends with its answer; a stream when closed() is called, with the connection
 * or the server, or with http_stream_end(). Threads: loop thread only.
 */
#ifndef SIDECAR_HTTP_H
#define SIDECAR_HTTP_H

#include <event2/event.h>
#include <jansson.h>
#include <stddef.h>
#include <sys/socket.h>

#include "sidecar/http_head.h"

enum {
    HTTP_CONNECTIONS_MAX = 1024,                    /* a held lock is one */
    HTTP_STREAMS_MAX = HTTP_CONNECTIONS_MAX - 128,  /* the rest is for questions */
    HTTP_USER_STREAMS_MAX = HTTP_STREAMS_MAX - 128, /* of one uid: the rest is for the others */
    HTTP_LARGE_BODIES = 8,                          /* that are read at once */
    HTTP_WAIT_MS = 30 * 1000,
};

struct http_server;
struct http_connection;
struct http_stream;

struct http_request {
    struct http_head head;
    const char *body;
    struct ucred peer; /* who connected */
    struct http_connection *connection;
};

struct http_handlers {
    void (*handle)(void *arg, struct http_request *request);
    void (*answered)(void *arg, int status); /* every request that got an answer, or NULL */
    bool (*takes_large)(const char *path);   /* a body above HTTP_SMALL_BODY_MAX; NULL: none */
};

/* fd: listening, non-blocking; the server's from success on. */
int http_open(struct event_base *base, int fd, const struct http_handlers *handlers, void *arg,
              struct http_server **ret_server);
void http_close(struct http_server *server); /* NULL is fine */

/* From now on connections come from this socket; those that are there stay. */
int http_listen(struct http_server *server, int fd);

/* Close what is over its time. The timer does that; tests that move the clock do it too. */
void http_expire(struct http_server *server);

void http_reply(struct http_request *request, int status, const char *type, const void *body,
                size_t length);

/* Takes the body; NULL is answered with 503: there was no memory for it. */
void http_reply_json(struct http_request *request, json_t *body);

/* {"code","message","hint"}; hint may be NULL. */
void http_error(struct http_request *request, int status, const char *hint, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* The same with a code of its own. */
void http_refuse(struct http_request *request, int status, const char *code, const char *hint,
                 const char *message);

struct http_stream_ops {
    void (*drained)(void *arg); /* the client took all that was written */
    void (*closed)(void *arg);  /* the client, the server, or a client that takes nothing is gone */
};

/* For streams that live long. true: there are too many already, and it was answered so. */
bool http_stream_refused(struct http_request *request);

/* Answers 200. The stream's functions must not be called from closed() on. */
void http_stream_begin(struct http_request *request, const char *type,
                       const struct http_stream_ops *ops, void *arg,
                       struct http_stream **ret_stream);
void http_stream_write(struct http_stream *stream, const void *data, size_t length);
/* A line; takes it. Nobody gets it when stream is NULL, the client's connection being gone. */
void http_stream_write_json(struct http_stream *stream, json_t *line);
/* An answer that comes later: http_reply() or http_error() on http_deferred(), unless closed() came
 * before. */
void http_defer(struct http_request *request, const struct http_stream_ops *ops, void *arg,
                struct http_stream **ret_stream);
struct http_request *http_deferred(struct http_stream *stream);

size_t http_stream_pending(const struct http_stream *stream); /* bytes in memory */

/* What was written still goes out. closed() is not called. */
void http_stream_end(struct http_stream *stream);

#endif
