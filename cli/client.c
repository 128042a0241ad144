#include "cli/client.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "cli/response.h"
#include "lib/clock.h"

enum { READ_BYTES = 16 * 1024, CONNECT_RETRY_MS = 20 };

struct client {
    int fd;
    char *socket_path;
    int64_t timeout_ms, deadline_ms; /* of head and body */
    struct response response;
    char *data; /* what was received and not consumed: data[start..end) */
    size_t start, end, size;
    bool eof;
};

static int timed_out(const struct client *client, int64_t waited_ms, struct error *err)
{
    return error_set(err, ETIMEDOUT, "the sidecar on %s did not answer within %lld ms",
                     client->socket_path, (long long)waited_ms);
}

static int failed(const struct client *client, int code, struct error *err)
{
    return error_set_errno(err, code, "the connection to the sidecar on %s failed",
                           client->socket_path);
}

static int wait_for(struct client *client, short events, int64_t deadline_ms, int64_t waited_ms,
                    struct error *err)
{
    struct pollfd pollfd = {.fd = client->fd, .events = events};
    for (;;) {
        int n = poll(&pollfd, 1, clock_poll_timeout(deadline_ms));
        if (n > 0)
            return 0;
        if (n == 0 && clock_now_ms() >= deadline_ms)
            return timed_out(client, waited_ms, err);
        if (n < 0 && errno != EINTR)
            return failed(client, errno, err);
    }
}

static int cannot_connect(const char *path, int code, struct error *err)
{
    switch (code) {
    case ENOENT:
        return error_set(err, code,
                         "no sidecar: there is no socket %s (is the sidecar running, and is its "
                         "run directory mounted here?)",
                         path);
    case ECONNREFUSED:
        return error_set(err, code, "no sidecar: nobody listens on %s any more", path);
    case EACCES:
    case EPERM:
        return error_set(err, code,
                         "uid %u may not use the sidecar's socket %s (see the settings api.mode, "
                         "api.gid and the mode of its directory)",
                         (unsigned)geteuid(), path);
    default:
        return error_set_errno(err, code, "cannot connect to the sidecar's socket %s", path);
    }
}

