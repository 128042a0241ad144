#include "sidecar/cache_index.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"

struct cache_dir {
    struct cache_dir *parent; /* NULL: the root */
    LIST_HEAD(cache_dir_copies, cache_copy) copies;
    LIST_HEAD(cache_dir_dirs, cache_dir) dirs;
    LIST_ENTRY(cache_dir) sibling, same_bucket;
    char name[];
};

LIST_HEAD(cache_dir_bucket, cache_dir);

struct cache_index {
    uint32_t mask, probes;
    struct cache_copy **slots;
    uint32_t dir_mask;
    struct cache_dir_bucket *dir_buckets;
    struct cache_dir *root;
    size_t n_dirs;
};

enum { SLOTS_PER_DIR_BUCKET = 8 };

int cache_index_new(uint32_t n_slots, uint32_t probes, struct cache_index **ret_index)
{
    struct cache_index *index = calloc(1, sizeof(*index));
    if (!index)
        return -ENOMEM;
    uint32_t n_buckets = n_slots > SLOTS_PER_DIR_BUCKET ? n_slots / SLOTS_PER_DIR_BUCKET : 1;
    index->mask = n_slots - 1;
    index->probes = probes;
    index->dir_mask = n_buckets - 1;
    index->slots = calloc(n_slots, sizeof(struct cache_copy *)); /* pages come when touched */
    index->dir_buckets = calloc(n_buckets, sizeof(*index->dir_buckets));
    index->root = calloc(1, sizeof(*index->root) + 1);
    if (!index->slots || !index->dir_buckets || !index->root) {
        cache_index_free(index);
        return -ENOMEM;
    }
    *ret_index = index;
    return 0;
}

/* ---- directories ---- */

static struct cache_dir_bucket *bucket_of(const struct cache_index *index,
                                          const struct cache_dir *parent, const char *name,
                                          size_t length)
{
    uint64_t hash = (uintptr_t)parent >> 4;
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (unsigned char)name[i]) * 0x100000001b3ULL;
    return &index->dir_buckets[(hash ^ hash >> 32) & index->dir_mask];
}

static struct cache_dir *find_dir(const struct cache_index *index, const struct cache_dir *parent,
                                  const char *name, size_t length)
{
    struct cache_dir *dir;
    LIST_FOREACH(dir, bucket_of(index, parent, name, length), same_bucket)
    {
        if (dir->parent == parent && strncmp(dir->name, name, length) == 0 && !dir->name[length])
            break;
    }
    return dir;
}

static struct cache_dir *make_dir(struct cache_index *index, struct cache_dir *parent,
                                  const char *name, size_t length)
{
    struct cache_dir *dir = calloc(1, sizeof(*dir) + length + 1);
    if (!dir)
        return NULL;
    memcpy(dir->name, name, length);
    dir->parent = parent;
    LIST_INSERT_HEAD(&parent->dirs, dir, sibling);
    LIST_INSERT_HEAD(bucket_of(index, parent, name, length), dir, same_bucket);
    index->n_dirs++;
    return dir;
}

static bool is_empty(const struct cache_dir *dir)
{
    return LIST_EMPTY(&dir->copies) && LIST_EMPTY(&dir->dirs);
}

static char *dir_path(const struct cache_dir *dir, char *buf)
{
    char *p = buf + PATH_MAX;
    *--p = '\0';
    for (; dir->parent; dir = dir->parent) {
        size_t length = strlen(dir->name);
        p -= length;
        memcpy(p, dir->name, length);
        if (dir->parent->parent)
            *--p = '/';
    }
    return memmove(buf, p, strlen(p) + 1);
}

/* This one if there is nothing in it, and so on upwards. */
static void prune(struct cache_index *index, struct cache_dir *dir,
                  void (*dir_emptied)(void *arg, const char *path), void *arg)
{
    char path[PATH_MAX];
    while (dir->parent && is_empty(dir)) {
        struct cache_dir *parent = dir->parent;
        if (dir_emptied)
            dir_emptied(arg, dir_path(dir, path));
        LIST_REMOVE(dir, sibling);
        LIST_REMOVE(dir, same_bucket);
        free(dir);
        index->n_dirs--;
        dir = parent;
    }
}

size_t cache_index_dirs(const struct cache_index *index)
{
    return index->n_dirs;
}

/* The directory of path, or NULL; *name is behind it. */
static struct cache_dir *walk(const struct cache_index *index, const char **name)
{
    struct cache_dir *dir = index->root;
    for (const char *end; dir && (end = strchr(*name, '/')); *name = end + 1)
        dir = find_dir(index, dir, *name, (size_t)(end - *name));
    return dir;
}

/* The same, made where it is missing. */
static struct cache_dir *walk_and_make(struct cache_index *index, const char **name)
{
    struct cache_dir *dir = index->root;
    for (const char *end; (end = strchr(*name, '/')); *name = end + 1) {
        size_t length = (size_t)(end - *name);
        struct cache_dir *next = find_dir(index, dir, *name, length);
        if (!next)
            next = make_dir(index, dir, *name, length);
        if (!next) {
            prune(index, dir, NULL, NULL);
            return NULL;
        }
        dir = next;
    }
    return dir;
}

