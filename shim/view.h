/*
 * view: the control files of the cache, mapped into this process when they are first needed.
 *
 *     view_configure(off, dir);                         // once, from the constructor
 *     struct shim_view *view = view_get(false);         // NULL: there is no cache now
 *     struct shim_mapping *mapping = view_map(view, &view->mounts[i], false);
 *     ...
 *     view_retire(view);                                // a look said CACHE_RETIRED
 *
 * Where there is nothing yet, one caller a second looks again and all others go on without a cache.
 * `at_once` looks in any case: for who has to leave a mark. What has been mapped stays mapped, as
 * another thread may be reading it; after VIEW_LOADS_MAX sidecars this process does without.
 *
 * Only a cache that one user made is believed, where nobody else can put something else in its
 * place: by the owners and modes of its directories, once.
 *
 * Threads, signals, vfork: all safe; nothing is locked, whoever comes second to publish lets go of
 * his own. The mount itself is not touched before view_is_its_mount(), which may hang as any call
 * on the mount.
 */
#ifndef SHIM_VIEW_H
#define SHIM_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "shim/cache_layout.h"

enum { VIEW_DIR_MAX = 255, VIEW_LOADS_MAX = 64 };

struct shim_mapping {
    struct cache_view view;
    uint64_t dev, inode; /* of the mount's root, as the sidecar says */
    bool own_device;     /* a mount: whatever is on the device belongs to it */
    uint32_t verified;   /* atomic: 0 not yet, 1 it is so here, 2 it is not */
};

struct shim_mount {
    struct cache_mount_name is;
    struct shim_mapping *mapping; /* atomic */
    uint64_t retry_ms;            /* atomic */
};

struct shim_view {
    uint32_t retired; /* atomic */
    uid_t owner;      /* the sidecar; the next is where the copies are */
    uint64_t dev;
    int n;
    struct shim_mount mounts[CACHE_MOUNTS_MAX];
    char text[CACHE_MOUNTS_BYTES_MAX];
};

void view_configure(const char *dir);
const char *view_dir(void);
struct shim_view *view_get(bool at_once);
struct shim_mapping *view_map(const struct shim_view *view, struct shim_mount *mount, bool at_once);
bool view_is_its_mount(const struct shim_mount *mount, struct shim_mapping *mapping);
void view_retire(struct shim_view *view);

/* May a file of this owner on this device be a copy, and say of itself what it likes? */
bool view_trusts(uint64_t dev, uid_t owner);

#endif
