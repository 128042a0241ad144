#include "watchers/wd_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/share/change.h"

enum { FIRST_BUCKETS = 256 };

/* FNV-1a from a start that differs per directory and, by address randomisation, per run. */
uint32_t name_hash(const struct dir *dir, const char *name)
{
    uint64_t h = 0xcbf29ce484222325 ^ (uint64_t)(uintptr_t)dir;
    for (; *name; name++)
        h = (h ^ (unsigned char)*name) * 0x100000001b3;
    return (uint32_t)(h ^ h >> 32);
}

static size_t wd_hash(int wd)
{
    return (size_t)(unsigned)wd; /* the kernel counts them up */
}

static struct dir *dir_new(const char *name)
{
    struct dir *dir = calloc(1, sizeof(*dir));
    if (!dir)
        return NULL;
    dir->name = strdup(name);
    if (!dir->name) {
        free(dir);
        return NULL;
    }
    dir->wd = -1;
    LIST_INIT(&dir->children);
    LIST_INIT(&dir->pending);
    LIST_INIT(&dir->names);
    return dir;
}

static struct dir **new_buckets(size_t n)
{
    return calloc(n, sizeof(struct dir *));
}

int wd_table_init(struct wd_table *table, struct dir **ret_root)
{
    struct wd_table t = {.buckets = FIRST_BUCKETS, .count = 1};
    t.by_name = new_buckets(t.buckets);
    t.by_wd = new_buckets(t.buckets);
    t.root = dir_new("");
    if (!t.by_name || !t.by_wd || !t.root) {
        if (t.root)
            free(t.root->name);
        free(t.root);
        free(t.by_name);
        free(t.by_wd);
        return -ENOMEM;
    }
    *table = t;
    *ret_root = t.root;
    return 0;
}

void wd_table_release(struct wd_table *table)
{
    wd_table_drop_all(table);
    for (struct dir *dir; (dir = wd_table_reap(table));)
        wd_table_free(table, dir);
    free(table->by_name);
    free(table->by_wd);
    *table = (struct wd_table){0};
}

static void link_name(struct wd_table *table, struct dir *dir)
{
    struct dir **bucket = &table->by_name[dir->hash % table->buckets];
    dir->name_next = *bucket;
    *bucket = dir;
}

static void unlink_name(struct wd_table *table, struct dir *dir)
{
    struct dir **p = &table->by_name[dir->hash % table->buckets];
    while (*p != dir)
        p = &(*p)->name_next;
    *p = dir->name_next;
}

static void link_wd(struct wd_table *table, struct dir *dir)
{
    struct dir **bucket = &table->by_wd[wd_hash(dir->wd) % table->buckets];
    dir->wd_next = *bucket;
    *bucket = dir;
}

/* Twice the buckets; when there is no memory the chains just stay longer. */
static void grow(struct wd_table *table)
{
    struct wd_table old = *table;
    struct dir **by_name = new_buckets(2 * old.buckets);
    struct dir **by_wd = new_buckets(2 * old.buckets);
    if (!by_name || !by_wd) {
        free(by_name);
        free(by_wd);
        return;
    }
    table->by_name = by_name;
    table->by_wd = by_wd;
    table->buckets *= 2;
    for (size_t i = 0; i < old.buckets; i++) {
        for (struct dir *dir = old.by_name[i], *next; dir; dir = next) {
            next = dir->name_next;
            link_name(table, dir);
        }
        for (struct dir *dir = old.by_wd[i], *next; dir; dir = next) {
            next = dir->wd_next;
            link_wd(table, dir);
        }
    }
    free(old.by_name);
    free(old.by_wd);
}

int wd_table_add(struct wd_table *table, struct dir *parent, const char *name, struct dir **ret_dir)
{
    if (wd_table_child(table, parent, name))
        return -EEXIST;
    struct dir *dir = dir_new(name);
    if (!dir)
        return -ENOMEM;
    dir->parent = parent;
    dir->hash = name_hash(parent, name);
    LIST_INSERT_HEAD(&parent->children, dir, sibling);
    if (table->count >= 2 * table->buckets)
        grow(table);
    link_name(table, dir);
    table->count++;
    *ret_dir = dir;
    return 0;
}

