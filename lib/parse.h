/*
 * parse: text from outside into numbers, strictly. The whole text must match, no white space, no
 * sign games, no overflow; bounds are inclusive and checked here, where the value enters.
 *
 * All return 0 or -errno (EINVAL: not of the form, ERANGE: outside the bounds) and leave *ret_*
 * untouched on failure. Threads: safe.
 */
#ifndef LIB_PARSE_H
#define LIB_PARSE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Decimal, optional leading '-'. */
int parse_i64(const char *text, int64_t min, int64_t max, int64_t *ret_value);

/* "250ms", "30s", "5m", "12h", "7d"; a bare number is seconds. */
int parse_duration_ms(const char *text, int64_t min_ms, int64_t max_ms, int64_t *ret_ms);

/* "4096", "64KiB", "10MiB", "2GiB", "1TiB" (1024-based; also "64K", "10M", "2G", "1T"). */
int parse_size_bytes(const char *text, int64_t min_bytes, int64_t max_bytes, int64_t *ret_bytes);

/* true/false, yes/no, on/off, 1/0. */
int parse_bool(const char *text, bool *ret_value);

/* Octal permission bits, "0" to "7777", with or without a leading 0. */
int parse_mode(const char *text, mode_t *ret_mode);

/* "1000:1000": numeric ids only, because names differ between images. */
int parse_ids(const char *text, uid_t *ret_uid, gid_t *ret_gid);

#endif
