/*
 * cache_layout: what lies in CACHE/.control, for the sidecar that fills the cache and for
 * libefscache.so in the applications.
 *
 *     mounts       text, see cache_paths.h
 *     NAME.map     written by the sidecar only; applications map it read-only
 *     NAME.app     written by applications; all in it is a hint, and whatever else they may write
 *
 * The copies are CACHE/NAME/PATH for CACHE_IMMUTABLE and CACHE_BOUNDED, and
 * CACHE/.validate/NAME/PATH for CACHE_VALIDATE. PATH is relative to the mount, without "." ".."
 * "//", and is looked up by its hash. There is at most one copy per hash.
 *
 * An application, for every open (shim/view.c maps the files):
 *
 *     enum cache_answer answer = cache_look(&view, hash, &look);
 *     if (answer == CACHE_FOUND) {
 *         [CACHE_VALIDATE: statx() of the source has the four values of `look`]
 *         open the copy
 *         [cache_look_again(&view, hash, &look) and cache_is_fresh(&look, now_ms): it is a hit]
 *     }
 *
 * Every entry is a seqlock: odd while it is being written. The sidecar makes the entry invalid
 * first, then removes the copy; so a sequence that is the same before and after the copy was opened
 * says that it is the copy of this entry. A reader never waits: what is being written is absent.
 *
 * Marks: the application's marks count what applications did to paths with that hash. The sidecar
 * reads the mark before it reads the source and puts it into the entry; a mark that differs
 * suppresses the entry until the sidecar has read the source again. `all` is the same for all paths
 * of a mount: the sidecar reads it, makes invalid what it cannot vouch for, and puts what it read
 * into all_mark.
 *
 * Nothing here allocates, blocks, calls more than memcpy and memcmp, or follows a size that is read
 * from a mapping: `slots` of the view is taken once, when the sizes of both files have been
 * checked. Both files have all their blocks from the start (shim/cache_writer.h), so that a full
 * disk is no SIGBUS. The sidecar never maps NAME.app, which any application could make shorter: it
 * uses pread. Threads: any, of any process.
 */
#ifndef SHIM_CACHE_LAYOUT_H
#define SHIM_CACHE_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "shim/cache_paths.h"

#define CACHE_CONTROL      ".control"
#define CACHE_VALIDATE_DIR ".validate"
#define CACHE_MAP_MAGIC    UINT64_C(0x3150414d53464501) /* the last byte is the version */
#define CACHE_FOREVER      UINT64_MAX

enum {
    CACHE_SLOTS_MIN = 64,
    CACHE_SLOTS_MAX = 1 << 24,
    CACHE_PROBES = 16,
    CACHE_MARKS = 1 << 16,
    CACHE_RING = 512,
    CACHE_SHARDS = 16,
};

/* CACHE_OFF: the slot is empty. */
enum cache_mode { CACHE_OFF, CACHE_IMMUTABLE, CACHE_VALIDATE, CACHE_BOUNDED };

/* Beside `sequence`, which only counts up, all is 0 in a slot that is free. */
struct cache_slot {
    uint32_t sequence;
    uint32_t mode; /* enum cache_mode */
    uint64_t hash;
    uint64_t inode; /* of the source when it was copied, as the next three */
    uint64_t size_bytes;
    int64_t mtime_ns;
    int64_t ctime_ns;
    uint64_t fresh_until_ms; /* CLOCK_BOOTTIME; CACHE_FOREVER. Changes without `sequence` */
    uint32_t mark;           /* changes without `sequence` */
    uint32_t unused;
};

struct cache_map {
    uint64_t magic;
    uint64_t size_bytes;
    uint64_t serial;    /* of the sidecar that wrote the file */
    uint64_t mount_dev; /* st_dev and st_ino of the mount's root */
    uint64_t mount_inode;
    uint32_t slots;
    uint32_t retired;  /* not 0: there is a newer file, or there will be */
    uint32_t all_mark; /* `all` of the .app file, when the sidecar had caught up with it */
    uint32_t unused[19];
    struct cache_slot entries[];
};

/* What happened to opens; the names are in cache_count_name(). */
enum cache_count {
    CACHE_HITS,
    CACHE_ABSENT_COUNT,
    CACHE_MARKED_COUNT,
    CACHE_EXPIRED_COUNT,
    CACHE_CHANGED_COUNT,
    CACHE_RACED_COUNT,
    CACHE_NO_COPY_COUNT,
    CACHE_WRITES_COUNT,
    CACHE_UNUSUAL_COUNT,
    CACHE_COUNTS,
    CACHE_COUNTS_ROOM = 16
};

struct cache_counters {
    uint64_t n[CACHE_COUNTS_ROOM];
};

