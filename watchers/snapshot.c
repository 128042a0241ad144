#include "watchers/snapshot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"

/*
 * An entry in a chunk: name length, flags, 8 bytes (a file's inode and stamp, or the pointer to a
 * directory's node), the name.
 */
enum {
    LENGTH_AT = 0,
    FLAGS_AT = 1,
    VALUE_AT = 2,
    NAME_AT = 10,
    ENTRY_MAX = NAME_AT + NAME_MAX,
    CHUNK_MAX = 4096,
    POINTER = sizeof(void *),
};

enum { IS_DIR = 1 << 0, SEEN = 1 << 1 };

struct snapshot_chunk {
    uint16_t used, size;
    uint8_t data[];
};

struct snapshot {
    struct snapshot_dir root;
    struct snapshot_order order;
    size_t count, max, bytes;
    void (*removing)(void *arg, struct snapshot_dir *dir);
    void *removing_arg;
};

struct place {
    uint32_t chunk;
    uint16_t at;
    bool found;
};

static size_t entry_size(const uint8_t *entry)
{
    return NAME_AT + (size_t)entry[LENGTH_AT];
}

static int compare(const uint8_t *entry, const char *name, size_t length)
{
    size_t own = entry[LENGTH_AT];
    int r = memcmp(entry + NAME_AT, name, own < length ? own : length);
    return r != 0 ? r : (own > length) - (own < length);
}

static struct snapshot_dir *node_of(const uint8_t *entry)
{
    struct snapshot_dir *dir;
    if (!(entry[FLAGS_AT] & IS_DIR))
        return NULL;
    memcpy(&dir, entry + VALUE_AT, POINTER);
    return dir;
}

/* Where name is, or where it would be put. */
static struct place find(const struct snapshot_dir *dir, const char *name)
{
    size_t length = strlen(name);
    uint32_t low = 0, high = dir->n_chunks;
    while (high - low > 1) { /* the last chunk that begins at or before name */
        uint32_t middle = low + (high - low) / 2;
        if (compare(dir->chunks[middle]->data, name, length) <= 0)
            low = middle;
        else
            high = middle;
    }
    struct place place = {.chunk = low};
    if (dir->n_chunks == 0)
        return place;
    const struct snapshot_chunk *chunk = dir->chunks[low];
    while (place.at < chunk->used) {
        int r = compare(chunk->data + place.at, name, length);
        if (r >= 0) {
            place.found = r == 0;
            break;
        }
        place.at = (uint16_t)(place.at + entry_size(chunk->data + place.at));
    }
    return place;
}

static uint8_t *entry_at(const struct snapshot_dir *dir, struct place place)
{
    return dir->chunks[place.chunk]->data + place.at;
}

static void show(const uint8_t *entry, struct snapshot_entry *ret_entry)
{
    memcpy(ret_entry->name, entry + NAME_AT, entry[LENGTH_AT]);
    ret_entry->name[entry[LENGTH_AT]] = '\0';
    ret_entry->dir = node_of(entry);
    ret_entry->inode = ret_entry->stamp = 0;
    if (!ret_entry->dir) {
        memcpy(&ret_entry->inode, entry + VALUE_AT, sizeof(uint32_t));
        memcpy(&ret_entry->stamp, entry + VALUE_AT + sizeof(uint32_t), sizeof(uint32_t));
    }
}

/* ---- chunks ---- */

/* Grows in steps: most directories are small. */
static int make_room(struct snapshot *s, struct snapshot_chunk **chunk, size_t needed)
{
    size_t size = (*chunk)->size;
    while (size < needed)
        size = size + size / 2 + 64;
    if (size > CHUNK_MAX)
        size = CHUNK_MAX;
    struct snapshot_chunk *grown = realloc(*chunk, sizeof(*grown) + size);
    if (!grown)
        return -ENOMEM;
    s->bytes += size - grown->size;
    grown->size = (uint16_t)size;
    *chunk = grown;
    return 0;
}

static int add_chunk(struct snapshot *s, struct snapshot_dir *dir, uint32_t at, size_t size)
{
    struct snapshot_chunk **chunks = realloc(dir->chunks, (dir->n_chunks + 1) * POINTER);
    if (!chunks)
        return -ENOMEM;
    dir->chunks = chunks;
    struct snapshot_chunk *chunk = malloc(sizeof(*chunk) + size);
    if (!chunk)
        return -ENOMEM;
    *chunk = (struct snapshot_chunk){.size = (uint16_t)size};
    memmove(&chunks[at + 1], &chunks[at], (dir->n_chunks - at) * POINTER);
    chunks[at] = chunk;
    dir->n_chunks++;
    s->bytes += sizeof(*chunk) + size + POINTER;
    return 0;
}