/* A full backlog gives EAGAIN, at once: try again until the deadline. */
static int connect_socket(struct client *client, struct error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(client->socket_path);
    if (length >= sizeof(address.sun_path))
        return error_set(err, ENAMETOOLONG,
                         "the socket path %.200s is longer than the %zu bytes that Linux allows",
                         client->socket_path, sizeof(address.sun_path) - 1);
    memcpy(address.sun_path, client->socket_path, length + 1);
    client->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (client->fd < 0)
        return error_set_errno(err, errno, "cannot make a socket");
    while (connect(client->fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        if (errno != EAGAIN && errno != EINTR)
            return cannot_connect(client->socket_path, errno, err);
        if (clock_now_ms() >= client->deadline_ms)
            return timed_out(client, client->timeout_ms, err);
        nanosleep(&(struct timespec){.tv_nsec = CONNECT_RETRY_MS * 1000000L}, NULL);
    }
    return 0;
}

static int send_all(struct client *client, const char *data, size_t length, struct error *err)
{
    for (size_t sent = 0; sent < length;) {
        ssize_t bytes = send(client->fd, data + sent, length - sent, MSG_NOSIGNAL);
        if (bytes >= 0) {
            sent += (size_t)bytes;
            continue;
        }
        /* Who refuses a request early has answered it: read that. */
        if (errno == EPIPE)
            return 0;
        if (errno != EAGAIN && errno != EINTR)
            return failed(client, errno, err);
        int r = wait_for(client, POLLOUT, client->deadline_ms, client->timeout_ms, err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* body NULL: there is none. */
static int send_request(struct client *client, const char *method, const char *target,
                        const char *body, struct error *err)
{
    char request[CLIENT_TARGET_MAX + 160], fields[96] = "";
    if (body)
        snprintf(fields, sizeof(fields),
                 "Content-Type: application/json\r\nContent-Length: %zu\r\n", strlen(body));
    int n = snprintf(request, sizeof(request), "%s %s HTTP/1.0\r\nHost: efs-sidecar\r\n%s\r\n",
                     method, target, fields);
    if (n < 0 || (size_t)n >= sizeof(request))
        return error_set(err, ENAMETOOLONG, "the request is longer than %d bytes",
                         CLIENT_TARGET_MAX);
    int r = send_all(client, request, (size_t)n, err);
    return r == 0 && body ? send_all(client, body, strlen(body), err) : r;
}

static int make_room(struct client *client)
{
    if (client->start > 0) {
        memmove(client->data, client->data + client->start, client->end - client->start);
        client->end -= client->start;
        client->start = 0;
    }
    if (client->size - client->end > READ_BYTES) /* one byte more, for a NUL */
        return 0;
    size_t size = client->size ? 2 * client->size : 2 * READ_BYTES;
    char *data = realloc(client->data, size);
    if (!data)
        return -ENOMEM;
    client->data = data;
    client->size = size;
    return 0;
}

/* Some bytes more, or eof. */
static int receive(struct client *client, int64_t deadline_ms, int64_t waited_ms, struct error *err)
{
    int r = make_room(client);
    if (r < 0)
        return error_set_errno(err, -r, "cannot receive the answer");
    for (;;) {
        ssize_t n = recv(client->fd, client->data + client->end, READ_BYTES, 0);
        if (n >= 0) {
            client->end += (size_t)n;
            client->eof = n == 0;
            return 0;
        }
        if (errno != EAGAIN && errno != EINTR)
            return failed(client, errno, err);
        r = wait_for(client, POLLIN, deadline_ms, waited_ms, err);
        if (r < 0)
            return r;
    }
}

static int cut_short(const struct client *client, struct error *err)
{
    return error_set(err, EPROTO, "the sidecar on %s closed the connection within its answer",
                     client->socket_path);
}

static int read_head(struct client *client, struct error *err)
{
    for (;;) {
        int r = receive(client, client->deadline_ms, client->timeout_ms, err);
        if (r < 0)
            return r;
        r = response_parse(client->data, client->end, &client->response, err);
        if (r == -EPROTO)
            error_prefix(err, "what listens on %s is not the sidecar", client->socket_path);
        if (r == -EAGAIN && client->eof)
            return cut_short(client, err);
        if (r != -EAGAIN) {
            client->start = r == 0 ? client->response.head_bytes : 0;
            return r;
        }
    }
}

static int ask(const char *method, const char *socket_path, const char *target, const char *body,
               int64_t timeout_ms, struct client **ret_client, struct error *err)
{
    _cleanup_client_ struct client *client = calloc(1, sizeof(*client));
    if (!client)
        return error_set_errno(err, ENOMEM, "cannot make a request");
    client->fd = -1;
    client->timeout_ms = timeout_ms;
    client->deadline_ms = clock_now_ms() + timeout_ms;
    client->socket_path = strdup(socket_path);
    if (!client->socket_path)
        return error_set_errno(err, ENOMEM, "cannot make a request");
    int r = connect_socket(client, err);
    if (r == 0)
        r = send_request(client, method, target, body, err);
    if (r == 0)
        r = read_head(client, err);
    if (r < 0)
        return r;
    *ret_client = take_ptr(client);
    return 0;
}

int client_get(const char *socket_path, const char *target, int64_t timeout_ms,
               struct client **ret_client, struct error *err)
{
    return ask("GET", socket_path, target, NULL, timeout_ms, ret_client, err);
}

int client_post(const char *socket_path, const char *target, int64_t timeout_ms,
                struct client **ret_client, struct error *err)
{
    return ask("POST", socket_path, target, NULL, timeout_ms, ret_client, err);
}

int client_post_json(const char *socket_path, const char *target, const char *body,
                     int64_t timeout_ms, struct client **ret_client, struct error *err)
{
    return ask("POST", socket_path, target, body, timeout_ms, ret_client, err);
}

int client_status(const struct client *client)
{
    return client->response.status;
}

int client_body(struct client *client, const char **ret_text, size_t *ret_length, struct error *err)
{
    int64_t wanted = client->response.body_bytes;
    for (;;) {
        size_t length = client->end - client->start;
        if (length > CLIENT_BODY_MAX || wanted > CLIENT_BODY_MAX)
            return error_set(err, EMSGSIZE, "the answer of %s is larger than %d bytes",
                             client->socket_path, CLIENT_BODY_MAX);
        if (wanted >= 0 ? length >= (size_t)wanted : client->eof) {
            length = wanted >= 0 ? (size_t)wanted : length;
            client->data[client->start + length] = '\0';
            *ret_text = client->data + client->start;
            *ret_length = length;
            return 0;
        }
        if (client->eof)
            return cut_short(client, err);
        int r = receive(client, client->deadline_ms, client->timeout_ms, err);
        if (r < 0)
            return r;
    }
}

int client_line(struct client *client, int64_t idle_ms, const char **ret_line, struct error *err)
{
    int64_t deadline_ms = clock_now_ms() + idle_ms;
    for (size_t searched = 0;;) {
        char *line = client->data + client->start;
        size_t length = client->end - client->start;
        char *end = memchr(line + searched, '\n', length - searched);
        if (end) {
            *end = '\0';
            client->start += (size_t)(end - line) + 1;
            *ret_line = line;
            return 1;
        }
        if (length > CLIENT_LINE_MAX)
            return error_set(err, EMSGSIZE, "a line of %s is longer than %d bytes",
                             client->socket_path, CLIENT_LINE_MAX);
        if (client->eof)
            return length == 0 ? 0 : cut_short(client, err);
        searched = length;
        int r = receive(client, deadline_ms, idle_ms, err);
        if (r < 0)
            return r;
    }
}

int client_fd(const struct client *client)
{
    return client->fd;
}

void client_close(struct client *client)
{
    if (!client)
        return;
    if (client->fd >= 0)
        close(client->fd);
    free(client->socket_path);
    free(client->data);
    free(client);
}
