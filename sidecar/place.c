#include "sidecar/place.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/fs.h"

int place_open_root(const struct place *place, int *ret_fd, struct error *err)
{
    int fd = open(place->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_set_errno(err, errno, "%s cannot be opened", place->path);
    *ret_fd = fd;
    return 0;
}

int place_open_state(const struct place *place, int *ret_fd, struct error *err)
{
    _cleanup_close_ int root_fd = -1;
    int r = place_open_root(place, &root_fd, err);
    if (r < 0)
        return r;
    r = fs_open_beneath(root_fd, place->settings->state_dir, O_RDONLY | O_DIRECTORY, 0, ret_fd);
    if (r < 0)
        return error_set_errno(err, -r, "%s/%s cannot be opened", place->path,
                               place->settings->state_dir);
    return 0;
}

/* Who finds the directory made by another member with another group lives with it. */
static int give_group(const struct place *place, int fd)
{
    struct stat now;
    if (place->settings->state_gid < 0)
        return 0;
    if (fstat(fd, &now) < 0)
        return -errno;
    if (now.st_gid == (gid_t)place->settings->state_gid || now.st_uid != geteuid())
        return 0;
    return fchown(fd, (uid_t)-1, (gid_t)place->settings->state_gid) < 0 ? -errno : 0;
}

int place_make_dir(const struct place *place, int at_fd, const char *path, mode_t mode, int *ret_fd,
                   struct error *err)
{
    _cleanup_close_ int fd = -1;
    int r = fs_mkdir_beneath(at_fd, path, mode, &fd);
    if (r < 0)
        return error_set_errno(err, -r, "the directory %s cannot be made on %s", path, place->path);
    r = give_group(place, fd);
    if (r < 0)
        return error_set_errno(err, -r,
                               "the directory %s on %s cannot be given to group %lld "
                               "(state.gid)",
                               path, place->path, (long long)place->settings->state_gid);
    *ret_fd = take_fd(&fd);
    return 0;
}