static void drop_chunk(struct snapshot *s, struct snapshot_dir *dir, uint32_t at)
{
    s->bytes -= sizeof(*dir->chunks[at]) + dir->chunks[at]->size + POINTER;
    free(dir->chunks[at]);
    dir->n_chunks--;
    memmove(&dir->chunks[at], &dir->chunks[at + 1], (dir->n_chunks - at) * POINTER);
}

/* What is behind the place goes to a chunk of its own. At the end nothing moves: names that come
 * in order fill their chunks. */
static int split(struct snapshot *s, struct snapshot_dir *dir, struct place *place, size_t needed)
{
    struct snapshot_chunk *chunk = dir->chunks[place->chunk];
    size_t from = 0;
    if (place->at == chunk->used) {
        from = chunk->used;
    } else {
        while (from < chunk->used / 2)
            from += entry_size(chunk->data + from);
    }
    size_t moved = chunk->used - from, size = moved + needed;
    int r = add_chunk(s, dir, place->chunk + 1, size > CHUNK_MAX ? CHUNK_MAX : size);
    if (r < 0)
        return r;
    struct snapshot_chunk *behind = dir->chunks[place->chunk + 1];
    memcpy(behind->data, chunk->data + from, moved);
    behind->used = (uint16_t)moved;
    chunk->used = (uint16_t)from;
    if (place->at > from || from == place->at) {
        place->chunk++;
        place->at = (uint16_t)(place->at - from);
    }
    return 0;
}

static int insert(struct snapshot *s, struct snapshot_dir *dir, const char *name, uint8_t **ret)
{
    size_t length = strlen(name), needed = NAME_AT + length;
    if (length == 0 || length > NAME_MAX)
        return -ENAMETOOLONG;
    if (s->count >= s->max)
        return -EDQUOT;
    struct place place = find(dir, name);
    int r = dir->n_chunks == 0 ? add_chunk(s, dir, 0, needed) : 0;
    if (r == 0 && dir->chunks[place.chunk]->used + needed > CHUNK_MAX)
        r = split(s, dir, &place, needed);
    if (r < 0)
        return r;
    struct snapshot_chunk **chunk = &dir->chunks[place.chunk];
    if ((*chunk)->used + needed > (*chunk)->size)
        r = make_room(s, chunk, (*chunk)->used + needed);
    if (r < 0)
        return r;
    uint8_t *entry = (*chunk)->data + place.at;
    memmove(entry + needed, entry, (size_t)(*chunk)->used - place.at);
    (*chunk)->used = (uint16_t)((*chunk)->used + needed);
    entry[LENGTH_AT] = (uint8_t)length;
    entry[FLAGS_AT] = 0;
    memcpy(entry + NAME_AT, name, length);
    s->count++;
    *ret = entry;
    return 0;
}

static void erase(struct snapshot *s, struct snapshot_dir *dir, struct place place)
{
    struct snapshot_chunk *chunk = dir->chunks[place.chunk];
    uint8_t *entry = chunk->data + place.at;
    size_t size = entry_size(entry);
    memmove(entry, entry + size, chunk->used - place.at - size);
    chunk->used = (uint16_t)(chunk->used - size);
    s->count--;
    if (chunk->used == 0)
        drop_chunk(s, dir, place.chunk);
}

/* ---- nodes ---- */

static void free_node(struct snapshot *s, struct snapshot_dir *dir)
{
    if (s->removing)
        s->removing(s->removing_arg, dir);
    while (dir->n_chunks > 0)
        drop_chunk(s, dir, dir->n_chunks - 1);
    TAILQ_REMOVE(&s->order, dir, order);
    s->bytes -= sizeof(*dir) + strlen(dir->name) + 1;
    free(dir->chunks);
    free(dir->name);
    free(dir);
}

/* Not recursive: a hostile tree may be deep. */
static void free_tree(struct snapshot *s, struct snapshot_dir *top)
{
    struct snapshot_dir *dir = top;
    for (;;) {
        struct snapshot_dir *child = NULL;
        while (dir->n_chunks > 0 && !child) {
            struct snapshot_chunk *chunk = dir->chunks[dir->n_chunks - 1];
            child = node_of(chunk->data);
            if (!child)
                erase(s, dir, (struct place){.chunk = dir->n_chunks - 1});
        }
        if (child) {
            dir = child;
            continue;
        }
        struct snapshot_dir *parent = dir->parent;
        free_node(s, dir);
        if (dir == top)
            return;
        erase(s, parent, (struct place){.chunk = parent->n_chunks - 1});
        dir = parent;
    }
}

