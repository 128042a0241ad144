/*
 * version: what a state directory is of, in its file VERSION: format, generation, and the root
 * whose members it coordinates.
 *
 *     r = version_read(state_fd, &version, &err);                 // -ENOENT: not made yet
 *     r = version_create(state_fd, &root, on_nfs, gid, &version, &err);   // or what is there now
 *     r = version_check(&version, &root, &err);                   // may this root's member join?
 *
 *     r = version_lock(state_fd, on_nfs, gid, deadline_ms, &lock_fd, &err);
 *     r = version_replace(state_fd, lock_fd, &version, anew, gid, &err);
 *     close(lock_fd);
 *
 * The file changes only under the lock of VERSION.lock, and appears whole. A root is a file system
 * and the inode of the mounted directory: a restored or copied state directory, or one that is
 * reached by another path or access point, would otherwise coordinate the wrong files. Where either
 * side does not know its file system, the inode alone decides.
 *
 * Threads: safe. Every call but version_check() may hang with the mount. Errors are sentences.
 */
#ifndef LIB_SHARE_VERSION_H
#define LIB_SHARE_VERSION_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/error.h"

enum {
    VERSION_FORMAT = 1,     /* of a state directory that is made new */
    VERSION_READS_FROM = 1, /* formats that this build can live with */
    VERSION_READS_TO = 1,
    VERSION_FILE_SYSTEM_MAX = 63,
};

struct version_root {
    char file_system[VERSION_FILE_SYSTEM_MAX + 1]; /* "fs-..."; "" is unknown */
    uint64_t inode;
};

struct version {
    uint32_t format;
    int64_t generation; /* grows with each reset */
    struct version_root root;
};

/* -ENOENT; -EBADMSG: not a VERSION. */
int version_read(int state_fd, struct version *ret_version, struct error *err);

int version_create(int state_fd, const struct version_root *root, bool direct, int64_t gid,
                   struct version *ret_version, struct error *err);

/* -EPROTONOSUPPORT: a format that this build does not read; -EXDEV: of another root. */
int version_check(const struct version *version, const struct version_root *root,
                  struct error *err);

/* -ETIMEDOUT: somebody else has it. Closing the descriptor unlocks. */
int version_lock(int state_fd, bool direct, int64_t gid, int64_t deadline_ms, int *ret_lock_fd,
                 struct error *err);

/* Under the lock, which is proven first. anew: with a new generation, which is set in version:
 * max(old + 1, the server's seconds). */
int version_replace(int state_fd, int lock_fd, struct version *version, bool anew, int64_t gid,
                    struct error *err);

#endif
