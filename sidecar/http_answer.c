/* What http.h answers, at once or as a stream. */
#include <event2/buffer.h>
#include <stdio.h>
#include <string.h>

#include "lib/cleanup.h"
#include "sidecar/http_connection.h"

enum {
    WRITE_TIMEOUT_S = 30,   /* an answer that nobody takes */
    STREAM_TIMEOUT_S = 300, /* a stream that nobody takes: its reader may be stopped for a while */
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
    http_connection_enter(c, HTTP_ANSWERING);
}

bool http_stream_refused(struct http_request *request)
{
    const struct http_connection *c = request->connection;
    if (c->server->n_streams >= HTTP_STREAMS_MAX)
        http_error(request, 429, "GET /v1/locks lists who waits",
                   "%d clients keep their connections for locks or changes, the most that can",
                   HTTP_STREAMS_MAX);
    else if (c->user->n_streams >= HTTP_USER_STREAMS_MAX)
        http_error(
            request, 429, "GET /v1/locks lists who waits",
            "%d clients of uid %u keep their connections for locks or changes, the most that "
            "those of one user can",
            HTTP_USER_STREAMS_MAX, (unsigned)c->user->uid);
    else
        return false;
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
    http_connection_enter(c, HTTP_STREAMING);
    *ret_stream = &c->stream;
}

void http_defer(struct http_request *request, const struct http_stream_ops *ops, void *arg,
                struct http_stream **ret_stream)
{
    struct http_connection *c = request->connection;
    c->stream = (struct http_stream){c->bev, ops, arg, .chunked = false};
    c->close_after = true;
    http_connection_enter(c, HTTP_STREAMING);
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
    http_connection_enter(c, HTTP_ANSWERING);
    if (http_stream_pending(stream) == 0)
        bufferevent_trigger(c->bev, EV_WRITE, BEV_OPT_DEFER_CALLBACKS);
}
