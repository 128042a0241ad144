/*
 * http_head: the head of an HTTP/1.1 request and the query of its target, strictly.
 *
 *     char text[HTTP_HEAD_MAX + 1];                       // lines with CRLF, but not the empty one
 *     struct http_head head;
 *     r = http_head_parse(text, length, &head, &err);     // text is cut into pieces in place
 *     struct http_query query;
 *     r = http_query_parse(head.query, &query, &err);     // decoded in place
 *     const char *path = http_query_get(&query, "path");  // NULL: not given
 *
 * All return 0, -EINVAL (answer 400) or -EMSGSIZE (answer 413), and the error names what was wrong.
 * Ownership: the results point into the text. Threads: safe.
 */
#ifndef SIDECAR_HTTP_HEAD_H
#define SIDECAR_HTTP_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/error.h"

enum {
    HTTP_HEAD_MAX = 16 * 1024,       /* a path of 4 KiB, each byte percent-encoded, fits */
    HTTP_SMALL_BODY_MAX = 64 * 1024, /* of larger ones there are few at a time */
    HTTP_BODY_MAX = 2 * 1024 * 1024,
    HTTP_QUERY_MAX = 8, /* parameters */
};

struct http_head {
    const char *method;
    const char *path; /* as sent */
    char *query;      /* "" when there is none */
    size_t body_bytes;
    bool keep_alive;
    bool chunked_reply;    /* HTTP/1.1: it can take a body of unknown length */
    bool expects_continue; /* it waits for "100 Continue" before it sends the body */
};

struct http_query {
    size_t n;
    struct {
        const char *name, *value;
    } of[HTTP_QUERY_MAX];
};

int http_head_parse(char *text, size_t length, struct http_head *ret_head, struct error *err);

/* Of a part of a path, in place. */
int http_path_decode(char *text, struct error *err);

/* A parameter that is not in the NULL-terminated list is an error, and so is one given twice. */
int http_query_parse(char *text, const char *const names[], struct http_query *ret_query,
                     struct error *err);
const char *http_query_get(const struct http_query *query, const char *name);

/* Untouched when it is not given. */
int http_query_bool(const struct http_query *query, const char *name, bool *ret_value,
                    struct error *err);
int http_query_i64(const struct http_query *query, const char *name, int64_t min, int64_t max,
                   int64_t *ret_value, struct error *err);

#endif