int snapshot_new(size_t max_entries, struct snapshot **ret_snapshot)
{
    struct snapshot *s = calloc(1, sizeof(*s));
    char *name = strdup("");
    if (!s || !name) {
        free(s);
        free(name);
        return -ENOMEM;
    }
    TAILQ_INIT(&s->order);
    s->root.name = name;
    s->max = max_entries;
    s->bytes = sizeof(*s);
    TAILQ_INSERT_TAIL(&s->order, &s->root, order);
    *ret_snapshot = s;
    return 0;
}

void snapshot_free(struct snapshot *s)
{
    if (!s)
        return;
    s->removing = NULL;
    for (struct snapshot_dir *dir; (dir = TAILQ_LAST(&s->order, snapshot_order)) != &s->root;)
        free_node(s, dir);
    while (s->root.n_chunks > 0)
        drop_chunk(s, &s->root, s->root.n_chunks - 1);
    free(s->root.chunks);
    free(s->root.name);
    free(s);
}

struct snapshot_dir *snapshot_root(struct snapshot *s)
{
    return &s->root;
}

size_t snapshot_count(const struct snapshot *s)
{
    return s->count;
}

size_t snapshot_bytes(const struct snapshot *s)
{
    return s->bytes;
}

struct snapshot_order *snapshot_order(struct snapshot *s)
{
    return &s->order;
}

void snapshot_on_remove(struct snapshot *s, void (*removing)(void *arg, struct snapshot_dir *dir),
                        void *arg)
{
    s->removing = removing;
    s->removing_arg = arg;
}

/* ---- looking ---- */

bool snapshot_find(const struct snapshot_dir *dir, const char *name,
                   struct snapshot_entry *ret_entry)
{
    struct place place = find(dir, name);
    if (place.found)
        show(entry_at(dir, place), ret_entry);
    return place.found;
}

/* The next place that holds an entry; false at the end. */
static bool forward(const struct snapshot_dir *dir, struct place *place)
{
    if (place->chunk < dir->n_chunks && place->at >= dir->chunks[place->chunk]->used) {
        place->chunk++;
        place->at = 0;
    }
    return place->chunk < dir->n_chunks;
}

bool snapshot_after(const struct snapshot_dir *dir, const char *name,
                    struct snapshot_entry *ret_entry)
{
    struct place place = find(dir, name);
    if (place.found)
        place.at = (uint16_t)(place.at + entry_size(entry_at(dir, place)));
    if (!forward(dir, &place))
        return false;
    show(entry_at(dir, place), ret_entry);
    return true;
}

struct snapshot_dir *snapshot_walk(struct snapshot *s, const char *path)
{
    struct snapshot_dir *dir = &s->root;
    struct snapshot_entry entry;
    char name[NAME_MAX + 1];
    while (dir && *path) {
        size_t n = strcspn(path, "/");
        if (n > NAME_MAX)
            return NULL;
        memcpy(name, path, n);
        name[n] = '\0';
        dir = snapshot_find(dir, name, &entry) ? entry.dir : NULL;
        path += n + (path[n] == '/');
    }
    return dir;
}

const char *snapshot_path(const struct snapshot_dir *dir, const char *name, char *buffer,
                          size_t size)
{
    char *p = buffer + size - 1;
    *p = '\0';
    for (;;) {
        size_t n = strlen(name);
        if (n > 0) {
            if ((size_t)(p - buffer) < n + 1)
                return NULL;
            if (*p)
                *--p = '/';
            p -= n;
            memcpy(p, name, n);
        }
        if (!dir)
            return p;
        name = dir->name;
        dir = dir->parent;
    }
}

/* ---- changing ---- */

static void set_seen(const struct snapshot_dir *dir, uint8_t *entry)
{
    entry[FLAGS_AT] = (uint8_t)(dir->parity ? entry[FLAGS_AT] | SEEN : entry[FLAGS_AT] & ~SEEN);
}

int snapshot_put_file(struct snapshot *s, struct snapshot_dir *dir, const char *name,
                      uint32_t inode, uint32_t stamp)
{
    struct place place = find(dir, name);
    if (place.found && node_of(entry_at(dir, place))) {
        snapshot_remove(s, dir, name);
        place.found = false;
    }
    uint8_t *entry = place.found ? entry_at(dir, place) : NULL;
    int r = entry ? 0 : insert(s, dir, name, &entry);
    if (r < 0)
        return r;
    memcpy(entry + VALUE_AT, &inode, sizeof(inode));
    memcpy(entry + VALUE_AT + sizeof(inode), &stamp, sizeof(stamp));
    set_seen(dir, entry);
    return 0;
}

