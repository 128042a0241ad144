/*
 * cache_rights: who may read a copy: only who may read the file, by the permission bits of the file
 * and of every directory on the way.
 *
 *     cache_rights_init(&rights, &settings->cache_as);
 *     r = cache_rights_add(&rights, mode, uid, gid, true);       // each directory, then the file
 *     cache_rights_give(&rights, &mode, &uid, &gid);             // what the copy gets
 *
 * What all three classes may read, everybody may, and the copy is for everybody (0444). What only
 * owner or group may is for the identity of cache.as alone: by the owner's bits 0400 for its user,
 * by the group's 0440 for its group. -EACCES: that nobody who could read the copy is shut out from
 * the file cannot be shown from these bits, so there is to be no copy.
 *
 * Threads: plain values.
 */
#ifndef SIDECAR_CACHE_RIGHTS_H
#define SIDECAR_CACHE_RIGHTS_H

#include <stdbool.h>
#include <sys/types.h>

#include "lib/config.h"

enum cache_readers { CACHE_EVERYBODY, CACHE_GROUP, CACHE_OWNER };

struct cache_rights {
    struct ids_setting as;
    enum cache_readers readers;
};

void cache_rights_init(struct cache_rights *rights, const struct ids_setting *as);
int cache_rights_add(struct cache_rights *rights, mode_t mode, uid_t uid, gid_t gid, bool is_dir);

/* uid and gid are -1 where they stay what they are. */
void cache_rights_give(const struct cache_rights *rights, mode_t *ret_mode, uid_t *ret_uid,
                       gid_t *ret_gid);

#endif
