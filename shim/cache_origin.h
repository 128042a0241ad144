/*
 * cache_origin: what fstat would say of the source, kept with a copy as an extended attribute, so
 * that it goes wherever a descriptor of the copy goes, and stays when the copy has been evicted.
 *
 *     cache_origin_keep(fd, &origin);             // the sidecar; fd is open for writing
 *
 * Size and time of modification are those of the copy itself. With its name it fits into an inode
 * of 256 bytes of ext4. A volume without such attributes, such as tmpfs before Linux 6.6, keeps
 * none: that is no error. Whoever reads it (shim/origin.c) believes it only of the sidecar's files.
 * Threads: safe.
 */
#ifndef SHIM_CACHE_ORIGIN_H
#define SHIM_CACHE_ORIGIN_H

#include <stdint.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#define CACHE_ORIGIN "user.efs"

struct cache_origin {
    uint64_t place;      /* for the sidecar alone: sidecar/cache_record.h */
    uint64_t copy_inode; /* of the file that has it: what was taken along to another says nothing */
    uint64_t dev, inode;
    int64_t ctime_ns;
    uint32_t mode, links, uid, gid;
};

_Static_assert(sizeof(struct cache_origin) == 56, "no more than an inode has room for");

static inline void cache_origin_keep(int fd, const struct cache_origin *origin)
{
    struct stat copy;
    struct cache_origin kept = *origin;
    if (fstat(fd, &copy) < 0)
        return;
    kept.copy_inode = copy.st_ino;
    (void)!fsetxattr(fd, CACHE_ORIGIN, &kept, sizeof(kept), 0);
}

#endif
