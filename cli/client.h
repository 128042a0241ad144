/*
 * client: one request to the sidecar's API on its Unix socket, HTTP/1.0.
 *
 *     struct client *client;
 *     r = client_get(path, "/v1/status", timeout_ms, &client, &err);
 *     if (r == 0 && client_status(client) == 200)
 *         r = client_body(client, &text, &length, &err);               // the whole, or
 *         while ((r = client_line(client, idle_ms, &line, &err)) > 0)  // a stream, line by line
 *             ...
 *     client_close(client);
 *
 * Every wait has an end: head and body within timeout_ms of the call of client_get(), a line of a
 * stream within idle_ms. Everything that is received has a cap. Whoever answers is not trusted to
 * be the sidecar.
 *
 * Errors, with a sentence that names the socket: -ENOENT and -ECONNREFUSED nobody listens there,
 * -EACCES and -EPERM it may not be opened, -ETIMEDOUT no answer in time, -EPROTO the answer is not
 * HTTP, or cut short, -EMSGSIZE it is larger than the cap, others as of socket(7).
 *
 * Ownership: strings belong to the client and live until the next call. Threads: one at a time.
 */
#ifndef CLI_CLIENT_H
#define CLI_CLIENT_H

#include <stddef.h>
#include <stdint.h>

#include "lib/cleanup.h"
#include "lib/error.h"

enum {
    CLIENT_TARGET_MAX = 16 * 1024,
    CLIENT_LINE_MAX = 256 * 1024, /* two escaped paths of 4095 bytes and more */
    CLIENT_BODY_MAX = 4 * 1024 * 1024,
};

struct client;

int client_get(const char *socket_path, const char *target, int64_t timeout_ms,
               struct client **ret_client, struct error *err);
int client_post(const char *socket_path, const char *target, int64_t timeout_ms,
                struct client **ret_client, struct error *err); /* without a body */
int client_post_json(const char *socket_path, const char *target, const char *body,
                     int64_t timeout_ms, struct client **ret_client, struct error *err);

int client_status(const struct client *client);

/* NUL-terminated; NULs inside are possible. */
int client_body(struct client *client, const char **ret_text, size_t *ret_length,
                struct error *err);

/* 1: a line, without its end; 0: the stream has ended, after a whole line. */
int client_line(struct client *client, int64_t idle_ms, const char **ret_line, struct error *err);

/* To be polled for POLLIN by who has other things to wait for: after client_line() with 0 ms had
 * nothing. */
int client_fd(const struct client *client);

void client_close(struct client *client);

static inline void cleanup_client_p(struct client **client)
{
    client_close(*client);
}
#define _cleanup_client_ _cleanup_(cleanup_client_p)

#endif
