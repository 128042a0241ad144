/*
 * cache_versions: whole versions of what is pinned (cache.pin_switch). A version is a tree of links
 * to copies, and a new one takes its place at once:
 *
 *     DIR/.versions/NAME/7/PATH
 *     DIR/.current/NAME               a symbolic link to the last version
 *
 *     r = cache_versions_begin(versions);
 *     r = cache_versions_add(versions, "models/a.bin");    // a copy
 *     r = cache_versions_switch(versions);                 // also after a failure of add
 *
 * The version before it stays for who is on his way through it, and what a sidecar before this one
 * left stays until the first switch. What the store gives back of copies in versions is held until
 * none has them.
 *
 * Threads: one at a time; calls wait for the disk. Errors: 0 or -errno.
 */
#ifndef SIDECAR_CACHE_VERSIONS_H
#define SIDECAR_CACHE_VERSIONS_H

#include <stdint.h>

#define CACHE_VERSIONS ".versions"
#define CACHE_CURRENT  ".current"

struct cache_store;
struct cache_versions;

int cache_versions_new(struct cache_store *store, const char *name,
                       struct cache_versions **ret_versions);
void cache_versions_free(struct cache_versions *versions); /* NULL is fine; the files stay */

int cache_versions_begin(struct cache_versions *versions);
int cache_versions_add(struct cache_versions *versions, const char *path);
int cache_versions_switch(struct cache_versions *versions);

/* These bytes of a pinned copy, which is no longer at its path. */
void cache_versions_hold(struct cache_versions *versions, uint64_t bytes);

#endif
