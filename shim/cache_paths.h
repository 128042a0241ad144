/*
 * cache_paths: the words that the sidecar and libefscache.so share: paths of files beneath a mount,
 * their hashes, and CACHE/.control/mounts, which is "efs-cache 1" and then a line
 * "NAME /MOUNT/PATH" per mount.
 *
 *     size_t n = cache_path_join(buf, length, sizeof(buf), path);     // 0: only EFS can serve it
 *     uint64_t hash = cache_hash(path, length);
 *     int n = cache_mounts_parse(text, length, mounts);               // -1: nothing of it is used
 *
 * Nothing here allocates, blocks, or calls more than memcpy and memcmp. Ownership: mounts point
 * into the text. Threads: safe.
 */
#ifndef SHIM_CACHE_PATHS_H
#define SHIM_CACHE_PATHS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define CACHE_MOUNTS_FILE "mounts"
#define CACHE_MOUNTS_HEAD "efs-cache 1\n"

enum {
    CACHE_MOUNTS_MAX = 32,
    CACHE_MOUNTS_BYTES_MAX = 16 * 1024,
    CACHE_NAME_MAX = 200,
    CACHE_PATH_MAX = 480, /* longer ones are not cached; a multiple of 8 */
};

/* ---- paths ---- */

/* MurmurHash64A, eight bytes per step. Never 0. Who finds two paths with one hash gains nothing:
 * the copy is opened by its path. */
static inline uint64_t cache_hash(const char *path, size_t length)
{
    const uint64_t m = UINT64_C(0xc6a4a7935bd1e995);
    uint64_t h = UINT64_C(0x8445d61a4e774912) ^ (length * m);
    uint64_t word = 0;
    for (; length >= 8; path += 8, length -= 8) {
        memcpy(&word, path, 8);
        word *= m;
        word ^= word >> 47;
        h = (h ^ (word * m)) * m;
    }
    if (length > 0) {
        for (word = 0; length > 0; length--)
            word = (word << 8) | (uint8_t)path[length - 1];
        h = (h ^ word) * m;
    }
    h = (h ^ (h >> 47)) * m;
    h ^= h >> 47;
    return h ? h : 1;
}

/* Appends the elements of `path` to the `length` bytes in buf, each behind a '/', without "." and
 * empty ones. Returns the new length, terminated, or 0: "..", no element, "/" or "/." at the end
 * (which asks for a directory), or too long for `size`. */
static inline size_t cache_path_join(char *buf, size_t length, size_t size, const char *path)
{
    const size_t start = length;
    for (;;) {
        while (*path == '/')
            path++;
        if (!*path || length + 2 > size)
            return 0; /* nothing at all, or a slash at the end */
        const size_t slash = length;
        buf[length++] = '/';
        for (; *path && *path != '/' && length + 1 < size; path++)
            buf[length++] = *path;
        const size_t n = length - slash - 1;
        bool dot = n == 1 && buf[slash + 1] == '.';
        if ((*path && *path != '/') || (n == 2 && buf[slash + 1] == '.' && buf[slash + 2] == '.'))
            return 0;
        if (dot)
            length = slash;
        if (!*path) {
            buf[length] = '\0';
            return dot || length == start ? 0 : length;
        }
    }
}

/* Is it relative, without empty elements, "." and "..", and short enough? */
static inline bool cache_path_valid(const char *path, size_t length)
{
    size_t n = 0; /* bytes in this element */
    bool dots = true;
    if (length == 0 || length > CACHE_PATH_MAX)
        return false;
    for (size_t i = 0; i < length; i++) {
        if (path[i] == '\0')
            return false;
        if (path[i] == '/') {
            if (n == 0 || (dots && n <= 2))
                return false;
            n = 0;
            dots = true;
            continue;
        }
        dots = dots && path[i] == '.';
        n++;
    }
    return n > 0 && !(dots && n <= 2);
}

/* ---- the list of mounts ---- */

struct cache_mount_name {
    const char *name, *path; /* into the text, not terminated */
    size_t name_length, path_length;
};

static inline bool cache_mount_name_valid(const char *name, size_t length)
{
    if (length == 0 || length > CACHE_NAME_MAX || name[0] == '.')
        return false;
    for (size_t i = 0; i < length; i++)
        if ((uint8_t)name[i] <= ' ' || name[i] == '/' || name[i] == 0x7f)
            return false;
    return true;
}

/* Returns how many mounts the text has, or -1: then nothing of it is to be used. */
static inline int cache_mounts_parse(const char *text, size_t length,
                                     struct cache_mount_name mounts[CACHE_MOUNTS_MAX])
{
    const size_t head = sizeof(CACHE_MOUNTS_HEAD) - 1;
    const char *end = text + length;
    int n = 0;
    if (length < head || length > CACHE_MOUNTS_BYTES_MAX ||
        memcmp(text, CACHE_MOUNTS_HEAD, head) != 0)
        return -1;
    for (text += head; text < end; n++) {
        const char *space = text;
        while (space < end && *space != ' ' && *space != '\n')
            space++;
        const char *line_end = space;
        while (line_end < end && *line_end != '\n')
            line_end++;
        if (n == CACHE_MOUNTS_MAX || line_end == end || line_end - space < 3 || space[1] != '/')
            return -1;
        mounts[n] = (struct cache_mount_name){.name = text,
                                              .name_length = (size_t)(space - text),
                                              .path = space + 1,
                                              .path_length = (size_t)(line_end - space - 1)};
        if (!cache_mount_name_valid(text, mounts[n].name_length) ||
            !cache_path_valid(mounts[n].path + 1, mounts[n].path_length - 1))
            return -1;
        text = line_end + 1;
    }
    return n;
}

#endif
