/*
 * place: one configured mount as the worker threads know it, and the ways into it. Nothing in it
 * changes while the sidecar runs.
 *
 *     const struct place place = {.settings = &settings, .path = "/data", .name = "data"};
 *     _cleanup_close_ int state_fd = -1;
 *     r = place_open_state(&place, &state_fd, &err);
 *
 * Every function may hang with the mount: for workers only. Paths are resolved anew each time, so
 * that a mount that was replaced is the new one. Threads: safe. Errors: -errno, and words that name
 * the path.
 */
#ifndef SIDECAR_PLACE_H
#define SIDECAR_PLACE_H

#include "lib/error.h"
#include "lib/settings.h"

struct place {
    const struct settings *settings; /* task_name is set in them */
    const char *path;                /* of the mount */
    const char *name;                /* in the run directory: "srv-data" for /srv/data */
    const char *file_system;         /* its id, as configured; "" */
    bool writable;                   /* by the settings */
    bool first_writable;             /* of all mounts: it has the link RUN_DIR/task */
};

/* Has it a state directory: on itself, or on the volume of state.mount? */
bool place_has_state(const struct place *place);

/* Where that is, by the inode of the mount's root: "/data/.efs-sidecar", or
 * "/state/fs-0123456789abcdef0-2". -ENAMETOOLONG. Touches nothing. */
int place_state_path(const struct place *place, uint64_t root_inode, char *buf, size_t size);

int place_open_root(const struct place *place, int *ret_fd, struct error *err);
int place_root_inode(const struct place *place, uint64_t *ret_inode, struct error *err);
int place_open_state(const struct place *place, int *ret_fd, struct error *err);
int place_make_state(const struct place *place, int *ret_fd, struct error *err);

/* Make what is missing of path beneath a descriptor with what other members need: this mode, and
 * state.gid. */
int place_make_dir(const struct place *place, int at_fd, const char *path, mode_t mode, int *ret_fd,
                   struct error *err);

#endif
