#include "sidecar/http.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "sidecar/http_connection.h"

enum {
    PAUSE_MS = 20, /* of accepting, when there are too many connections */
    ROOM = 32,     /* that is made then */
    DISCARD_MAX = 1024 * 1024,
};

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
    http_connection_dismiss_body(c);
    free(take_ptr(c->head_text));
}

static void on_read(struct bufferevent *bev, void *arg)
{
    struct http_connection *c = arg;
    struct evbuffer *in = bufferevent_get_input(bev);
    if (c->state == HTTP_READING) {
        read_request(c);
    } else if (c->state != HTTP_ANSWERING) {
        c->discarded += evbuffer_get_length(in);
        evbuffer_drain(in, evbuffer_get_length(in));
        if (c->discarded > DISCARD_MAX)
            http_connection_close(c);
    }
}

/* All that was written is taken. */
static void on_write(struct bufferevent *bev, void *arg)
{
    struct http_connection *c = arg;
    if (c->state == HTTP_STREAMING) {
        c->stream.ops->drained(c->stream.arg);
    } else if (c->state == HTTP_ANSWERING && c->close_after) {
        shutdown(bufferevent_getfd(bev), SHUT_WR);
        http_connection_enter(c, HTTP_DISCARDING);
        on_read(bev, c);
    } else if (c->state == HTTP_ANSWERING) {
        http_connection_enter(c, HTTP_READING);
        read_request(c);
    }
}

static void on_end(struct bufferevent *bev, short what, void *arg)
{
    http_connection_close(arg);
}

/* ---- the server ---- */

static void pause_accepting(struct http_server *server)
{
    evconnlistener_disable(server->listener);
    server->resume_ms = clock_now_ms() + PAUSE_MS;
    http_connection_arm_timer(server);
}

static void resume_accepting(struct http_server *server)
{
    struct http_connection *c;
    while (server->n > HTTP_CONNECTIONS_MAX - ROOM &&
           (c = http_connection_least_useful(server)) != NULL)
        http_connection_close(c);
    server->resume_ms = CLOCK_NEVER;
    evconnlistener_enable(server->listener);
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address,
                      int length, void *arg)
{
    struct http_server *server = arg;
    struct http_connection *c = http_connection_new(server, fd);
    if (!c)
        return;
    bufferevent_setcb(c->bev, on_read, on_write, on_end, c);
    bufferevent_setwatermark(c->bev, EV_READ, 0, HTTP_HEAD_MAX + HTTP_SMALL_BODY_MAX);
    /* First those that are in get a chance to be read. */
    if (server->n == HTTP_CONNECTIONS_MAX)
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
        http_connection_close(c);
    if (server->resume_ms <= clock_now_ms())
        resume_accepting(server);
    http_connection_arm_timer(server);
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
    LIST_INIT(&server->users);
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
static void end_all(struct http_connection_list *list)
{
    struct http_connection *c;
    while ((c = TAILQ_FIRST(list)) != NULL) {
        struct evbuffer *out = bufferevent_get_output(c->bev);
        if (c->state == HTTP_STREAMING && c->stream.chunked)
            evbuffer_add(out, "0\r\n\r\n", 5);
        evbuffer_unfreeze(out, 1);
        evbuffer_write(out, bufferevent_getfd(c->bev));
        http_connection_close(c);
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
