#include "sidecar/http.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/clock.h"

enum {
    WRITE_TIMEOUT_S = 30,   /* an answer that nobody takes */
    STREAM_TIMEOUT_S = 300, /* a stream that nobody takes: its reader may be stopped for a while */
    PAUSE_MS = 20,          /* of accepting, when there are too many connections */
    ROOM = 32,              /* that is made then */
    DISCARD_MAX = 1024 * 1024,
};

enum state {
    READING,   /* a request, from its first byte to its last */
    ANSWERING, /* the next request waits until this answer is taken */
    STREAMING,
    DISCARDING, /* closed for us; what still comes is thrown away, or the client would lose the
                   answer to a reset */
};

struct http_stream {
    struct bufferevent *bev;
    const struct http_stream_ops *ops;
    void *arg;
    bool chunked;
};

struct http_connection {
    struct http_server *server;
    struct bufferevent *bev;
    enum state state;
    bool close_after; /* the answer */
    bool large;       /* counts in the server's n_large */
    size_t discarded;
    int64_t deadline_ms; /* READING, DISCARDING: in the server's waiting list */
    char *head_text;     /* of a request whose body is not complete yet */
    struct http_request request;
    struct http_stream stream;
    TAILQ_ENTRY(http_connection) link; /* in waiting or in busy */
};

TAILQ_HEAD(connection_list, http_connection);

struct http_server {
    struct event_base *base;
    struct evconnlistener *listener;
    struct event *timer; /* for the first of waiting, and for a pause of the listener */
    const struct http_handlers *handlers;
    void *arg;
    int64_t resume_ms; /* of a paused listener */
    size_t n, n_streams, n_large;
    struct connection_list waiting; /* READING, DISCARDING: the first has the earliest deadline */
    struct connection_list busy;
};

