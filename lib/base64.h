/*
 * base64: bytes as text, as in RFC 4648 with padding.
 *
 * Threads: safe.
 */
#ifndef LIB_BASE64_H
#define LIB_BASE64_H

#include <stddef.h>

#define BASE64_LENGTH(n) (((n) + 2) / 3 * 4)

/* BASE64_LENGTH(length) characters into buf, without a NUL. */
void base64_encode(const void *data, size_t length, char *buf);

/* Into buf, which has room for three quarters of the text; -EINVAL: the text is not canonical. */
int base64_decode(const char *text, size_t length, void *buf, size_t *ret_length);

#endif
