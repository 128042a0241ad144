/*
 * cache_record: by what is kept with a copy (shim/cache_origin.h) a sidecar that finds it can tell
 * whether it is still the file.
 *
 *     origin.place = cache_record_place(&source, "a/b", size, mtime_ns);    // before it is kept
 *     r = cache_record_get(fd, &source, "a/b", &identity);     // of a finished one
 *
 * The record is on the disk with the content, after the same fsync. It is good for its path on its
 * mount only, while that has its device. Size and time of modification, which are the copy's own,
 * have to be those that it was given. Where the file system has no user attributes (tmpfs before
 * Linux 6.6) copies have no record. Errors of get: -ENODATA there is none, or it is of something
 * else.
 *
 * Threads: safe.
 */
#ifndef SIDECAR_CACHE_RECORD_H
#define SIDECAR_CACHE_RECORD_H

#include "sidecar/cache_fetch.h"

uint64_t cache_record_place(const struct cache_source *source, const char *path, uint64_t size,
                            int64_t mtime_ns);
int cache_record_get(int fd, const struct cache_source *source, const char *path,
                     struct cache_identity *ret_identity);

#endif
