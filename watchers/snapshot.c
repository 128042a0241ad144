#include "watchers/snapshot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"

/* A value is a file's inode and stamp, or the pointer to a directory's node. */
enum { IS_DIR = 1 << 0, SEEN = 1 << 1 };
enum { POINTER = sizeof(void *) };

struct snapshot {
    struct snapshot_dir root;
    struct snapshot_order order;
    struct entries_total total;
    void (*removing)(void *arg, struct snapshot_dir *dir);
    void *removing_arg;
};

static struct snapshot_dir *node_of(const uint8_t *entry)
{
    struct snapshot_dir *dir;
    if (!(entry[ENTRY_FLAGS] & IS_DIR))
        return NULL;
    memcpy(&dir, entry + ENTRY_VALUE, POINTER);
    return dir;
}

static void show(const uint8_t *entry, struct snapshot_entry *ret_entry)
{
    memcpy(ret_entry->name, entry + ENTRY_NAME, entry[ENTRY_LENGTH]);
    ret_entry->name[entry[ENTRY_LENGTH]] = '\0';
    ret_entry->dir = node_of(entry);
    ret_entry->inode = ret_entry->stamp = 0;
    if (!ret_entry->dir) {
        memcpy(&ret_entry->inode, entry + ENTRY_VALUE, sizeof(uint32_t));
        memcpy(&ret_entry->stamp, entry + ENTRY_VALUE + sizeof(uint32_t), sizeof(uint32_t));
    }
}

/* ---- nodes ---- */

static void free_node(struct snapshot *s, struct snapshot_dir *dir)
{
    if (s->removing)
        s->removing(s->removing_arg, dir);
    entries_release(&dir->entries, &s->total);
    TAILQ_REMOVE(&s->order, dir, order);
    s->total.bytes -= sizeof(*dir) + strlen(dir->name) + 1;
    free(dir->name);
    free(dir);
}

/* One that is cheap to erase. */
static struct entries_place some_entry(const struct snapshot_dir *dir)
{
    return (struct entries_place){.chunk = dir->entries.n_chunks - 1};
}

