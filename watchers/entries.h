/*
 * entries: the names in a directory of a snapshot, sorted, in chunks of up to 4 KiB.
 *
 * An entry takes 10 bytes and its name: length, flags, a value of 8 bytes that is the owner's.
 *
 *     place = entries_find(&entries, name);                // .found, or where it would be
 *     r = entries_insert(&entries, &total, name, &entry);  // flags 0, its value not set
 *     entries_erase(&entries, &total, place);
 *     place = entries_behind(&entries, entries_find(&entries, ""));
 *     for (; entries_forward(&entries, &place); place = entries_behind(&entries, place))
 *         ... entries_at(&entries, place) ...
 *
 * Pointers to entries and places are good until the next insertion or removal.
 *
 * Ownership: struct entries, all zero while it is empty, owns its chunks; entries_release() frees
 * them. Threads: one at a time. Errors: -ENOMEM, -EDQUOT (total.max are kept already),
 * -ENAMETOOLONG.
 */
#ifndef WATCHERS_ENTRIES_H
#define WATCHERS_ENTRIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ENTRY_LENGTH = 0, ENTRY_FLAGS = 1, ENTRY_VALUE = 2, ENTRY_NAME = 10 };

struct entries {
    struct entries_chunk **chunks;
    uint32_t n_chunks;
};

/* Of all directories together. */
struct entries_total {
    size_t count, max, bytes;
};

struct entries_place {
    uint32_t chunk;
    uint16_t at;
    bool found;
};

struct entries_place entries_find(const struct entries *entries, const char *name);
uint8_t *entries_at(const struct entries *entries, struct entries_place place);

/* Behind the entry that place is of; place itself if it was not found. */
struct entries_place entries_behind(const struct entries *entries, struct entries_place place);

/* To the first entry at or after place; false: there is none. */
bool entries_forward(const struct entries *entries, struct entries_place *place);

int entries_insert(struct entries *entries, struct entries_total *total, const char *name,
                   uint8_t **ret_entry);
void entries_erase(struct entries *entries, struct entries_total *total,
                   struct entries_place place);

/* What is in them is counted no longer in total.bytes, but still in total.count. */
void entries_release(struct entries *entries, struct entries_total *total);

#endif