/* A path that was opened and not found in the cache. A slot may be torn: see cache_miss_valid(). */
struct cache_miss {
    uint32_t stamp; /* its position in the ring's history + 1 */
    uint32_t length;
    uint64_t hash;
    char path[CACHE_PATH_MAX]; /* not terminated */
    char unused[16];
};

struct cache_app {
    uint64_t magic; /* CACHE_MAP_MAGIC; applications believe nothing but that */
    uint32_t all;
    uint32_t ring_next; /* misses ever pushed */
    uint32_t unused[28];
    struct cache_counters counters[CACHE_SHARDS];
    uint32_t marks[CACHE_MARKS];
    struct cache_miss ring[CACHE_RING];
    uint8_t visited[]; /* per slot: not 0 after a hit; the sidecar sets it to 0 */
};

_Static_assert(sizeof(struct cache_slot) == 64, "one entry, one cache line");
_Static_assert(sizeof(struct cache_map) == 128, "entries start at a cache line");
_Static_assert(sizeof(struct cache_miss) == 512, "a ring of 256 KiB");
_Static_assert(CACHE_COUNTS <= CACHE_COUNTS_ROOM, "counters have room");
_Static_assert(offsetof(struct cache_app, counters) == 128, "shards have their own lines");

/* Both files as one process has mapped them. */
struct cache_view {
    const struct cache_map *map;
    struct cache_app *app;
    uint32_t slots;
};

/* What one look found, to compare with later. */
struct cache_look {
    uint32_t slot;
    uint32_t sequence;
    enum cache_mode mode;
    uint64_t inode, size_bytes;
    int64_t mtime_ns, ctime_ns;
    uint64_t fresh_until_ms;
};

enum cache_answer { CACHE_FOUND, CACHE_ABSENT, CACHE_MARKED, CACHE_RETIRED };

#define cache_load(p)             __atomic_load_n((p), __ATOMIC_RELAXED)
#define cache_store(p, value)     __atomic_store_n((p), (value), __ATOMIC_RELAXED)
#define cache_load_acquire(p)     __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define cache_store_release(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)

/* ---- the map ---- */

static inline uint64_t cache_map_bytes(uint32_t slots)
{
    return sizeof(struct cache_map) + (uint64_t)slots * sizeof(struct cache_slot);
}

static inline uint64_t cache_app_bytes(uint32_t slots)
{
    return sizeof(struct cache_app) + slots;
}

/* The slots of a map file of `bytes` bytes, whose first sizeof(struct cache_map) bytes are at map;
 * 0 when it is none. */
static inline uint32_t cache_map_slots(const struct cache_map *map, uint64_t bytes)
{
    if (bytes < sizeof(*map) || cache_load(&map->magic) != CACHE_MAP_MAGIC)
        return 0;
    uint32_t slots = cache_load(&map->slots);
    if (slots < CACHE_SLOTS_MIN || slots > CACHE_SLOTS_MAX || (slots & (slots - 1)) != 0)
        return 0;
    uint64_t wanted = cache_map_bytes(slots);
    return wanted == bytes && cache_load(&map->size_bytes) == wanted ? slots : 0;
}

static inline const uint32_t *cache_mark_of(const struct cache_app *app, uint64_t hash)
{
    return &app->marks[hash >> 48];
}

static inline bool cache_suppressed(const struct cache_view *view, uint64_t hash,
                                    const struct cache_slot *entry)
{
    return cache_load(&entry->mark) != cache_load(cache_mark_of(view->app, hash)) ||
           cache_load(&view->map->all_mark) != cache_load(&view->app->all);
}

/* What the slot holds, into *ret_look; false when it is not of this hash or is being written. */
static inline bool cache_slot_get(const struct cache_slot *entry, uint64_t hash,
                                  struct cache_look *ret_look)
{
    struct cache_look look = {.sequence = cache_load_acquire(&entry->sequence)};
    uint32_t mode = cache_load(&entry->mode);
    if (cache_load(&entry->hash) != hash || (look.sequence & 1) != 0)
        return false;
    if (mode != CACHE_IMMUTABLE && mode != CACHE_VALIDATE && mode != CACHE_BOUNDED)
        return false;
    look.mode = (enum cache_mode)mode;
    look.inode = cache_load(&entry->inode);
    look.size_bytes = cache_load(&entry->size_bytes);
    look.mtime_ns = cache_load(&entry->mtime_ns);
    look.ctime_ns = cache_load(&entry->ctime_ns);
    look.fresh_until_ms = cache_load(&entry->fresh_until_ms);
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    if (cache_load(&entry->sequence) != look.sequence)
        return false;
    *ret_look = look;
    return true;
}

