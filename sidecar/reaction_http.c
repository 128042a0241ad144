#include "sidecar/reaction_http.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"

enum { ANSWER_MAX = 64 * 1024, LINE_MAX_BYTES = 1024 };

struct reaction_http {
    struct bufferevent *bev;
    struct event *deadline;
    void (*done)(void *arg, int status);
    void *arg;
    int status; /* 0: not known yet */
    size_t received;
};

void reaction_http_cancel(struct reaction_http *http)
{
    if (!http)
        return;
    if (http->bev)
        bufferevent_free(http->bev);
    if (http->deadline)
        event_free(http->deadline);
    free(http);
}

static void finish(struct reaction_http *http, int failure)
{
    void (*done)(void *, int) = http->done;
    void *arg = http->arg;
    int status = http->status > 0 ? http->status : failure; /* what was said counts */
    reaction_http_cancel(http);
    done(arg, status);
}

static int parse_status(const char *line)
{
    if (strncmp(line, "HTTP/1.", 7) != 0 || !line[7] || line[8] != ' ')
        return -EPROTO;
    long status = strtol(line + 9, NULL, 10);
    return status >= 100 && status <= 599 ? (int)status : -EPROTO;
}

/* Only the first line matters. The rest is taken so that the server can end in peace. */
static void on_read(struct bufferevent *bev, void *arg)
{
    struct reaction_http *http = arg;
    struct evbuffer *input = bufferevent_get_input(bev);
    if (http->status == 0) {
        _cleanup_free_ char *line = evbuffer_readln(input, NULL, EVBUFFER_EOL_CRLF);
        if (!line && evbuffer_get_length(input) <= LINE_MAX_BYTES)
            return;
        int status = line ? parse_status(line) : -EPROTO;
        if (status < 0) {
            finish(http, status);
            return;
        }
        http->status = status;
    }
    size_t length = evbuffer_get_length(input);
    http->received += length;
    evbuffer_drain(input, length);
    if (http->received > ANSWER_MAX)
        finish(http, 0);
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
    struct reaction_http *http = arg;
    struct sockaddr_storage peer;
    if (what & BEV_EVENT_ERROR) {
        int code = EVUTIL_SOCKET_ERROR();
        finish(http, code ? -code : -ECONNRESET);
    } else if (what & BEV_EVENT_EOF) {
        finish(http, -EPROTO);
    } else if (what & BEV_EVENT_CONNECTED &&
               (getpeername(bufferevent_getfd(bev), (struct sockaddr *)&peer,
                            &(socklen_t){sizeof(peer)}) < 0 ||
                !reaction_is_loopback(&peer))) {
        finish(http, -EPERM);
    }
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
    finish(arg, -ETIMEDOUT);
}

/* HTTP/1.0: the answer ends with the connection. */
static int write_request(struct evbuffer *output, const struct reaction_rule *rule,
                         const char *body)
{
    return evbuffer_add_printf(output,
                               "POST %s HTTP/1.0\r\n"
                               "Host: %s\r\n"
                               "User-Agent: efs-sidecar/" EFS_SIDECAR_VERSION "\r\n"
                               "Content-Type: application/json\r\n"
                               "Content-Length: %zu\r\n\r\n%s",
                               rule->path, rule->host, strlen(body), body) < 0
               ? -ENOMEM
               : 0;
}

static int open_socket(const struct reaction_rule *rule)
{
    if (!reaction_is_loopback(&rule->address))
        return -EPERM;
    int fd = socket(rule->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return fd < 0 ? -errno : fd;
}

static int start(struct event_base *base, struct reaction_http *http,
                 const struct reaction_rule *rule, const char *body, int64_t timeout_ms)
{
    const struct timeval timeout = {.tv_sec = timeout_ms / 1000,
                                    .tv_usec = timeout_ms % 1000 * 1000};
    struct sockaddr_storage address = rule->address;
    int fd = open_socket(rule);
    if (fd < 0)
        return fd;
    http->bev = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
    if (!http->bev) {
        close(fd);
        return -ENOMEM;
    }
    http->deadline = event_new(base, -1, 0, on_deadline, http);
    if (!http->deadline || event_add(http->deadline, &timeout) < 0)
        return -ENOMEM;
    int r = write_request(bufferevent_get_output(http->bev), rule, body);
    if (r < 0)
        return r;
    if (bufferevent_socket_connect(http->bev, (struct sockaddr *)&address,
                                   (int)rule->address_length) < 0)
        return errno ? -errno : -ECONNREFUSED;
    bufferevent_setcb(http->bev, on_read, NULL, on_event, http);
    return bufferevent_enable(http->bev, EV_READ | EV_WRITE) < 0 ? -ENOMEM : 0;
}

int reaction_http_start(struct event_base *base, const struct reaction_rule *rule, const char *body,
                        int64_t timeout_ms, void (*done)(void *arg, int status), void *arg,
                        struct reaction_http **ret_http)
{
    struct reaction_http *http = calloc(1, sizeof(*http));
    if (!http)
        return -ENOMEM;
    http->done = done;
    http->arg = arg;
    int r = start(base, http, rule, body, timeout_ms);
    if (r < 0) {
        reaction_http_cancel(http);
        return r;
    }
    *ret_http = http;
    return 0;
}
