#include "sidecar/http_connection.h"

#include <stdlib.h>
#include <unistd.h>

#include "lib/clock.h"

static bool is_waiting(const struct http_connection *c)
{
    return c->state == HTTP_READING || c->state == HTTP_DISCARDING;
}

static struct http_connection_list *list_of(struct http_connection *c)
{
    return is_waiting(c) ? &c->server->waiting : &c->server->busy;
}

static void count_stream(struct http_connection *c, bool begins)
{
    if (begins) {
        c->server->n_streams++;
        c->user->n_streams++;
    } else {
        c->server->n_streams--;
        c->user->n_streams--;
    }
}

void http_connection_arm_timer(struct http_server *server)
{
    const struct http_connection *first = TAILQ_FIRST(&server->waiting);
    int64_t next_ms = first ? first->deadline_ms : CLOCK_NEVER;
    int64_t ms = clock_poll_timeout(next_ms < server->resume_ms ? next_ms : server->resume_ms);
    if (ms >= 0)
        event_add(server->timer,
                  &(struct timeval){.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000});
}

void http_connection_enter(struct http_connection *c, enum http_state state)
{
    TAILQ_REMOVE(list_of(c), c, link);
    if (c->state == HTTP_STREAMING)
        count_stream(c, false);
    if (state == HTTP_STREAMING)
        count_stream(c, true);
    c->state = state;
    TAILQ_INSERT_TAIL(list_of(c), c, link);
    if (is_waiting(c)) {
        c->deadline_ms = clock_now_ms() + HTTP_WAIT_MS;
        if (TAILQ_FIRST(&c->server->waiting) == c)
            http_connection_arm_timer(c->server);
    }
    /* While a stream runs, reading is how we learn that the client is gone. */
    if (state == HTTP_ANSWERING)
        bufferevent_disable(c->bev, EV_READ);
    else
        bufferevent_enable(c->bev, EV_READ);
}

void http_connection_dismiss_body(struct http_connection *c)
{
    c->server->n_large -= c->large;
    c->large = false;
}

static struct http_user *find_user(struct http_server *server, uid_t uid)
{
    struct http_user *user;
    LIST_FOREACH(user, &server->users, link)
    {
        if (user->uid == uid)
            return user;
    }
    user = calloc(1, sizeof(*user));
    if (!user)
        return NULL;
    user->uid = uid;
    LIST_INSERT_HEAD(&server->users, user, link);
    return user;
}

static void leave_user(struct http_user *user)
{
    if (--user->n > 0)
        return;
    LIST_REMOVE(user, link);
    free(user);
}

struct http_connection *http_connection_new(struct http_server *server, int fd)
{
    struct http_connection *c = calloc(1, sizeof(*c));
    struct bufferevent *bev = bufferevent_socket_new(server->base, fd, BEV_OPT_CLOSE_ON_FREE);
    socklen_t peer_bytes = sizeof(c->request.peer);
    if (!c || !bev || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c->request.peer, &peer_bytes) < 0 ||
        !(c->user = find_user(server, c->request.peer.uid))) {
        free(c);
        if (bev)
            bufferevent_free(bev);
        else
            close(fd);
        return NULL;
    }
    c->server = server;
    c->bev = bev;
    c->request.connection = c;
    c->user->n++;
    server->n++;
    TAILQ_INSERT_TAIL(&server->waiting, c, link);
    http_connection_enter(c, HTTP_READING);
    return c;
}

void http_connection_close(struct http_connection *c)
{
    http_connection_dismiss_body(c);
    TAILQ_REMOVE(list_of(c), c, link);
    c->server->n--;
    if (c->state == HTTP_STREAMING) {
        count_stream(c, false);
        c->stream.ops->closed(c->stream.arg);
    }
    leave_user(c->user);
    bufferevent_free(c->bev);
    free(c->head_text);
    free(c);
}

static const struct http_user *greediest(const struct http_server *server)
{
    const struct http_user *user, *found = LIST_FIRST(&server->users);
    LIST_FOREACH(user, &server->users, link)
    {
        if (user->n - user->n_streams > found->n - found->n_streams)
            found = user;
    }
    return found;
}

struct http_connection *http_connection_least_useful(struct http_server *server)
{
    const struct http_user *user = greediest(server);
    struct http_connection *c = TAILQ_FIRST(&server->waiting);
    while (c && c->user != user)
        c = TAILQ_NEXT(c, link);
    if (!c)
        for (c = TAILQ_FIRST(&server->busy); c && (c->state == HTTP_STREAMING || c->user != user);)
            c = TAILQ_NEXT(c, link);
    return c;
}
