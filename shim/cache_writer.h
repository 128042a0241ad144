/*
 * cache_writer: the writing side of shim/cache_layout.h, for the sidecar and for tests.
 *
 *     r = cache_files_create(control_fd, "data", slots, serial, dev, inode, &map);
 *     r = cache_mounts_write(control_fd, mounts, n);           // afterwards: it makes them known
 *     slot = cache_slot_find(map, hash);
 *     cache_slot_put(map, (uint32_t)slot, &values);           // the copy is in place
 *     cache_slot_drop(map, slot);                             // then unlink the copy
 *     munmap(map, map->size_bytes);
 *
 * cache_files_create() makes new files under temporary names and renames them; it retires the map
 * that was there, so that applications which have it mapped look for the new one. Only one sidecar
 * may use a directory: its lock is the caller's business, as are the copies.
 *
 * Threads: a map has one writer at a time. Errors: 0 or -errno.
 */
#ifndef SHIM_CACHE_WRITER_H
#define SHIM_CACHE_WRITER_H

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "shim/cache_layout.h"

struct cache_values {
    enum cache_mode mode;
    uint64_t hash;
    uint64_t inode, size_bytes;
    int64_t mtime_ns, ctime_ns;
    uint64_t fresh_until_ms; /* CACHE_FOREVER unless bounded */
    uint32_t mark;           /* read before the source was */
};

/* The slot of this hash, else a free one where readers look for it, else -ENOSPC. */
static inline int cache_slot_find(const struct cache_map *map, uint32_t slots, uint64_t hash)
{
    int empty = -ENOSPC;
    for (uint32_t i = 0; i < CACHE_PROBES; i++) {
        int slot = (int)(((uint32_t)hash + i) & (slots - 1));
        const struct cache_slot *entry = &map->entries[slot];
        if (entry->hash == hash)
            return slot;
        if (entry->hash == 0 && empty < 0)
            empty = slot;
        if (entry->sequence == 0)
            break;
    }
    return empty;
}

static inline void cache_slot_begin(struct cache_slot *entry)
{
    cache_store(&entry->sequence, entry->sequence | 1);
    __atomic_thread_fence(__ATOMIC_RELEASE);
}

/* Never back to 0, which says that a slot was never used. */
static inline void cache_slot_end(struct cache_slot *entry)
{
    uint32_t next = entry->sequence + 1;
    cache_store_release(&entry->sequence, next ? next : 2);
}

static inline void cache_slot_put(struct cache_map *map, uint32_t slot,
                                  const struct cache_values *values)
{
    struct cache_slot *entry = &map->entries[slot];
    cache_slot_begin(entry);
    cache_store(&entry->hash, values->hash);
    cache_store(&entry->mode, (uint32_t)values->mode);
    cache_store(&entry->inode, values->inode);
    cache_store(&entry->size_bytes, values->size_bytes);
    cache_store(&entry->mtime_ns, values->mtime_ns);
    cache_store(&entry->ctime_ns, values->ctime_ns);
    cache_store(&entry->fresh_until_ms, values->fresh_until_ms);
    cache_store(&entry->mark, values->mark);
    cache_slot_end(entry);
}

