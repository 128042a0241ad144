/*
 * cache_store: the files of one mount's cache on the task-local volume, and the room that they may
 * take.
 *
 *     DIR/NAME/PATH               copies that any program can use by their path
 *     DIR/.validate/NAME/PATH     copies that are only good after a question to EFS
 *     DIR/.tmp/NAME/              fills
 *     DIR/.old/NAME.N             what a sidecar before this one left, until it is removed; with
 *                                 cache.pin not what is in DIR/NAME, see cache_restore.h
 *     DIR/.control/               see cache_map.h; NAME.lock is held by the sidecar that uses NAME
 *
 *     r = cache_store_open(&options, &store, &err);              // takes no longer with more files
 *     r = cache_store_reserve(store, bytes);                     // before a file is fetched
 *     r = cache_store_place(store, "7", tree, "a/b");            // from .tmp to its path, at once
 *     cache_store_remove(store, tree, "a/b");
 *     more = cache_store_sweep(store, 20);                       // ms for what was left behind
 *
 * A copy counts with the blocks that it fills, and so does a directory. What was left behind counts
 * as if it filled the whole size, less what has been removed of it: files on the disk never exceed
 * the size. A reservation also needs min_free_percent of the volume to stay free for others, when
 * all that is reserved is filled.
 *
 * Nothing of a run before this one is used: whether it is still the file could only be found out
 * by reading it again.
 *
 * Threads: one at a time; calls may wait for the disk. Errors: 0 or -errno.
 */
#ifndef SIDECAR_CACHE_STORE_H
#define SIDECAR_CACHE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/error.h"
#include "lib/settings.h"

struct stat;
struct cache_store;

enum cache_tree { CACHE_TREE_PATHS, CACHE_TREE_VALIDATE, CACHE_TREES };

struct cache_store_options {
    const struct settings *settings;
    const char *name; /* of the mount */
};

/* -EBUSY: another sidecar uses it. */
int cache_store_open(const struct cache_store_options *options, struct cache_store **ret_store,
                     struct error *err);
void cache_store_close(struct cache_store *store); /* NULL is fine; the files stay */

int cache_store_control(const struct cache_store *store); /* descriptors, the store's */
int cache_store_tmp(const struct cache_store *store);
int cache_store_dir(const struct cache_store *store);
int cache_store_tree(const struct cache_store *store, enum cache_tree tree);

/* What a file of this size takes, and a directory. */
uint64_t cache_store_cost(uint64_t size);
enum { CACHE_DIR_COST = 8192 }; /* it may be in both trees */

/* Take these bytes. -ENOSPC: so many are not left of the size; -EDQUOT: others need the room on the
 * volume; -EAGAIN: not before more of what was left behind is removed; -EFBIG: never. */
int cache_store_reserve(struct cache_store *store, uint64_t bytes);
/* The end of a reservation: so much of it is filled now. */
void cache_store_settle(struct cache_store *store, uint64_t reserved_bytes, uint64_t filled_bytes);
/* What was filled is free again. */
void cache_store_give_back(struct cache_store *store, uint64_t bytes);
uint64_t cache_store_used(const struct cache_store *store);

/* Is so much less free on the volume than others are to have? 0: no. */
uint64_t cache_store_shortage(const struct cache_store *store);

/* -ENOTDIR, -EEXIST or -EISDIR: a file is where a directory is needed, or the other way round. */
int cache_store_place(struct cache_store *store, const char *tmp_name, enum cache_tree tree,
                      const char *path);
/* The same, and the file stays in .tmp as well. */
int cache_store_place_link(struct cache_store *store, const char *tmp_name, enum cache_tree tree,
                           const char *path);
void cache_store_remove(struct cache_store *store, enum cache_tree tree, const char *path);
void cache_store_remove_tmp(struct cache_store *store, const char *tmp_name);

/* A file of the first tree shall be in the other one, too. */
int cache_store_link(struct cache_store *store, const char *path);

/* Of a directory that may be there in both trees. */
void cache_store_remove_dir(struct cache_store *store, const char *path);

/* Is DIR/NAME as an earlier sidecar left it? */
bool cache_store_has_left(const struct cache_store *store);
/* A directory that no other user may write. */
bool cache_store_is_own_dir(const struct stat *st);
/* Of what is left: a file that is kept, and fills so much; -ENOSPC: more than the size. */
int cache_store_keep(struct cache_store *store, uint64_t bytes);
/* Of what is left: a file that is removed, or a directory that is put aside. */
void cache_store_remove_left(struct cache_store *store, int at_fd, const char *name,
                             const struct stat *st);

/* Go on removing what was put aside; true: there is more. */
bool cache_store_sweep(struct cache_store *store, int64_t budget_ms);
uint64_t cache_store_swept_files(const struct cache_store *store);

#endif
