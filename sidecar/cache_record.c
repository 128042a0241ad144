#include "sidecar/cache_record.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "lib/config.h"
#include "shim/cache_layout.h"
#include "shim/cache_origin.h"

uint64_t cache_record_place(const struct cache_source *source, const char *path, uint64_t size,
                            int64_t mtime_ns)
{
    char text[CONFIG_TEXT_MAX + CACHE_PATH_MAX + 72];
    int n =
        snprintf(text, sizeof(text), "%llu %llu %lld %s/%s", (unsigned long long)source->root.inode,
                 (unsigned long long)size, (long long)mtime_ns, source->path, path);
    return cache_hash(text, (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1);
}

int cache_record_get(int fd, const struct cache_source *source, const char *path,
                     struct cache_identity *ret_identity)
{
    struct stat copy;
    struct cache_origin origin;
    if (fstat(fd, &copy) < 0 ||
        fgetxattr(fd, CACHE_ORIGIN, &origin, sizeof(origin)) != sizeof(origin))
        return -ENODATA;
    const struct cache_identity identity = {
        .inode = origin.inode,
        .size = (uint64_t)copy.st_size,
        .mtime_ns = copy.st_mtim.tv_sec * INT64_C(1000000000) + copy.st_mtim.tv_nsec,
        .ctime_ns = origin.ctime_ns,
    };
    if (origin.copy_inode != copy.st_ino || origin.dev != source->root.device ||
        origin.place != cache_record_place(source, path, identity.size, identity.mtime_ns))
        return -ENODATA;
    *ret_identity = identity;
    return 0;
}
