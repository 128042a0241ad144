/*
 * cache_index: the copies that there are, in memory: by the hash of their path, and as a tree, so
 * that all below a directory are found without looking at the others.
 *
 *     r = cache_index_new(n_slots, probes, &index);
 *     r = cache_index_add(index, hash, "a/b", &copy);
 *     copy = cache_index_find(index, hash, "a/b");
 *     while ((copy = cache_index_first_under(index, "a")))      // "a" itself, and "a/..."
 *         cache_index_remove(index, copy, dir_emptied, arg);
 *
 * A copy has a place in a table of n_slots (a power of two), one of `probes` behind the one that
 * its hash points at: the same place as in the map that apps read (cache_map.h). There is never
 * more than one copy with a hash. Directories are there while something is in them.
 *
 * Ownership: copies are the index's; what is in them beside path, hash and slot is the caller's.
 * Threads: one at a time.
 */
#ifndef SIDECAR_CACHE_INDEX_H
#define SIDECAR_CACHE_INDEX_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "sidecar/cache_fetch.h"
#include "sidecar/cache_rules.h"
#include "sidecar/cache_sieve.h"

struct cache_dir;

struct cache_copy {
    uint64_t hash;
    uint32_t slot;
    struct cache_dir *dir;
    LIST_ENTRY(cache_copy) sibling;

    const struct cache_rule *rule;
    struct cache_identity identity;
    enum cache_readers readers;
    uint64_t charge_bytes;
    int64_t proven_ms; /* it was the file then or later */
    int64_t looked_ms; /* when the server was asked because an app missed it */
    int64_t hit_ms;    /* when a hit was last noticed */
    bool listed;       /* apps may use it */
    bool visited;
    bool pinned; /* stays until it is replaced or gone; in no sieve */
    bool left;   /* of an earlier sidecar, and EFS was not asked about it yet */
    struct sieve_node sieve;
    TAILQ_ENTRY(cache_copy) due; /* of the bounded ones of its rule, by proven_ms */

    char name[];
};

struct cache_index;

int cache_index_new(uint32_t n_slots, uint32_t probes, struct cache_index **ret_index);
void cache_index_free(struct cache_index *index); /* NULL is fine */

struct cache_copy *cache_index_find(const struct cache_index *index, uint64_t hash,
                                    const char *path);
struct cache_copy *cache_index_first_under(const struct cache_index *index, const char *path);

/* visit() may not add or remove. */
void cache_index_each_under(const struct cache_index *index, const char *path,
                            void (*visit)(void *arg, struct cache_copy *copy), void *arg);

/* -EEXIST: the hash is taken; -ENOSPC: all its places are; -ENOMEM. */
int cache_index_add(struct cache_index *index, uint64_t hash, const char *path,
                    struct cache_copy **ret_copy);

/* dir_emptied() is called for each directory that has nothing in it now, the innermost first. */
void cache_index_remove(struct cache_index *index, struct cache_copy *copy,
                        void (*dir_emptied)(void *arg, const char *path), void *arg);

size_t cache_index_dirs(const struct cache_index *index); /* without the root */

/* Into buf of PATH_MAX bytes; returns it. */
char *cache_copy_path(const struct cache_copy *copy, char *buf);

#endif
