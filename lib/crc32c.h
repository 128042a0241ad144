/*
 * crc32c: the Castagnoli checksum (RFC 3720), as the records and slots on the share carry it.
 *
 *     crc = crc32c(0, data, length);
 *     crc = crc32c(crc, more, length);         // of both, one behind the other
 *
 * It finds torn and stale bytes; it is no protection against somebody who wants to deceive.
 * Threads: safe.
 */
#ifndef LIB_CRC32C_H
#define LIB_CRC32C_H

#include <stddef.h>
#include <stdint.h>

uint32_t crc32c(uint32_t crc, const void *data, size_t length);

#endif