/* *ret_look is set when the answer is CACHE_FOUND or CACHE_MARKED. */
static inline enum cache_answer cache_look(const struct cache_view *view, uint64_t hash,
                                           struct cache_look *ret_look)
{
    const uint32_t last = view->slots - 1;
    if (cache_load(&view->map->retired) != 0)
        return CACHE_RETIRED;
    for (uint32_t i = 0; i < CACHE_PROBES; i++) {
        uint32_t slot = ((uint32_t)hash + i) & last;
        const struct cache_slot *entry = &view->map->entries[slot];
        if (cache_load(&entry->hash) == hash && cache_slot_get(entry, hash, ret_look)) {
            ret_look->slot = slot;
            return cache_suppressed(view, hash, entry) ? CACHE_MARKED : CACHE_FOUND;
        }
        if (cache_load(&entry->sequence) == 0) /* never used, nor is any behind it for this hash */
            return CACHE_ABSENT;
    }
    return CACHE_ABSENT;
}

/* After the copy has been opened: is all as `look` found it? Renews its fresh_until_ms. */
static inline bool cache_look_again(const struct cache_view *view, uint64_t hash,
                                    struct cache_look *look)
{
    const struct cache_slot *entry = &view->map->entries[look->slot & (view->slots - 1)];
    __atomic_thread_fence(__ATOMIC_ACQUIRE); /* after what open has read */
    look->fresh_until_ms = cache_load(&entry->fresh_until_ms);
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return cache_load(&entry->sequence) == look->sequence && cache_load(&view->map->retired) == 0 &&
           !cache_suppressed(view, hash, entry);
}

/* now_ms is needed only when it is not CACHE_FOREVER. */
static inline bool cache_is_fresh(const struct cache_look *look, uint64_t now_ms)
{
    return look->fresh_until_ms == CACHE_FOREVER || now_ms < look->fresh_until_ms;
}

/* ---- what applications write ---- */

static inline void cache_mark(struct cache_app *app, uint64_t hash)
{
    __atomic_fetch_add(&app->marks[hash >> 48], 1, __ATOMIC_SEQ_CST);
}

static inline void cache_mark_all(struct cache_app *app)
{
    __atomic_fetch_add(&app->all, 1, __ATOMIC_SEQ_CST);
}

static inline void cache_visit(const struct cache_view *view, uint32_t slot)
{
    uint8_t *visited = &view->app->visited[slot & (view->slots - 1)];
    if (cache_load(visited) == 0)
        cache_store(visited, 1);
}

static inline void cache_count(struct cache_counters counters[CACHE_SHARDS], unsigned shard,
                               enum cache_count what)
{
    __atomic_fetch_add(&counters[shard % CACHE_SHARDS].n[what], 1, __ATOMIC_RELAXED);
}

static inline uint64_t cache_counted(const struct cache_counters counters[CACHE_SHARDS],
                                     enum cache_count what)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < CACHE_SHARDS; i++)
        sum += cache_load(&counters[i].n[what]);
    return sum;
}

static inline const char *cache_count_name(enum cache_count what)
{
    static const char *const names[] = {
        [CACHE_HITS] = "hits",                /* the copy was opened */
        [CACHE_ABSENT_COUNT] = "absent",      /* there is none */
        [CACHE_MARKED_COUNT] = "marked",      /* something in this task wrote to it */
        [CACHE_EXPIRED_COUNT] = "expired",    /* older than the bound */
        [CACHE_CHANGED_COUNT] = "changed",    /* the source is not what was copied */
        [CACHE_RACED_COUNT] = "raced",        /* invalidated while the copy was being opened */
        [CACHE_NO_COPY_COUNT] = "unreadable", /* the copy cannot be opened */
        [CACHE_WRITES_COUNT] = "writes",      /* opened for writing */
        [CACHE_UNUSUAL_COUNT] = "unusual",    /* flags or a path that only EFS can serve */
    };
    return what < CACHE_COUNTS ? names[what] : "";
}

/* `path` is cache_path_valid() and has this hash. The one who reads it may find it torn. */
static inline void cache_miss_push(struct cache_app *app, const char *path, size_t length,
                                   uint64_t hash)
{
    uint32_t position = __atomic_fetch_add(&app->ring_next, 1, __ATOMIC_RELAXED);
    struct cache_miss *miss = &app->ring[position % CACHE_RING];
    if (length > CACHE_PATH_MAX)
        return;
    cache_store_release(&miss->stamp, 0);
    miss->length = (uint32_t)length;
    miss->hash = hash;
    memcpy(miss->path, path, length);
    cache_store_release(&miss->stamp, position + 1);
}

/* Is this copy of a ring slot whole, and the miss of that position? */
static inline bool cache_miss_valid(const struct cache_miss *miss, uint32_t position)
{
    return miss->stamp == position + 1 && cache_path_valid(miss->path, miss->length) &&
           cache_hash(miss->path, miss->length) == miss->hash;
}

#endif