/* Not recursive: a hostile tree may be deep. */
static void free_tree(struct snapshot *s, struct snapshot_dir *top)
{
    struct snapshot_dir *dir = top;
    for (;;) {
        struct snapshot_dir *child = NULL;
        while (dir->entries.n_chunks > 0 && !child) {
            child = node_of(entries_at(&dir->entries, some_entry(dir)));
            if (!child)
                entries_erase(&dir->entries, &s->total, some_entry(dir));
        }
        if (child) {
            dir = child;
            continue;
        }
        struct snapshot_dir *parent = dir->parent;
        free_node(s, dir);
        if (dir == top)
            return;
        entries_erase(&parent->entries, &s->total, some_entry(parent));
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
    s->total.max = max_entries;
    s->total.bytes = sizeof(*s);
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
    entries_release(&s->root.entries, &s->total);
    free(s->root.name);
    free(s);
}

struct snapshot_dir *snapshot_root(struct snapshot *s)
{
    return &s->root;
}

size_t snapshot_count(const struct snapshot *s)
{
    return s->total.count;
}

size_t snapshot_bytes(const struct snapshot *s)
{
    return s->total.bytes;
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
    struct entries_place place = entries_find(&dir->entries, name);
    if (place.found)
        show(entries_at(&dir->entries, place), ret_entry);
    return place.found;
}

bool snapshot_after(const struct snapshot_dir *dir, const char *name,
                    struct snapshot_entry *ret_entry)
{
    struct entries_place place = entries_behind(&dir->entries, entries_find(&dir->entries, name));
    if (!entries_forward(&dir->entries, &place))
        return false;
    show(entries_at(&dir->entries, place), ret_entry);
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
    entry[ENTRY_FLAGS] =
        (uint8_t)(dir->parity ? entry[ENTRY_FLAGS] | SEEN : entry[ENTRY_FLAGS] & ~SEEN);
}

int snapshot_put_file(struct snapshot *s, struct snapshot_dir *dir, const char *name,
                      uint32_t inode, uint32_t stamp)
{
    struct entries_place place = entries_find(&dir->entries, name);
    if (place.found && node_of(entries_at(&dir->entries, place))) {
        snapshot_remove(s, dir, name);
        place.found = false;
    }
    uint8_t *entry = place.found ? entries_at(&dir->entries, place) : NULL;
    int r = entry ? 0 : entries_insert(&dir->entries, &s->total, name, &entry);
    if (r < 0)
        return r;
    memcpy(entry + ENTRY_VALUE, &inode, sizeof(inode));
    memcpy(entry + ENTRY_VALUE + sizeof(inode), &stamp, sizeof(stamp));
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
    int r = dir->name ? entries_insert(&parent->entries, &s->total, name, &entry) : -ENOMEM;
    if (r < 0) {
        free(dir->name);
        return r;
    }
    dir->parent = parent;
    entry[ENTRY_FLAGS] = IS_DIR;
    memcpy(entry + ENTRY_VALUE, &dir, POINTER);
    set_seen(parent, entry);
    TAILQ_INSERT_TAIL(&s->order, dir, order);
    s->total.bytes += sizeof(*dir) + strlen(name) + 1;
    *ret_dir = take_ptr(dir);
    return 0;
}

int snapshot_put_dir(struct snapshot *s, struct snapshot_dir *dir, const char *name,
                     struct snapshot_dir **ret_dir)
{
    struct entries_place place = entries_find(&dir->entries, name);
    if (place.found) {
        struct snapshot_dir *there = node_of(entries_at(&dir->entries, place));
        if (there) {
            set_seen(dir, entries_at(&dir->entries, place));
            *ret_dir = there;
            return 0;
        }
        entries_erase(&dir->entries, &s->total, place);
    }
    return add_node(s, dir, name, ret_dir);
}

void snapshot_remove(struct snapshot *s, struct snapshot_dir *dir, const char *name)
{
    struct entries_place place = entries_find(&dir->entries, name);
    if (!place.found)
        return;
    struct snapshot_dir *node = node_of(entries_at(&dir->entries, place));
    if (node)
        free_tree(s, node);
    entries_erase(&dir->entries, &s->total, entries_find(&dir->entries, name));
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
    struct entries_place there = entries_find(&dir->entries, name);
    struct snapshot_dir *replaced = there.found ? node_of(entries_at(&dir->entries, there)) : NULL;
    if (replaced && is_under(from_dir, replaced))
        return -EINVAL;
    if (!moved.dir) {
        int r = snapshot_put_file(s, dir, name, moved.inode, moved.stamp);
        if (r == -EDQUOT) { /* there is room when the old name goes first */
            entries_erase(&from_dir->entries, &s->total, entries_find(&from_dir->entries, from));
            return snapshot_put_file(s, dir, name, moved.inode, moved.stamp);
        }
        if (r == 0)
            entries_erase(&from_dir->entries, &s->total, entries_find(&from_dir->entries, from));
        return r;
    }
    _cleanup_free_ char *new_name = strdup(name);
    uint8_t *entry;
    if (!new_name)
        return -ENOMEM;
    snapshot_remove(s, dir, name);
    entries_erase(&from_dir->entries, &s->total, entries_find(&from_dir->entries, from));
    int r = entries_insert(&dir->entries, &s->total, name, &entry);
    if (r < 0) { /* without it the next read finds it anew */
        free_tree(s, moved.dir);
        return r;
    }
    entry[ENTRY_FLAGS] = IS_DIR;
    memcpy(entry + ENTRY_VALUE, &moved.dir, POINTER);
    set_seen(dir, entry);
    s->total.bytes += strlen(name) - strlen(moved.dir->name);
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
    struct entries_place place = entries_behind(&dir->entries, entries_find(&dir->entries, after));
    while (entries_forward(&dir->entries, &place)) {
        const uint8_t *entry = entries_at(&dir->entries, place);
        if (!!(entry[ENTRY_FLAGS] & SEEN) != dir->parity) {
            show(entry, ret_entry);
            return true;
        }
        place = entries_behind(&dir->entries, place);
    }
    return false;
}
