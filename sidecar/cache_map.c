#include "sidecar/cache_map.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "shim/cache_writer.h"

struct cache_link {
    struct cache_map *map;
    uint32_t slots;
    int app_fd;
    uint32_t ring_at; /* the next miss that is read */
};

uint32_t cache_map_slots_for(int64_t files)
{
    uint32_t slots = CACHE_SLOTS_MIN;
    while (slots < 2 * files && slots < CACHE_SLOTS_MAX)
        slots *= 2;
    return slots;
}

/* 0 where nothing can be read. */
static uint32_t read_u32(const struct cache_link *link, size_t offset)
{
    uint32_t value;
    return pread(link->app_fd, &value, sizeof(value), (off_t)offset) == sizeof(value) ? value : 0;
}

int cache_map_open(int control_fd, const char *name, uint32_t slots, const struct cache_root *root,
                   struct cache_link **ret_link)
{
    char app_name[CACHE_NAME_MAX + 8];
    uint64_t serial;
    if (getrandom(&serial, sizeof(serial), 0) != sizeof(serial))
        return -EIO;
    _cleanup_free_ struct cache_link *link = calloc(1, sizeof(*link));
    if (!link)
        return -ENOMEM;
    link->slots = slots;
    int r =
        cache_files_create(control_fd, name, slots, serial, root->device, root->inode, &link->map);
    if (r < 0)
        return r;
    snprintf(app_name, sizeof(app_name), "%s.app", name);
    link->app_fd = openat(control_fd, app_name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    if (link->app_fd < 0) {
        r = -errno;
        munmap(link->map, cache_map_bytes(slots));
        return r;
    }
    *ret_link = take_ptr(link);
    return 0;
}

void cache_map_close(struct cache_link *link)
{
    if (!link)
        return;
    munmap(link->map, cache_map_bytes(link->slots));
    close(link->app_fd);
    free(link);
}

void cache_map_put(struct cache_link *link, uint32_t slot, uint64_t hash, enum cache_mode mode,
                   const struct cache_identity *identity, uint64_t fresh_until_ms, uint32_t mark)
{
    const struct cache_values values = {
        .mode = mode,
        .hash = hash,
        .inode = identity->inode,
        .size_bytes = identity->size,
        .mtime_ns = identity->mtime_ns,
        .ctime_ns = identity->ctime_ns,
        .fresh_until_ms = fresh_until_ms,
        .mark = mark,
    };
    cache_slot_put(link->map, slot, &values);
}

void cache_map_renew(struct cache_link *link, uint32_t slot, uint64_t fresh_until_ms, uint32_t mark)
{
    cache_slot_renew(link->map, slot, fresh_until_ms, mark);
}

void cache_map_drop(struct cache_link *link, uint32_t slot)
{
    cache_slot_drop(link->map, slot);
}

uint32_t cache_map_mark(const struct cache_link *link, uint64_t hash)
{
    return read_u32(link, offsetof(struct cache_app, marks) + (hash >> 48) * sizeof(uint32_t));
}

uint32_t cache_map_all(const struct cache_link *link)
{
    return read_u32(link, offsetof(struct cache_app, all));
}

void cache_map_caught_up(struct cache_link *link, uint32_t all)
{
    cache_store_release(&link->map->all_mark, all);
}

bool cache_map_take_visit(struct cache_link *link, uint32_t slot)
{
    const off_t offset = (off_t)(offsetof(struct cache_app, visited) + slot);
    uint8_t visited;
    if (pread(link->app_fd, &visited, 1, offset) != 1 || !visited)
        return false;
    visited = 0;
    return pwrite(link->app_fd, &visited, 1, offset) == 1;
}

bool cache_map_next_miss(struct cache_link *link, char path[CACHE_PATH_MAX + 1], uint64_t *ret_hash)
{
    struct cache_miss miss;
    uint32_t next = read_u32(link, offsetof(struct cache_app, ring_next));
    if (next - link->ring_at > CACHE_RING) /* those before were written over */
        link->ring_at = next - CACHE_RING;
    while (link->ring_at != next) {
        uint32_t position = link->ring_at++;
        size_t offset =
            offsetof(struct cache_app, ring) + position % CACHE_RING * sizeof(struct cache_miss);
        if (pread(link->app_fd, &miss, sizeof(miss), (off_t)offset) != sizeof(miss) ||
            !cache_miss_valid(&miss, position))
            continue;
        memcpy(path, miss.path, miss.length);
        path[miss.length] = '\0';
        *ret_hash = miss.hash;
        return true;
    }
    return false;
}

void cache_map_counts(const struct cache_link *link, uint64_t ret_counts[CACHE_COUNTS])
{
    struct cache_counters counters[CACHE_SHARDS] = {0};
    ssize_t n = pread(link->app_fd, counters, sizeof(counters),
                      (off_t)offsetof(struct cache_app, counters));
    for (enum cache_count what = 0; what < CACHE_COUNTS; what++)
        ret_counts[what] = n == (ssize_t)sizeof(counters) ? cache_counted(counters, what) : 0;
}