static const char *phrase_of(int status)
{
    static const struct {
        int status;
        const char *phrase;
    } known[] = {
        {200, "OK"},
        {400, "Bad Request"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {409, "Conflict"},
        {410, "Gone"},
        {413, "Content Too Large"},
        {429, "Too Many Requests"},
        {500, "Internal Error"},
        {503, "Service Unavailable"},
    };
    size_t i = 0;
    while (known[i].status != status && i + 1 < ARRAY_LEN(known))
        i++;
    return known[i].phrase;
}

/* ---- connections ---- */

static bool is_waiting(const struct http_connection *c)
{
    return c->state == READING || c->state == DISCARDING;
}

static struct connection_list *list_of(struct http_connection *c)
{
    return is_waiting(c) ? &c->server->waiting : &c->server->busy;
}

static void arm_timer(struct http_server *server)
{
    const struct http_connection *first = TAILQ_FIRST(&server->waiting);
    int64_t next_ms = first ? first->deadline_ms : CLOCK_NEVER;
    int64_t ms = clock_poll_timeout(next_ms < server->resume_ms ? next_ms : server->resume_ms);
    if (ms >= 0)
        event_add(server->timer,
                  &(struct timeval){.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000});
}

static void enter(struct http_connection *c, enum state state)
{
    TAILQ_REMOVE(list_of(c), c, link);
    if (c->state == STREAMING)
        c->server->n_streams--;
    if (state == STREAMING)
        c->server->n_streams++;
    c->state = state;
    TAILQ_INSERT_TAIL(list_of(c), c, link);
    if (is_waiting(c)) {
        c->deadline_ms = clock_now_ms() + HTTP_WAIT_MS;
        if (TAILQ_FIRST(&c->server->waiting) == c)
            arm_timer(c->server);
    }
    /* While a stream runs, reading is how we learn that the client is gone. */
    if (state == ANSWERING)
        bufferevent_disable(c->bev, EV_READ);
    else
        bufferevent_enable(c->bev, EV_READ);
}

static void dismiss_body(struct http_connection *c)
{
    c->server->n_large -= c->large;
    c->large = false;
}

static void close_connection(struct http_connection *c)
{
    dismiss_body(c);
    TAILQ_REMOVE(list_of(c), c, link);
    c->server->n--;
    if (c->state == STREAMING) {
        c->server->n_streams--;
        c->stream.ops->closed(c->stream.arg);
    }
    bufferevent_free(c->bev);
    free(c->head_text);
    free(c);
}

/* ---- answers ---- */

static void answer(struct http_request *request, int status, const char *type, const char *framing)
{
    struct http_connection *c = request->connection;
    evbuffer_add_printf(bufferevent_get_output(c->bev),
                        "HTTP/1.1 %d %s\r\nContent-Type: %s\r\n%s%s\r\n", status, phrase_of(status),
                        type, framing, c->close_after ? "Connection: close\r\n" : "");
    if (c->server->handlers->answered)
        c->server->handlers->answered(c->server->arg, status);
}

void http_reply(struct http_request *request, int status, const char *type, const void *body,
                size_t length)
{
    struct http_connection *c = request->connection;
    char framing[64];
    snprintf(framing, sizeof(framing), "Content-Length: %zu\r\n", length);
    answer(request, status, type, framing);
    evbuffer_add(bufferevent_get_output(c->bev), body, length);
    bufferevent_set_timeouts(c->bev, NULL, &(struct timeval){.tv_sec = WRITE_TIMEOUT_S});
    enter(c, ANSWERING);
}

bool http_stream_refused(struct http_request *request)
{
    if (request->connection->server->n_streams < HTTP_STREAMS_MAX)
        return false;
    http_error(request, 429, "GET /v1/locks lists who waits",
               "%d clients keep their connections for locks or changes, the most that can",
               HTTP_STREAMS_MAX);
    return true;
}

void http_stream_begin(struct http_request *request, const char *type,
                       const struct http_stream_ops *ops, void *arg,
                       struct http_stream **ret_stream)
{
    struct http_connection *c = request->connection;
    c->stream = (struct http_stream){c->bev, ops, arg, request->head.chunked_reply};
    c->close_after = true;
    answer(request, 200, type, c->stream.chunked ? "Transfer-Encoding: chunked\r\n" : "");
    bufferevent_set_timeouts(c->bev, NULL, &(struct timeval){.tv_sec = STREAM_TIMEOUT_S});
    enter(c, STREAMING);
    *ret_stream = &c->stream;
}

void http_defer(struct http_request *request, const struct http_stream_ops *ops, void *arg,
                struct http_stream **ret_stream)
{
    struct http_connection *c = request->connection;
    c->stream = (struct http_stream){c->bev, ops, arg, .chunked = false};
    c->close_after = true;
    enter(c, STREAMING);
    *ret_stream = &c->stream;
}

static struct http_connection *connection_of(struct http_stream *stream)
{
    return (struct http_connection *)((char *)stream - offsetof(struct http_connection, stream));
}

struct http_request *http_deferred(struct http_stream *stream)
{
    return &connection_of(stream)->request;
}

void http_stream_write(struct http_stream *stream, const void *data, size_t length)
{
    struct evbuffer *out = bufferevent_get_output(stream->bev);
    if (length == 0) /* would end a chunked body */
        return;
    if (stream->chunked)
        evbuffer_add_printf(out, "%zx\r\n", length);
    evbuffer_add(out, data, length);
    if (stream->chunked)
        evbuffer_add(out, "\r\n", 2);
}

void http_stream_write_json(struct http_stream *stream, json_t *line)
{
    _cleanup_free_ char *text = line ? json_dumps(line, JSON_COMPACT) : NULL;
    json_decref(line);
    if (!text || !stream)
        return;
    size_t length = strlen(text);
    text[length] = '\n'; /* in place of the NUL */
    http_stream_write(stream, text, length + 1);
}

size_t http_stream_pending(const struct http_stream *stream)
{
    return evbuffer_get_length(bufferevent_get_output(stream->bev));
}

void http_stream_end(struct http_stream *stream)
{
    struct http_connection *c = connection_of(stream);
    if (stream->chunked)
        evbuffer_add_printf(bufferevent_get_output(c->bev), "0\r\n\r\n");
    bufferevent_set_timeouts(c->bev, NULL, &(struct timeval){.tv_sec = WRITE_TIMEOUT_S});
    enter(c, ANSWERING);
    if (http_stream_pending(stream) == 0)
        bufferevent_trigger(c->bev, EV_WRITE, BEV_OPT_DEFER_CALLBACKS);
}

/* ---- requests ---- */

static void refuse(struct http_connection *c, int status, const char *message)
{
    c->close_after = true;
    http_error(&c->request, status, NULL, "%s", message);
}

static bool admit_body(struct http_connection *c)
{
    struct http_server *server = c->server;
    const struct http_head *head = &c->request.head;
    if (head->body_bytes <= HTTP_SMALL_BODY_MAX)
        return true;
    if (!server->handlers->takes_large || !server->handlers->takes_large(head->path)) {
        char words[80];
        snprintf(words, sizeof(words), "the body has %zu bytes, more than %d", head->body_bytes,
                 HTTP_SMALL_BODY_MAX);
        refuse(c, 413, words);
        return false;
    }
    if (server->n_large == HTTP_LARGE_BODIES) {
        refuse(c, 429, "too many large requests at once: try again");
        return false;
    }
    c->large = true;
    server->n_large++;
    bufferevent_setwatermark(c->bev, EV_READ, 0, HTTP_HEAD_MAX + head->body_bytes);
    return true;
}

/* 1: the head is there, 0: not yet, -1: refused. */
static int read_head(struct http_connection *c, struct evbuffer *in)
{
    struct evbuffer_ptr end = evbuffer_search(in, "\r\n\r\n", 4, NULL);
    size_t length = end.pos >= 0 ? (size_t)end.pos + 2 : evbuffer_get_length(in);
    if (length > HTTP_HEAD_MAX) {
        refuse(c, 413, "the request's path and headers have more than 16 KiB");
        return -1;
    }
    if (end.pos < 0)
        return 0;
    c->head_text = malloc(length + 1);
    if (!c->head_text) {
        refuse(c, 503, "no memory");
        return -1;
    }
    evbuffer_remove(in, c->head_text, length);
    evbuffer_drain(in, 2);
    struct error err = {0};
    int r = http_head_parse(c->head_text, length, &c->request.head, &err);
    if (r < 0) {
        refuse(c, r == -EMSGSIZE ? 413 : 400, err.text);
        return -1;
    }
    if (!admit_body(c))
        return -1;
    if (c->request.head.expects_continue && c->request.head.body_bytes > 0)
        evbuffer_add_printf(bufferevent_get_output(c->bev), "HTTP/1.1 100 Continue\r\n\r\n");
    return 1;
}

static void read_request(struct http_connection *c)
{
    struct evbuffer *in = bufferevent_get_input(c->bev);
    if (!c->head_text && read_head(c, in) <= 0)
        return;
    size_t body_bytes = c->request.head.body_bytes;
    if (evbuffer_get_length(in) < body_bytes)
        return;
    c->close_after = !c->request.head.keep_alive;
    c->request.body = body_bytes ? (char *)evbuffer_pullup(in, (ev_ssize_t)body_bytes) : "";
    c->server->handlers->handle(c->server->arg, &c->request);
    evbuffer_drain(in, body_bytes);
    if (c->large)
        bufferevent_setwatermark(c->bev, EV_READ, 0, HTTP_HEAD_MAX + HTTP_SMALL_BODY_MAX);
    dismiss_body(c);
    free(take_ptr(c->head_text));
}

static void on_read(struct bufferevent *bev, void *arg)
{
    struct http_connection *c = arg;
    struct evbuffer *in = bufferevent_get_input(bev);
    if (c->state == READING) {
        read_request(c);
    } else if (c->state != ANSWERING) {
        c->discarded += evbuffer_get_length(in);
        evbuffer_drain(in, evbuffer_get_length(in));
        if (c->discarded > DISCARD_MAX)
            close_connection(c);
    }
}

/* All that was written is taken. */
static void on_write(struct bufferevent *bev, void *arg)
{
    struct http_connection *c = arg;
    if (c->state == STREAMING) {
        c->stream.ops->drained(c->stream.arg);
    } else if (c->state == ANSWERING && c->close_after) {
        shutdown(bufferevent_getfd(bev), SHUT_WR);
        enter(c, DISCARDING);
        on_read(bev, c);
    } else if (c->state == ANSWERING) {
        enter(c, READING);
        read_request(c);
    }
}

static void on_end(struct bufferevent *bev, short what, void *arg)
{
    close_connection(arg);
}

/* ---- the server ---- */

/* Who makes room: the one that has been silent for longest, else the one that takes its answer most
 * slowly; never a stream. */
static struct http_connection *least_useful(struct http_server *server)
{
    struct http_connection *c = TAILQ_FIRST(&server->waiting);
    if (!c)
        for (c = TAILQ_FIRST(&server->busy); c && c->state == STREAMING;)
            c = TAILQ_NEXT(c, link);
    return c;
}

static void pause_accepting(struct http_server *server)
{
    evconnlistener_disable(server->listener);
    server->resume_ms = clock_now_ms() + PAUSE_MS;
    arm_timer(server);
}

static void resume_accepting(struct http_server *server)
{
    struct http_connection *c;
    while (server->n > HTTP_CONNECTIONS_MAX - ROOM && (c = least_useful(server)) != NULL)
        close_connection(c);
    server->resume_ms = CLOCK_NEVER;
    evconnlistener_enable(server->listener);
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address,
                      int length, void *arg)
{
    struct http_server *server = arg;
    struct http_connection *c = calloc(1, sizeof(*c));
    struct bufferevent *bev = bufferevent_socket_new(server->base, fd, BEV_OPT_CLOSE_ON_FREE);
    socklen_t peer_bytes = sizeof(c->request.peer);
    if (!c || !bev || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c->request.peer, &peer_bytes) < 0) {
        free(c);
        if (bev)
            bufferevent_free(bev);
        else
            close(fd);
        return;
    }
    c->server = server;
    c->bev = bev;
    c->request.connection = c;
    TAILQ_INSERT_TAIL(&server->waiting, c, link);
    bufferevent_setcb(bev, on_read, on_write, on_end, c);
    bufferevent_setwatermark(bev, EV_READ, 0, HTTP_HEAD_MAX + HTTP_SMALL_BODY_MAX);
    enter(c, READING);
    /* First those that are in get a chance to be read. */
    if (++server->n == HTTP_CONNECTIONS_MAX)
        pause_accepting(server);
}