struct dir *wd_table_child(const struct wd_table *table, const struct dir *parent, const char *name)
{
    uint32_t hash = name_hash(parent, name);
    struct dir *dir = table->by_name[hash % table->buckets];
    while (dir && (dir->hash != hash || dir->parent != parent || strcmp(dir->name, name) != 0))
        dir = dir->name_next;
    return dir;
}

struct dir *wd_table_by_wd(const struct wd_table *table, int wd)
{
    struct dir *dir = table->by_wd[wd_hash(wd) % table->buckets];
    while (dir && dir->wd != wd)
        dir = dir->wd_next;
    return dir;
}

struct dir *wd_table_bind(struct wd_table *table, struct dir *dir, int wd)
{
    struct dir *other = wd_table_by_wd(table, wd);
    if (other == dir)
        return NULL;
    if (other)
        wd_table_unbind(table, other);
    wd_table_unbind(table, dir);
    dir->wd = wd;
    link_wd(table, dir);
    table->watched++;
    return other;
}

void wd_table_unbind(struct wd_table *table, struct dir *dir)
{
    if (dir->wd < 0)
        return;
    struct dir **p = &table->by_wd[wd_hash(dir->wd) % table->buckets];
    while (*p != dir)
        p = &(*p)->wd_next;
    *p = dir->wd_next;
    dir->wd = -1;
    table->watched--;
}

int wd_table_move(struct wd_table *table, struct dir *dir, struct dir *parent, const char *name)
{
    char *copy = strdup(name);
    if (!copy)
        return -ENOMEM;
    unlink_name(table, dir);
    LIST_REMOVE(dir, sibling);
    free(dir->name);
    dir->name = copy;
    dir->parent = parent;
    dir->hash = name_hash(parent, name);
    LIST_INSERT_HEAD(&parent->children, dir, sibling);
    link_name(table, dir);
    return 0;
}

void wd_table_drop(struct wd_table *table, struct dir *dir)
{
    unlink_name(table, dir);
    LIST_REMOVE(dir, sibling);
    dir->parent = NULL;
    LIST_INSERT_HEAD(&table->dropped, dir, sibling);
}

void wd_table_drop_all(struct wd_table *table)
{
    if (table->root)
        LIST_INSERT_HEAD(&table->dropped, table->root, sibling);
    table->root = NULL;
}

struct dir *wd_table_reap(struct wd_table *table)
{
    struct dir *dir = LIST_FIRST(&table->dropped), *child;
    if (!dir)
        return NULL;
    while ((child = LIST_FIRST(&dir->children)))
        wd_table_drop(table, child);
    LIST_REMOVE(dir, sibling);
    return dir;
}

void wd_table_free(struct wd_table *table, struct dir *dir)
{
    wd_table_unbind(table, dir);
    table->count--;
    free(dir->name);
    free(dir);
}

bool wd_table_is_live(const struct wd_table *table, const struct dir *dir)
{
    while (dir->parent)
        dir = dir->parent;
    return dir == table->root;
}

bool wd_table_is_under(const struct dir *dir, const struct dir *top)
{
    while (dir && dir != top)
        dir = dir->parent;
    return dir;
}

const char *wd_table_path(const struct dir *dir, const char *name, char *buffer)
{
    char *p = buffer + CHANGE_PATH_MAX;
    *p = '\0';
    for (;;) {
        size_t n = strlen(name);
        if (n > 0) {
            if (*p) {
                if (p == buffer)
                    return NULL;
                *--p = '/';
            }
            if ((size_t)(p - buffer) < n)
                return NULL;
            p -= n;
            memcpy(p, name, n);
        }
        if (!dir)
            return p;
        name = dir->name;
        dir = dir->parent;
    }
}
