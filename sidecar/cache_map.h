/*
 * cache_map: the two files through which applications and the sidecar talk about the cache of a
 * mount (shim/cache_layout.h): the map that the sidecar writes, and what applications write.
 *
 *     r = cache_map_open(control_fd, "data", slots, &root, &link);
 *     mark = cache_map_mark(link, hash);                       // before the source is read
 *     cache_map_put(link, copy->slot, &values);                // applications may use the copy
 *     cache_map_drop(link, copy->slot);                        // from now on none does
 *     while (cache_map_next_miss(link, path, &hash)) ...       // what they looked for in vain
 *
 * The map is mapped, has all its blocks, and nobody else may write it. The applications' file is
 * read and written with pread and pwrite, because whoever may write it may also shorten it; all in
 * it is a hint, and what cannot be read is 0.
 *
 * Threads: one at a time; calls may wait for the disk. Errors: 0 or -errno.
 */
#ifndef SIDECAR_CACHE_MAP_H
#define SIDECAR_CACHE_MAP_H

#include <stdbool.h>
#include <stdint.h>

#include "shim/cache_layout.h"
#include "sidecar/cache_fetch.h"

struct cache_link;

/* The least number of slots for so many files. */
uint32_t cache_map_slots_for(int64_t files);

int cache_map_open(int control_fd, const char *name, uint32_t slots, const struct cache_root *root,
                   struct cache_link **ret_link);
void cache_map_close(struct cache_link *link); /* NULL is fine; the files stay as they are */

/* fresh_until_ms: CACHE_FOREVER unless it is bounded. */
void cache_map_put(struct cache_link *link, uint32_t slot, uint64_t hash, enum cache_mode mode,
                   const struct cache_identity *identity, uint64_t fresh_until_ms, uint32_t mark);
void cache_map_renew(struct cache_link *link, uint32_t slot, uint64_t fresh_until_ms,
                     uint32_t mark);
void cache_map_drop(struct cache_link *link, uint32_t slot);

/* What applications counted of what they did to paths with this hash, and to any path. */
uint32_t cache_map_mark(const struct cache_link *link, uint64_t hash);
uint32_t cache_map_all(const struct cache_link *link);
/* Whatever they did until they counted so is known. */
void cache_map_caught_up(struct cache_link *link, uint32_t all);

/* Was there a hit since the last call? */
bool cache_map_take_visit(struct cache_link *link, uint32_t slot);

/* false: none is left. */
bool cache_map_next_miss(struct cache_link *link, char path[CACHE_PATH_MAX + 1],
                         uint64_t *ret_hash);

/* By enum cache_count. */
void cache_map_counts(const struct cache_link *link, uint64_t ret_counts[CACHE_COUNTS]);

#endif
