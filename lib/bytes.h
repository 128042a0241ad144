/*
 * bytes: little-endian integers in byte buffers, for formats that are read by other hosts.
 *
 * The put_ functions return the position behind what they wrote. Bounds are the caller's business.
 * Threads: safe.
 */
#ifndef LIB_BYTES_H
#define LIB_BYTES_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

#define BYTES_DEFINE(bits)                                                                         \
    static inline uint8_t *put_le##bits(uint8_t *p, uint##bits##_t value)                          \
    {                                                                                              \
        value = htole##bits(value);                                                                \
        memcpy(p, &value, sizeof(value));                                                          \
        return p + sizeof(value);                                                                  \
    }                                                                                              \
    static inline uint##bits##_t get_le##bits(const uint8_t *p)                                    \
    {                                                                                              \
        uint##bits##_t value;                                                                      \
        memcpy(&value, p, sizeof(value));                                                          \
        return le##bits##toh(value);                                                               \
    }

BYTES_DEFINE(16)
BYTES_DEFINE(32)
BYTES_DEFINE(64)
#undef BYTES_DEFINE

#endif
