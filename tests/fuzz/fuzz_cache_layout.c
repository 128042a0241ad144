/*
 * The control files of the cache as one input: a byte that says which.
 *
 *     m TEXT      the list of mounts
 *     t BYTES     the first bytes of a map with 64 slots, then of its .app file: looks, marks,
 * misses
 *
 * Refused is a list that does not parse, and a map whose head is none.
 */
#include <string.h>

#include "shim/cache_layout.h"
#include "tests/fuzz/driver.h"

enum { SLOTS = CACHE_SLOTS_MIN };

static int try_mounts(const char *text, size_t length)
{
    struct cache_mount_name mounts[CACHE_MOUNTS_MAX];
    char *copy = malloc(length ? length : 1); /* so that its end is guarded */
    MUST(copy);
    memcpy(copy, text, length);
    int n = cache_mounts_parse(copy, length, mounts);
    MUST(n >= -1 && n <= CACHE_MOUNTS_MAX);
    for (int i = 0; i < n; i++) {
        char path[CACHE_PATH_MAX + 2];
        MUST(mounts[i].path_length < sizeof(path) && mounts[i].path[0] == '/');
        memcpy(path, mounts[i].path, mounts[i].path_length);
        path[mounts[i].path_length] = '\0';
        MUST(cache_path_valid(path + 1, mounts[i].path_length - 1));
        MUST(mounts[i].name_length <= CACHE_NAME_MAX &&
             !memchr(mounts[i].name, '/', mounts[i].name_length));
    }
    free(copy);
    return n < 0 ? -1 : 0;
}

static void try_looks(struct cache_view *view)
{
    for (uint32_t i = 0; i < view->slots; i++) {
        const uint64_t hash = view->map->entries[i].hash;
        struct cache_look look = {0};
        enum cache_answer answer = cache_look(view, hash, &look);
        if (answer != CACHE_FOUND && answer != CACHE_MARKED)
            continue;
        MUST(look.slot < view->slots && (look.sequence & 1) == 0);
        MUST(view->map->entries[look.slot].hash == hash);
        MUST(look.mode == CACHE_IMMUTABLE || look.mode == CACHE_VALIDATE ||
             look.mode == CACHE_BOUNDED);
        MUST(cache_look_again(view, hash, &look) == (answer == CACHE_FOUND));
        (void)cache_is_fresh(&look, look.fresh_until_ms);
        cache_visit(view, look.slot);
        if (answer == CACHE_FOUND) {
            cache_mark(view->app, hash);
            MUST(!cache_look_again(view, hash, &look));
        }
    }
}

static void try_misses(struct cache_app *app)
{
    uint32_t next = app->ring_next;
    for (uint32_t i = 0; i < CACHE_RING; i++) {
        struct cache_miss miss = app->ring[(next + i) % CACHE_RING];
        if (!cache_miss_valid(&miss, next + i))
            continue;
        char joined[CACHE_PATH_MAX + 2];
        char path[CACHE_PATH_MAX + 1];
        memcpy(path, miss.path, miss.length);
        path[miss.length] = '\0';
        MUST(cache_path_join(joined, 0, sizeof(joined), path) == miss.length + 1);
        MUST(strcmp(joined + 1, path) == 0);
    }
    cache_miss_push(app, "a/b", 3, cache_hash("a/b", 3));
    MUST(cache_miss_valid(&app->ring[next % CACHE_RING], next));
}

static int try_tables(const char *bytes, size_t length)
{
    const size_t map_bytes = cache_map_bytes(SLOTS), app_bytes = cache_app_bytes(SLOTS);
    struct cache_map *map = calloc(1, map_bytes);
    struct cache_app *app = calloc(1, app_bytes);
    MUST(map && app);
    memcpy(map, bytes, length < map_bytes ? length : map_bytes);
    if (length > map_bytes)
        memcpy(app, bytes + map_bytes,
               length - map_bytes < app_bytes ? length - map_bytes : app_bytes);
    struct cache_view view = {.map = map, .app = app, .slots = cache_map_slots(map, map_bytes)};
    MUST(view.slots == 0 || view.slots == SLOTS);
    if (view.slots != 0)
        try_looks(&view);
    try_misses(app);
    free(map);
    free(app);
    return view.slots != 0 ? 0 : -1;
}

int fuzz_parse(const char *text, size_t length)
{
    if (length == 0)
        return -1;
    return text[0] == 'm'   ? try_mounts(text + 1, length - 1)
           : text[0] == 't' ? try_tables(text + 1, length - 1)
                            : -1;
}