/* Out of descriptors: the listener would be ready again at once, for ever. */
static void on_accept_error(struct evconnlistener *listener, void *arg)
{
    pause_accepting(arg);
}

void http_expire(struct http_server *server)
{
    struct http_connection *c;
    while ((c = TAILQ_FIRST(&server->waiting)) != NULL && c->deadline_ms <= clock_now_ms())
        close_connection(c);
    if (server->resume_ms <= clock_now_ms())
        resume_accepting(server);
    arm_timer(server);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    http_expire(arg);
}

int http_listen(struct http_server *server, int fd)
{
    struct evconnlistener *listener =
        evconnlistener_new(server->base, on_accept, server,
                           LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, SOMAXCONN, fd);
    if (!listener)
        return -ENOMEM;
    evconnlistener_set_error_cb(listener, on_accept_error);
    if (server->resume_ms != CLOCK_NEVER)
        evconnlistener_disable(listener);
    if (server->listener)
        evconnlistener_free(server->listener);
    server->listener = listener;
    return 0;
}

int http_open(struct event_base *base, int fd, const struct http_handlers *handlers, void *arg,
              struct http_server **ret_server)
{
    struct http_server *server = calloc(1, sizeof(*server));
    if (!server)
        return -ENOMEM;
    TAILQ_INIT(&server->waiting);
    TAILQ_INIT(&server->busy);
    server->base = base;
    server->resume_ms = CLOCK_NEVER;
    server->handlers = handlers;
    server->arg = arg;
    server->timer = event_new(base, -1, 0, on_timer, server);
    if (!server->timer || http_listen(server, fd) < 0) {
        if (server->timer)
            event_free(server->timer);
        free(server);
        return -ENOMEM;
    }
    *ret_server = server;
    return 0;
}

/* What is written but not sent goes out as far as the sockets take it now. */
static void end_all(struct connection_list *list)
{
    struct http_connection *c;
    while ((c = TAILQ_FIRST(list)) != NULL) {
        struct evbuffer *out = bufferevent_get_output(c->bev);
        if (c->state == STREAMING && c->stream.chunked)
            evbuffer_add(out, "0\r\n\r\n", 5);
        evbuffer_unfreeze(out, 1);
        evbuffer_write(out, bufferevent_getfd(c->bev));
        close_connection(c);
    }
}

void http_close(struct http_server *server)
{
    if (!server)
        return;
    evconnlistener_free(server->listener);
    end_all(&server->busy);
    end_all(&server->waiting);
    event_free(server->timer);
    free(server);
}
