/*
 * response: the head of an HTTP answer, and the target of a request. Pure text, no input or output.
 *
 *     r = response_parse(data, length, &response, &err);
 *     if (r == -EAGAIN)
 *         ...                                  // read more, up to RESPONSE_HEAD_MAX
 *     body = data + response.head_bytes;       // of response.body_bytes, or until the end
 *
 * efsctl asks with HTTP/1.0, so an answer has a length or ends with the connection; anything else
 * is refused, because it would be shown as if it were the sidecar's words.
 *
 * Threads: safe.
 */
#ifndef CLI_RESPONSE_H
#define CLI_RESPONSE_H

#include <stddef.h>
#include <stdint.h>

#include "lib/error.h"

enum { RESPONSE_HEAD_MAX = 16 * 1024 };

struct response {
    int status; /* 100 to 599 */
    size_t head_bytes;
    int64_t body_bytes; /* -1: until the connection is closed */
};

/* 0, -EAGAIN (incomplete), or -EPROTO with the reason. */
int response_parse(const char *data, size_t length, struct response *ret_response,
                   struct error *err);

/* Append "?name=value" or "&name=value" to target, with everything but letters, digits and "-._~/"
 * as %XX. 0 or -ENAMETOOLONG (target is untouched). */
int response_add_query(char *target, size_t size, const char *name, const char *value);

#endif
