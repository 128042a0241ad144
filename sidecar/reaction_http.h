/*
 * reaction_http: one POST to this host, without waiting for it.
 *
 *     r = reaction_http_start(base, &rule, json, 5000, done, arg, &http);
 *     ... done(arg, status) comes once, from the loop: the HTTP status, or -errno ...
 *     reaction_http_cancel(http);                    // done() does not come any more
 *
 * It takes at most timeout_ms in all, whatever the other end does. libevent's own HTTP client has a
 * timeout for each read instead, which a server that sends a byte now and then outlives, and its
 * connection must not be freed by the callback that tells of a failure; so this is a bufferevent.
 *
 * done: -ETIMEDOUT nobody answered in time, -EPROTO what answered is not HTTP, -EPERM the address
 * is not one of this host, others as of connect(2) and recv(2).
 *
 * Ownership: the body is copied. After done() http is gone. Threads: the loop's.
 */
#ifndef SIDECAR_REACTION_HTTP_H
#define SIDECAR_REACTION_HTTP_H

#include <event2/event.h>
#include <stddef.h>
#include <stdint.h>

#include "sidecar/reaction_rule.h"

struct reaction_http;

int reaction_http_start(struct event_base *base, const struct reaction_rule *rule, const char *body,
                        int64_t timeout_ms, void (*done)(void *arg, int status), void *arg,
                        struct reaction_http **ret_http);
void reaction_http_cancel(struct reaction_http *http); /* NULL is fine */

#endif
