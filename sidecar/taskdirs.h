/*
 * taskdirs: what this task has on a mount and how its app finds it.
 *
 *     <mount>/tasks/<task>/                     the write directory; .owner in it says who has it
 *     <mount>/.efs-sidecar/{board,members/,feed/}   the state directory, unless state.mount says
 *                                               where it lies
 *     RUN_DIR/mounts/<name>/root                link to the mount
 *     RUN_DIR/mounts/<name>/task, RUN_DIR/task  links to the write directory
 *
 * A task that comes back finds its own directory again: nothing is removed here. Every function may
 * hang with the mount: for workers only. Threads: safe. Errors: -errno and words.
 */
#ifndef SIDECAR_TASKDIRS_H
#define SIDECAR_TASKDIRS_H

#include "lib/share/owner.h"
#include "sidecar/place.h"

struct statx;

/* "srv-data" for "/srv/data", "root" for "/". -ENAMETOOLONG. */
int taskdirs_link_name(const char *mount_path, char *buf, size_t size);

/* <mount>/tasks/<task>, and RUN_DIR/mounts/<name>/task. -ENAMETOOLONG. */
int taskdirs_path(const struct place *place, char *buf, size_t size);
int taskdirs_link(const struct place *place, char *buf, size_t size);

/* The links to the root, and to the write directory, which has to be there. They do not touch the
 * mount. */
int taskdirs_link_root(const struct place *place, struct error *err);
int taskdirs_link_task(const struct place *place, struct error *err);

/* State directory and, where the mount is writable, write directory. */
int taskdirs_make(const struct place *place, struct error *err);

/* Say in the write directory whose it is. 1: nobody had said anything there, and nothing was
 * written yet: the peers may not know of the directory. Tell them, then call it again with told. A
 * directory that was moved away meanwhile is an error (ESTALE): the next call makes it anew. */
int taskdirs_own(const struct place *place, const struct owner *owner, bool told,
                 struct statx *ret_new, struct error *err);

int taskdirs_open(const struct place *place, int *ret_fd, struct error *err);

/* Who holds the slot, for people: members/SLOT.json. */
int taskdirs_write_member(const struct place *place, unsigned slot, uint32_t epoch,
                          struct error *err);
int taskdirs_remove_member(const struct place *place, unsigned slot, struct error *err);

#endif
