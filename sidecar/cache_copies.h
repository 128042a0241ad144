/*
 * cache_copies: the copies of one mount, in memory, on the disk and in the map, kept in step. For
 * cache.c only, which decides what becomes a copy.
 *
 *     r = cache_copies_open(&options, &copies, &err);
 *     r = cache_copies_make_room(copies, bytes);           // at the cost of others
 *     r = cache_copies_add(copies, job, rule);             // of what the job has fetched
 *     copy = cache_copies_find(copies, hash, path);
 *     cache_copies_doubt(copies, copy);                    // applications may not use it now
 *     cache_copies_renew(copies, copy, sent_ms, mark);     // they may: it was the file at sent_ms
 *     cache_copies_remove(copies, copy);
 *
 * What is removed leaves the map first and the disk then. Threads: one at a time.
 */
#ifndef SIDECAR_CACHE_COPIES_H
#define SIDECAR_CACHE_COPIES_H

#include "sidecar/cache.h"
#include "sidecar/cache_ghost.h"
#include "sidecar/cache_index.h"
#include "sidecar/cache_map.h"
#include "sidecar/cache_store.h"
#include "sidecar/cache_versions.h"

TAILQ_HEAD(cache_due, cache_copy);

struct cache_copies {
    const struct settings *settings;
    const struct cache_rules *rules;
    struct cache_store *store;
    struct cache_link *link;
    struct cache_index *index;
    struct ghost *ghost;
    struct sieve sieve;
    struct cache_versions *versions;       /* NULL: without cache.pin_switch */
    struct cache_due due[CACHE_RULES_MAX]; /* of bounded rules, the oldest proof first */
    uint64_t files, evictions;
    uint64_t pending_files; /* room is reserved for them */
    struct {
        uint64_t files, bytes;
    } of_rule[CACHE_RULES_MAX];
};

int cache_copies_open(const struct cache_options *options, struct cache_copies *copies,
                      struct error *err);
void cache_copies_close(struct cache_copies *copies);

struct cache_copy *cache_copies_find(const struct cache_copies *copies, uint64_t hash,
                                     const char *path);

/* What a copy of that size under path can cost at most. */
uint64_t cache_copies_cost(const char *path, uint64_t size);

/* Room for a file more, of this cost. -EAGAIN: later; else there is none. */
int cache_copies_make_room(struct cache_copies *copies, uint64_t bytes);
void cache_copies_give_back(struct cache_copies *copies, uint64_t bytes);

/* Evict as much as others need on the volume; true: that was not enough. */
bool cache_copies_yield(struct cache_copies *copies);

/* Takes the job's file and reservation, also when it fails. */
int cache_copies_add(struct cache_copies *copies, struct cache_job *job,
                     const struct cache_rule *rule);
/* A pinned copy that an earlier sidecar left at path; doubted. -EEXIST: there is a copy of it. */
int cache_copies_restore(struct cache_copies *copies, const char *path,
                         const struct cache_identity *identity, enum cache_readers readers);
void cache_copies_renew(struct cache_copies *copies, struct cache_copy *copy, int64_t sent_ms,
                        uint32_t mark);
void cache_copies_doubt(struct cache_copies *copies, struct cache_copy *copy);

/* Of all pinned copies, which takes the place of the one before (cache_versions.h). */
int cache_copies_make_version(struct cache_copies *copies);

/* When it was last used, as far as is known. */
int64_t cache_copies_hit_ms(struct cache_copies *copies, struct cache_copy *copy);

/* The next miss of it fetches it again. */
void cache_copies_remove(struct cache_copies *copies, struct cache_copy *copy);
uint64_t cache_copies_remove_under(struct cache_copies *copies, const char *path);

#endif