static int add_node(struct snapshot *s, struct snapshot_dir *parent, const char *name,
                    struct snapshot_dir **ret_dir)
{
    _cleanup_free_ struct snapshot_dir *dir = calloc(1, sizeof(*dir));
    uint8_t *entry;
    if (!dir)
        return -ENOMEM;
    dir->name = strdup(name);
    int r = dir->name ? insert(s, parent, name, &entry) : -ENOMEM;
    if (r < 0) {
        free(dir->name);
        return r;
    }
    dir->parent = parent;
    entry[FLAGS_AT] = IS_DIR;
    memcpy(entry + VALUE_AT, &dir, POINTER);
    set_seen(parent, entry);
    TAILQ_INSERT_TAIL(&s->order, dir, order);
    s->bytes += sizeof(*dir) + strlen(name) + 1;
    *ret_dir = take_ptr(dir);
    return 0;
}

int snapshot_put_dir(struct snapshot *s, struct snapshot_dir *dir, const char *name,
                     struct snapshot_dir **ret_dir)
{
    struct place place = find(dir, name);
    if (place.found) {
        struct snapshot_dir *there = node_of(entry_at(dir, place));
        if (there) {
            set_seen(dir, entry_at(dir, place));
            *ret_dir = there;
            return 0;
        }
        erase(s, dir, place);
    }
    return add_node(s, dir, name, ret_dir);
}

void snapshot_remove(struct snapshot *s, struct snapshot_dir *dir, const char *name)
{
    struct place place = find(dir, name);
    if (!place.found)
        return;
    struct snapshot_dir *node = node_of(entry_at(dir, place));
    if (node)
        free_tree(s, node);
    erase(s, dir, find(dir, name));
}

static bool is_under(const struct snapshot_dir *dir, const struct snapshot_dir *top)
{
    while (dir && dir != top)
        dir = dir->parent;
    return dir != NULL;
}

int snapshot_move(struct snapshot *s, struct snapshot_dir *from_dir, const char *from,
                  struct snapshot_dir *dir, const char *name)
{
    struct snapshot_entry moved;
    if (!snapshot_find(from_dir, from, &moved))
        return -ENOENT;
    if (from_dir == dir && strcmp(from, name) == 0)
        return 0;
    if (moved.dir && is_under(dir, moved.dir))
        return -EINVAL;
    struct place there = find(dir, name);
    struct snapshot_dir *replaced = there.found ? node_of(entry_at(dir, there)) : NULL;
    if (replaced && is_under(from_dir, replaced))
        return -EINVAL;
    if (!moved.dir) {
        int r = snapshot_put_file(s, dir, name, moved.inode, moved.stamp);
        if (r == -EDQUOT) { /* there is room when the old name goes first */
            erase(s, from_dir, find(from_dir, from));
            return snapshot_put_file(s, dir, name, moved.inode, moved.stamp);
        }
        if (r == 0)
            erase(s, from_dir, find(from_dir, from));
        return r;
    }
    _cleanup_free_ char *new_name = strdup(name);
    uint8_t *entry;
    if (!new_name)
        return -ENOMEM;
    snapshot_remove(s, dir, name);
    erase(s, from_dir, find(from_dir, from));
    int r = insert(s, dir, name, &entry);
    if (r < 0) { /* without it the next read finds it anew */
        free_tree(s, moved.dir);
        return r;
    }
    entry[FLAGS_AT] = IS_DIR;
    memcpy(entry + VALUE_AT, &moved.dir, POINTER);
    set_seen(dir, entry);
    s->bytes += strlen(name) - strlen(moved.dir->name);
    free(moved.dir->name);
    moved.dir->name = take_ptr(new_name);
    moved.dir->parent = dir;
    return 0;
}

void snapshot_begin_read(struct snapshot_dir *dir)
{
    dir->parity = !dir->parity;
}

bool snapshot_unseen(const struct snapshot_dir *dir, const char *after,
                     struct snapshot_entry *ret_entry)
{
    struct place place = find(dir, after);
    if (place.found)
        place.at = (uint16_t)(place.at + entry_size(entry_at(dir, place)));
    while (forward(dir, &place)) {
        const uint8_t *entry = entry_at(dir, place);
        if (!!(entry[FLAGS_AT] & SEEN) != dir->parity) {
            show(entry, ret_entry);
            return true;
        }
        place.at = (uint16_t)(place.at + entry_size(entry));
    }
    return false;
}
