#include "watchers/names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int names_enable(struct names *names)
{
    struct name_entry **buckets = calloc(NAMES_BUCKETS, sizeof(struct name_entry *));
    if (!buckets)
        return -ENOMEM;
    *names = (struct names){.buckets = buckets, .max = NAMES_MAX};
    return 0;
}

void names_release(struct names *names)
{
    free(names->buckets);
    *names = (struct names){0};
}

static struct name_entry *find(const struct names *names, const struct dir *dir, const char *name,
                               uint32_t hash)
{
    struct name_entry *entry = names->buckets[hash % NAMES_BUCKETS];
    while (entry && (entry->hash != hash || entry->dir != dir || strcmp(entry->name, name) != 0))
        entry = entry->hash_next;
    return entry;
}

static void unlink_entry(struct names *names, struct name_entry *entry)
{
    struct name_entry **e = &names->buckets[entry->hash % NAMES_BUCKETS];
    while (*e != entry)
        e = &(*e)->hash_next;
    *e = entry->hash_next;
    LIST_REMOVE(entry, in_dir);
    names->count--;
    free(entry);
}

void names_forget(struct names *names, struct dir *dir)
{
    struct name_entry *entry;
    while ((entry = LIST_FIRST(&dir->names)))
        unlink_entry(names, entry);
    dir->names_known = false;
}

void names_add(struct names *names, struct dir *dir, const char *name)
{
    if (!names->buckets || !dir->names_known)
        return;
    uint32_t hash = name_hash(dir, name);
    struct name_entry *entry = find(names, dir, name, hash);
    if (entry) {
        entry->scan = dir->names_scan;
        return;
    }
    size_t name_bytes = strlen(name) + 1;
    entry = names->count < names->max ? malloc(sizeof(*entry) + name_bytes) : NULL;
    if (!entry) { /* half a list is no use */
        names_forget(names, dir);
        return;
    }
    *entry = (struct name_entry){.dir = dir, .hash = hash, .scan = dir->names_scan};
    memcpy(entry->name, name, name_bytes);
    struct name_entry **bucket = &names->buckets[hash % NAMES_BUCKETS];
    entry->hash_next = *bucket;
    *bucket = entry;
    LIST_INSERT_HEAD(&dir->names, entry, in_dir);
    names->count++;
}

void names_remove(struct names *names, struct dir *dir, const char *name)
{
    if (!names->buckets)
        return;
    struct name_entry *entry = find(names, dir, name, name_hash(dir, name));
    if (entry)
        unlink_entry(names, entry);
}

void names_begin_scan(struct names *names, struct dir *dir)
{
    if (LIST_EMPTY(&dir->names))
        dir->names_known = names->buckets; /* from here on every name is seen */
    dir->names_scan++;
}

const char *names_unseen(const struct names *names, const struct dir *dir)
{
    const struct name_entry *entry;
    LIST_FOREACH(entry, &dir->names, in_dir)
    {
        if (entry->scan != dir->names_scan)
            return entry->name;
    }
    return NULL;
}
