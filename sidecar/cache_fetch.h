/*
 * cache_fetch: a file of the share, looked at or copied whole onto the cache volume.
 *
 *     r = cache_fetch_look(&source, "a/b", &sight);            // what it is now, who may read it
 *     ... two seconds of one's own time later ...
 *     r = cache_fetch_copy(&source, "a/b", &sight.identity, tmp_dir_fd, "7", &stop, &sight);
 *
 * Server time stamps are coarse: two writes within one tick leave the same stamps. What looks the
 * same now as two seconds ago has no write in that tick that is still to come, so a copy that
 * begins now and whose file keeps these stamps until its end is the file. Content is read with
 * O_DIRECT on NFS, past this host's page cache, which is only as good as those stamps.
 *
 *     r = cache_fetch_list(&source, "a", &names, &bytes);      // what is in a directory
 *
 * No symbolic link is followed, no other mount is entered. No descriptor, mapping or link to the
 * source is left. The copy has its final permissions, the source's time of modification and origin
 * (shim/cache_origin.h), and is on the disk (fsync); after a failure there is none.
 *
 * Results: -ESTALE it changed meanwhile, -EACCES see cache_rights.h, -EMEDIUMTYPE it is no regular
 * file, -EXDEV the mount is another one, -ECANCELED stop was set, -ENOSPC or -EDQUOT on the cache
 * volume, else what the file system said. Threads: workers; every call may hang with the mount or
 * with the disk.
 */
#ifndef SIDECAR_CACHE_FETCH_H
#define SIDECAR_CACHE_FETCH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/config.h"
#include "shim/cache_origin.h"
#include "sidecar/cache_rights.h"

struct cache_root {
    uint64_t device, inode; /* of the mount's root */
};

struct cache_source {
    const char *path; /* of the mount */
    struct ids_setting as;
    struct cache_root root;
    bool nfs;
};

struct cache_identity {
    uint64_t inode, size;
    int64_t mtime_ns, ctime_ns;
};

struct cache_sight {
    struct cache_identity identity;
    struct cache_rights rights;
    struct cache_origin origin; /* but for copy_inode */
    int64_t sent_ms;            /* when the server was asked: the file was this then or later */
};

/* Why there is no copy of a file that was to have one. */
enum cache_failure {
    CACHE_FAILED_CHANGED,   /* it was written to */
    CACHE_FAILED_GONE,      /* it is not there, or is no regular file */
    CACHE_FAILED_RIGHTS,    /* not everybody may read it */
    CACHE_FAILED_TOO_LARGE, /* cache.file_max */
    CACHE_FAILED_NO_ROOM,   /* cache.size, cache.files, cache.min_free, or the disk is full */
    CACHE_FAILED_ERROR,
    CACHE_FAILURES
};

extern const char *const cache_failure_names[];

enum cache_failure cache_failure_of(int result); /* one of those above */

bool cache_identity_equal(const struct cache_identity *a, const struct cache_identity *b);

int cache_fetch_root(const char *mount_path, struct cache_root *ret_root);
int cache_fetch_look(const struct cache_source *source, const char *path,
                     struct cache_sight *ret_sight);
/* Files as "fNAME" and directories as "dNAME", each with its NUL; free() it. -E2BIG: they take more
 * than CACHE_LIST_MAX bytes. */
enum { CACHE_LIST_MAX = 16 * 1024 * 1024 };
int cache_fetch_list(const struct cache_source *source, const char *path, char **ret_names,
                     size_t *ret_bytes);

int cache_fetch_copy(const struct cache_source *source, const char *path,
                     const struct cache_identity *expected, int dir_fd, const char *name,
                     const atomic_bool *stop, struct cache_sight *ret_sight);

#endif
