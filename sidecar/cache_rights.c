#include "sidecar/cache_rights.h"

#include <errno.h>

void cache_rights_init(struct cache_rights *rights, const struct ids_setting *as)
{
    *rights = (struct cache_rights){.as = *as, .readers = CACHE_EVERYBODY};
}

int cache_rights_add(struct cache_rights *rights, mode_t mode, uid_t uid, gid_t gid, bool is_dir)
{
    mode_t needed = is_dir ? 1 : 4, all = needed << 6 | needed << 3 | needed;
    if ((mode & all) == all)
        return 0;
    if (!rights->as.set)
        return -EACCES;
    if (uid == rights->as.uid) {
        if (!(mode & needed << 6))
            return -EACCES;
        rights->readers = CACHE_OWNER;
        return 0;
    }
    if (gid != rights->as.gid || !(mode & needed << 3))
        return -EACCES;
    if (rights->readers == CACHE_EVERYBODY)
        rights->readers = CACHE_GROUP;
    return 0;
}

void cache_rights_give(const struct cache_rights *rights, mode_t *ret_mode, uid_t *ret_uid,
                       gid_t *ret_gid)
{
    static const mode_t modes[] = {
        [CACHE_EVERYBODY] = 0444,
        [CACHE_GROUP] = 0440,
        [CACHE_OWNER] = 0400,
    };
    *ret_mode = modes[rights->readers];
    *ret_uid = rights->readers == CACHE_OWNER ? rights->as.uid : (uid_t)-1;
    *ret_gid = rights->readers == CACHE_GROUP ? rights->as.gid : (gid_t)-1;
}
