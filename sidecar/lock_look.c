/* A look at the file of a lock: the part of locks.h that changes nothing. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/fs.h"
#include "lib/ofd.h"
#include "lib/share/layout.h"
#include "sidecar/lock.h"
#include "sidecar/lock_file.h"

enum { LOOK_TIMEOUT_MS = 5000, LOOKS_MAX = 16 };

struct look {
    struct locks *locks;
    const struct place *place;
    bool on_nfs;
    char name[LOCK_NAME_MAX + 1];
    struct lock_sight sight;
    lock_looked_fn looked;
    void *arg;
    struct error err;
};

static int open_file(struct look *look, int *ret_fd)
{
    _cleanup_close_ int state_fd = -1;
    char path[LOCK_PATH_SIZE];
    struct statx now;
    int r = place_open_state(look->place, &state_fd, &look->err);
    if (r < 0)
        return r;
    lock_name_path(look->name, path);
    if (fs_open_beneath(state_fd, path, O_RDONLY | O_NOFOLLOW | (look->on_nfs ? O_DIRECT : 0), 0,
                        ret_fd) == 0)
        return 0;
    /* Perhaps it is missing only as this client remembers the directory. */
    _cleanup_close_ int directory_fd = -1;
    *strrchr(path, '/') = '\0';
    r = fs_open_beneath(state_fd, path, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0, &directory_fd);
    if (r == 0 &&
        statx(directory_fd, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_MTIME, &now) < 0)
        r = -errno;
    if (r == 0)
        r = fs_open_beneath(state_fd, lock_name_path(look->name, path),
                            O_RDONLY | O_NOFOLLOW | (look->on_nfs ? O_DIRECT : 0), 0, ret_fd);
    return r;
}

static int look_run(void *arg)
{
    struct look *look = arg;
    _cleanup_close_ int fd = -1;
    int r = open_file(look, &fd);
    if (r == -ENOENT && !look->err.code)
        return 0;
    if (r == 0)
        r = lock_file_read(fd, &look->sight.record);
    look->sight.has_record = r == 0;
    if (r == 0 || r == -ENODATA) {
        r = ofd_query(fd, F_WRLCK, 0, 0);
        look->sight.taken = r == -EAGAIN;
    }
    if (r < 0 && r != -EAGAIN && !look->err.code)
        return error_set_errno(&look->err, -r, "the file of lock \"%s\" on %s cannot be read",
                               look->name, look->place->path);
    return look->err.code ? -look->err.code : 0;
}

static void look_done(void *arg, enum work_outcome outcome, int result)
{
    struct look *look = arg;
    struct error late;
    look->locks->n_looks--;
    if (outcome == WORK_DONE) {
        look->looked(look->arg, result, &look->sight, &look->err);
        return;
    }
    int r = error_set(&late, ETIMEDOUT, "%s does not answer", look->place->path);
    look->looked(look->arg, r, NULL, &late);
}

static const struct job look_job = {
    .what = "looking at a lock",
    .run = look_run,
    .done = look_done,
    .release = free,
};

int locks_look(struct locks *locks, const char *name, lock_looked_fn looked, void *arg,
               struct error *err)
{
    const struct locks_options *options = &locks->options;
    int r = lock_name_check(name, err);
    if (r < 0)
        return r;
    if (locks->n_looks >= LOOKS_MAX)
        return error_set(err, EDQUOT, "%d clients look at locks already, the most that can",
                         LOOKS_MAX);
    struct look *look = calloc(1, sizeof(*look));
    if (!look)
        return error_set(err, ENOMEM, "no memory");
    *look = (struct look){.locks = locks,
                          .place = options->place,
                          .on_nfs = locks->on_nfs,
                          .looked = looked,
                          .arg = arg};
    snprintf(look->name, sizeof(look->name), "%s", name);
    r = work_pool_submit(options->calls, &look_job, look, clock_now_ms() + LOOK_TIMEOUT_MS);
    if (r < 0) {
        free(look);
        return error_set_errno(err, -r, "lock \"%s\" cannot be looked at", name);
    }
    locks->n_looks++;
    return 0;
}