/* ---- copies ---- */

char *cache_copy_path(const struct cache_copy *copy, char *buf)
{
    dir_path(copy->dir, buf);
    size_t length = strlen(buf);
    if (length > 0)
        buf[length++] = '/';
    memcpy(buf + length, copy->name, strlen(copy->name) + 1);
    return buf;
}

static struct cache_copy *find_hash(const struct cache_index *index, uint64_t hash)
{
    for (uint32_t i = 0; i < index->probes; i++) {
        struct cache_copy *copy = index->slots[(hash + i) & index->mask];
        if (copy && copy->hash == hash)
            return copy;
    }
    return NULL;
}

struct cache_copy *cache_index_find(const struct cache_index *index, uint64_t hash,
                                    const char *path)
{
    char own[PATH_MAX];
    struct cache_copy *copy = find_hash(index, hash);
    return copy && strcmp(cache_copy_path(copy, own), path) == 0 ? copy : NULL;
}

static struct cache_copy *first_in(const struct cache_dir *dir)
{
    while (LIST_EMPTY(&dir->copies) && !LIST_EMPTY(&dir->dirs))
        dir = LIST_FIRST(&dir->dirs);
    return LIST_FIRST(&dir->copies);
}

/* The directory of this path, or the copy, or neither. */
static struct cache_dir *find_path(const struct cache_index *index, const char *path,
                                   struct cache_copy **ret_copy)
{
    const char *name = path;
    *ret_copy = NULL;
    if (!*path)
        return index->root;
    struct cache_dir *parent = walk(index, &name);
    struct cache_dir *dir = parent ? find_dir(index, parent, name, strlen(name)) : NULL;
    if (!dir)
        *ret_copy = find_hash(index, cache_hash(path, strlen(path)));
    if (*ret_copy && ((*ret_copy)->dir != parent || strcmp((*ret_copy)->name, name) != 0))
        *ret_copy = NULL;
    return dir;
}

struct cache_copy *cache_index_first_under(const struct cache_index *index, const char *path)
{
    struct cache_copy *copy;
    const struct cache_dir *dir = find_path(index, path, &copy);
    return dir ? first_in(dir) : copy;
}

static void each_in(const struct cache_dir *dir, void (*visit)(void *arg, struct cache_copy *copy),
                    void *arg)
{
    struct cache_copy *copy;
    const struct cache_dir *inner;
    LIST_FOREACH(copy, &dir->copies, sibling)
    {
        visit(arg, copy);
    }
    LIST_FOREACH(inner, &dir->dirs, sibling)
    {
        each_in(inner, visit, arg);
    }
}

void cache_index_each_under(const struct cache_index *index, const char *path,
                            void (*visit)(void *arg, struct cache_copy *copy), void *arg)
{
    struct cache_copy *copy;
    const struct cache_dir *dir = find_path(index, path, &copy);
    if (dir)
        each_in(dir, visit, arg);
    else if (copy)
        visit(arg, copy);
}

static int find_slot(const struct cache_index *index, uint64_t hash, uint32_t *ret_slot)
{
    for (uint32_t i = 0; i < index->probes; i++) {
        uint32_t slot = (uint32_t)((hash + i) & index->mask);
        if (!index->slots[slot]) {
            *ret_slot = slot;
            return 0;
        }
    }
    return -ENOSPC;
}

int cache_index_add(struct cache_index *index, uint64_t hash, const char *path,
                    struct cache_copy **ret_copy)
{
    const char *name = path;
    uint32_t slot;
    if (find_hash(index, hash))
        return -EEXIST;
    int r = find_slot(index, hash, &slot);
    if (r < 0)
        return r;
    struct cache_dir *dir = walk_and_make(index, &name);
    if (!dir)
        return -ENOMEM;
    struct cache_copy *copy = calloc(1, sizeof(*copy) + strlen(name) + 1);
    if (!copy) {
        prune(index, dir, NULL, NULL);
        return -ENOMEM;
    }
    memcpy(copy->name, name, strlen(name) + 1);
    copy->hash = hash;
    copy->slot = slot;
    copy->dir = dir;
    LIST_INSERT_HEAD(&dir->copies, copy, sibling);
    index->slots[slot] = copy;
    *ret_copy = copy;
    return 0;
}

void cache_index_remove(struct cache_index *index, struct cache_copy *copy,
                        void (*dir_emptied)(void *arg, const char *path), void *arg)
{
    struct cache_dir *dir = copy->dir;
    index->slots[copy->slot] = NULL;
    LIST_REMOVE(copy, sibling);
    free(copy);
    prune(index, dir, dir_emptied, arg);
}

void cache_index_free(struct cache_index *index)
{
    if (!index)
        return;
    for (struct cache_copy *copy; index->slots && index->root && (copy = first_in(index->root));)
        cache_index_remove(index, copy, NULL, NULL);
    free(index->slots);
    free(index->dir_buckets);
    free(index->root);
    free(index);
}
