#include "watchers/entries.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum {
    CHUNK_MAX = 4096,
    POINTER = sizeof(void *),
};

struct entries_chunk {
    uint16_t used, size;
    uint8_t data[];
};

static size_t entry_size(const uint8_t *entry)
{
    return ENTRY_NAME + (size_t)entry[ENTRY_LENGTH];
}

static int compare(const uint8_t *entry, const char *name, size_t length)
{
    size_t own = entry[ENTRY_LENGTH];
    int r = memcmp(entry + ENTRY_NAME, name, own < length ? own : length);
    return r != 0 ? r : (own > length) - (own < length);
}

struct entries_place entries_find(const struct entries *entries, const char *name)
{
    size_t length = strlen(name);
    uint32_t low = 0, high = entries->n_chunks;
    while (high - low > 1) { /* the last chunk that begins at or before name */
        uint32_t middle = low + (high - low) / 2;
        if (compare(entries->chunks[middle]->data, name, length) <= 0)
            low = middle;
        else
            high = middle;
    }
    struct entries_place place = {.chunk = low};
    if (entries->n_chunks == 0)
        return place;
    const struct entries_chunk *chunk = entries->chunks[low];
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

uint8_t *entries_at(const struct entries *entries, struct entries_place place)
{
    return entries->chunks[place.chunk]->data + place.at;
}

bool entries_forward(const struct entries *entries, struct entries_place *place)
{
    if (place->chunk < entries->n_chunks && place->at >= entries->chunks[place->chunk]->used) {
        place->chunk++;
        place->at = 0;
    }
    place->found = place->chunk < entries->n_chunks;
    return place->found;
}

struct entries_place entries_behind(const struct entries *entries, struct entries_place place)
{
    if (place.found)
        place.at = (uint16_t)(place.at + entry_size(entries_at(entries, place)));
    return place;
}

/* Grows in steps: most directories are small. */
static int make_room(struct entries_total *total, struct entries_chunk **chunk, size_t needed)
{
    size_t size = (*chunk)->size;
    while (size < needed)
        size = size + size / 2 + 64;
    if (size > CHUNK_MAX)
        size = CHUNK_MAX;
    struct entries_chunk *grown = realloc(*chunk, sizeof(*grown) + size);
    if (!grown)
        return -ENOMEM;
    total->bytes += size - grown->size;
    grown->size = (uint16_t)size;
    *chunk = grown;
    return 0;
}

static int add_chunk(struct entries *entries, struct entries_total *total, uint32_t at, size_t size)
{
    struct entries_chunk **chunks = realloc(entries->chunks, (entries->n_chunks + 1) * POINTER);
    if (!chunks)
        return -ENOMEM;
    entries->chunks = chunks;
    struct entries_chunk *chunk = malloc(sizeof(*chunk) + size);
    if (!chunk)
        return -ENOMEM;
    *chunk = (struct entries_chunk){.size = (uint16_t)size};
    memmove(&chunks[at + 1], &chunks[at], (entries->n_chunks - at) * POINTER);
    chunks[at] = chunk;
    entries->n_chunks++;
    total->bytes += sizeof(*chunk) + size + POINTER;
    return 0;
}

static void drop_chunk(struct entries *entries, struct entries_total *total, uint32_t at)
{
    total->bytes -= sizeof(*entries->chunks[at]) + entries->chunks[at]->size + POINTER;
    free(entries->chunks[at]);
    entries->n_chunks--;
    memmove(&entries->chunks[at], &entries->chunks[at + 1], (entries->n_chunks - at) * POINTER);
}

/* What is behind the place goes to a chunk of its own. At the end nothing moves: names that come
 * in order fill their chunks. */
static int split(struct entries *entries, struct entries_total *total, struct entries_place *place,
                 size_t needed)
{
    struct entries_chunk *chunk = entries->chunks[place->chunk];
    size_t from = 0;
    if (place->at == chunk->used) {
        from = chunk->used;
    } else {
        while (from < chunk->used / 2)
            from += entry_size(chunk->data + from);
    }
    size_t moved = chunk->used - from, size = moved + needed;
    int r = add_chunk(entries, total, place->chunk + 1, size > CHUNK_MAX ? CHUNK_MAX : size);
    if (r < 0)
        return r;
    struct entries_chunk *behind = entries->chunks[place->chunk + 1];
    memcpy(behind->data, chunk->data + from, moved);
    behind->used = (uint16_t)moved;
    chunk->used = (uint16_t)from;
    if (place->at > from || from == place->at) {
        place->chunk++;
        place->at = (uint16_t)(place->at - from);
    }
    return 0;
}

int entries_insert(struct entries *entries, struct entries_total *total, const char *name,
                   uint8_t **ret_entry)
{
    size_t length = strlen(name), needed = ENTRY_NAME + length;
    if (length == 0 || length > NAME_MAX)
        return -ENAMETOOLONG;
    if (total->count >= total->max)
        return -EDQUOT;
    struct entries_place place = entries_find(entries, name);
    int r = entries->n_chunks == 0 ? add_chunk(entries, total, 0, needed) : 0;
    if (r == 0 && entries->chunks[place.chunk]->used + needed > CHUNK_MAX)
        r = split(entries, total, &place, needed);
    if (r < 0)
        return r;
    struct entries_chunk **chunk = &entries->chunks[place.chunk];
    if ((*chunk)->used + needed > (*chunk)->size)
        r = make_room(total, chunk, (*chunk)->used + needed);
    if (r < 0)
        return r;
    uint8_t *entry = (*chunk)->data + place.at;
    memmove(entry + needed, entry, (size_t)(*chunk)->used - place.at);
    (*chunk)->used = (uint16_t)((*chunk)->used + needed);
    entry[ENTRY_LENGTH] = (uint8_t)length;
    entry[ENTRY_FLAGS] = 0;
    memcpy(entry + ENTRY_NAME, name, length);
    total->count++;
    *ret_entry = entry;
    return 0;
}

void entries_erase(struct entries *entries, struct entries_total *total, struct entries_place place)
{
    struct entries_chunk *chunk = entries->chunks[place.chunk];
    uint8_t *entry = chunk->data + place.at;
    size_t size = entry_size(entry);
    memmove(entry, entry + size, chunk->used - place.at - size);
    chunk->used = (uint16_t)(chunk->used - size);
    total->count--;
    if (chunk->used == 0)
        drop_chunk(entries, total, place.chunk);
}

void entries_release(struct entries *entries, struct entries_total *total)
{
    while (entries->n_chunks > 0)
        drop_chunk(entries, total, entries->n_chunks - 1);
    free(entries->chunks);
}