/* From its return on no application takes the copy for valid that has not done so before. */
static inline void cache_slot_drop(struct cache_map *map, uint32_t slot)
{
    cache_slot_put(map, slot, &(struct cache_values){.mode = CACHE_OFF});
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* The source was found unchanged by a statx that was sent after `mark` had been read. */
static inline void cache_slot_renew(struct cache_map *map, uint32_t slot, uint64_t fresh_until_ms,
                                    uint32_t mark)
{
    cache_store(&map->entries[slot].fresh_until_ms, fresh_until_ms);
    cache_store(&map->entries[slot].mark, mark);
}

/* A new file of this size that has all its blocks, open for writing. */
static inline int cache_file_make(int control_fd, const char *name, uint64_t bytes, mode_t mode,
                                  int *ret_fd)
{
    if (unlinkat(control_fd, name, 0) < 0 && errno != ENOENT)
        return -errno;
    _cleanup_close_ int fd =
        openat(control_fd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (fd < 0)
        return -errno;
    if (fchmod(fd, mode) < 0)
        return -errno;
    int r = posix_fallocate(fd, 0, (off_t)bytes);
    if (r != 0)
        return -r;
    *ret_fd = take_fd(&fd);
    return 0;
}

static inline void cache_map_retire(int control_fd, const char *map_name)
{
    const uint32_t retired = 1;
    _cleanup_close_ int fd = openat(control_fd, map_name, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0)
        (void)!pwrite(fd, &retired, sizeof(retired), offsetof(struct cache_map, retired));
}

/* `slots` is a power of two, at least twice the files that will be cached. The .app file is
 * renamed first: an application that finds the new map finds it as well. */
static inline int cache_files_create(int control_fd, const char *name, uint32_t slots,
                                     uint64_t serial, uint64_t mount_dev, uint64_t mount_inode,
                                     struct cache_map **ret_map)
{
    char map_name[CACHE_NAME_MAX + 8], app_name[CACHE_NAME_MAX + 8];
    char new_map[CACHE_NAME_MAX + 16], new_app[CACHE_NAME_MAX + 16];
    const uint64_t magic = CACHE_MAP_MAGIC; /* struct cache_app is too large for a stack */
    _cleanup_close_ int map_fd = -1, app_fd = -1;
    if (!cache_mount_name_valid(name, strlen(name)) || slots < CACHE_SLOTS_MIN ||
        slots > CACHE_SLOTS_MAX || (slots & (slots - 1)) != 0)
        return -EINVAL;
    snprintf(map_name, sizeof(map_name), "%s.map", name);
    snprintf(app_name, sizeof(app_name), "%s.app", name);
    snprintf(new_map, sizeof(new_map), ".%s.map.new", name);
    snprintf(new_app, sizeof(new_app), ".%s.app.new", name);
    int r = cache_file_make(control_fd, new_app, cache_app_bytes(slots), 0666, &app_fd);
    if (r == 0 && pwrite(app_fd, &magic, sizeof(magic), 0) != sizeof(magic))
        r = -EIO;
    if (r == 0)
        r = cache_file_make(control_fd, new_map, cache_map_bytes(slots), 0644, &map_fd);
    if (r < 0)
        return r;
    struct cache_map *map =
        mmap(NULL, cache_map_bytes(slots), PROT_READ | PROT_WRITE, MAP_SHARED, map_fd, 0);
    if (map == MAP_FAILED)
        return -errno;
    map->size_bytes = cache_map_bytes(slots);
    map->serial = serial;
    map->mount_dev = mount_dev;
    map->mount_inode = mount_inode;
    map->slots = slots;
    map->magic = CACHE_MAP_MAGIC;
    cache_map_retire(control_fd, map_name);
    if (renameat(control_fd, new_app, control_fd, app_name) < 0 ||
        renameat(control_fd, new_map, control_fd, map_name) < 0) {
        r = -errno;
        munmap(map, cache_map_bytes(slots));
        return r;
    }
    *ret_map = map;
    return 0;
}

/* names[i] and paths[i] of n mounts. -EINVAL: a name or a path that the format cannot hold. */
static inline int cache_mounts_write(int control_fd, const char *const *names,
                                     const char *const *paths, size_t n)
{
    struct cache_mount_name parsed[CACHE_MOUNTS_MAX];
    char text[CACHE_MOUNTS_BYTES_MAX] = CACHE_MOUNTS_HEAD;
    size_t length = strlen(text);
    for (size_t i = 0; i < n; i++) {
        int k = snprintf(text + length, sizeof(text) - length, "%s %s\n", names[i], paths[i]);
        if (k < 0 || (size_t)k >= sizeof(text) - length)
            return -EINVAL;
        length += (size_t)k;
    }
    if (cache_mounts_parse(text, length, parsed) != (int)n)
        return -EINVAL;
    static const char temporary[] = "." CACHE_MOUNTS_FILE ".new";
    _cleanup_close_ int fd =
        openat(control_fd, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (fd < 0)
        return -errno;
    ssize_t written = write(fd, text, length);
    if (written != (ssize_t)length)
        return written < 0 ? -errno : -EIO;
    if (fchmod(fd, 0644) < 0 || renameat(control_fd, temporary, control_fd, CACHE_MOUNTS_FILE) < 0)
        return -errno;
    return 0;
}

#endif
