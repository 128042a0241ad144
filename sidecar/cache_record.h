/*
 * cache_record: what a copy was copied from, kept with the copy in an extended attribute, by which
 * a sidecar that finds it can tell whether it is still the file.
 *
 *     cache_record_put(fd, &source, "a/b", &identity);         // before the copy is read-only
 *     r = cache_record_get(fd, &source, "a/b", &identity);     // of a finished one
 *
 * The record is on the disk with the content, after the same fsync. It is good for its path on its
 * mount only. Where the file system has no user attributes (tmpfs before Linux 6.6) copies have no
 * record. Errors of get: -ENODATA there is none, or it is of something else.
 *
 * Threads: safe.
 */
#ifndef SIDECAR_CACHE_RECORD_H
#define SIDECAR_CACHE_RECORD_H

#include "sidecar/cache_fetch.h"

void cache_record_put(int fd, const struct cache_source *source, const char *path,
                      const struct cache_identity *identity);
int cache_record_get(int fd, const struct cache_source *source, const char *path,
                     struct cache_identity *ret_identity);

#endif
