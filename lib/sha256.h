/*
 * sha256: the digest of a file's content, by OpenSSL's libcrypto, which is loaded when it is first
 * needed: most sidecars never publish.
 *
 *     uint8_t sha256[SHA256_BYTES];
 *     r = sha256_of_file(fd, size, sha256, &err);
 *
 * Threads: safe; it reads, so it may hang with a mount. Errors: -ELIBACC the library is not there,
 * -EBUSY the file has not so many bytes (any more), others as of pread(2).
 */
#ifndef LIB_SHA256_H
#define LIB_SHA256_H

#include <stdint.h>

#include "lib/error.h"

enum { SHA256_BYTES = 32, SHA256_TEXT = 2 * SHA256_BYTES + 1 };

int sha256_of_file(int fd, uint64_t size, uint8_t ret_sha256[SHA256_BYTES], struct error *err);

/* In hex, into buf, which is returned. */
const char *sha256_format(const uint8_t sha256[SHA256_BYTES], char buf[SHA256_TEXT]);

#endif
