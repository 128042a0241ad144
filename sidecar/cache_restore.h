/*
 * cache_restore: the copies that a sidecar before this one left at their paths (cache_store.h),
 * gone through a slice at a time. What can be shown to be a whole copy of what its record says
 * (cache_record.h) is offered to keep(); everything else is removed.
 *
 *     r = cache_restore_new(store, &source, max_dirs, &restore);
 *     more = cache_restore_turn(restore, 20, keep, arg);         // ms
 *
 * Shown: it came to its path by a rename after its fsync, in directories that no other user may
 * write; it is this user's own, read-only, as long as its record says, and has the time of
 * modification that it was given, which any write would have changed. So other users cannot have
 * changed it, and what a program of this user's (root, mostly) wrote to it by mistake is noticed.
 *
 * Whether the source is still what the record says is for EFS to answer: until then a copy is
 * doubted.
 *
 * Threads: one at a time; calls wait for the disk.
 */
#ifndef SIDECAR_CACHE_RESTORE_H
#define SIDECAR_CACHE_RESTORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sidecar/cache_fetch.h"
#include "sidecar/cache_store.h"

struct cache_restore;

/* false: it is removed. */
typedef bool cache_restore_keep(void *arg, const char *path, const struct cache_identity *identity,
                                enum cache_readers readers);

int cache_restore_new(struct cache_store *store, const struct cache_source *source, size_t max_dirs,
                      struct cache_restore **ret_restore);
void cache_restore_free(struct cache_restore *restore); /* NULL is fine */

/* true: there is more. */
bool cache_restore_turn(struct cache_restore *restore, int64_t budget_ms, cache_restore_keep *keep,
                        void *arg);

#endif
