#include "sidecar/place.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/fs.h"
#include "lib/share/layout.h"

int place_open_root(const struct place *place, int *ret_fd, struct error *err)
{
    int fd = open(place->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_set_errno(err, errno, "%s cannot be opened", place->path);
    *ret_fd = fd;
    return 0;
}

bool place_has_state(const struct place *place)
{
    return place->writable || *place->settings->state_mount;
}

/* The state directory's name in what holds it. */
static void name_state(const struct place *place, uint64_t root_inode, char name[NAME_MAX + 1])
{
    if (*place->settings->state_mount)
        snprintf(name, NAME_MAX + 1, "%.128s-%" PRIu64, place->file_system, root_inode);
    else
        snprintf(name, NAME_MAX + 1, "%s", place->settings->state_dir);
}

static const char *state_holder(const struct place *place)
{
    return *place->settings->state_mount ? place->settings->state_mount : place->path;
}

int place_state_path(const struct place *place, uint64_t root_inode, char *buf, size_t size)
{
    char name[NAME_MAX + 1];
    name_state(place, root_inode, name);
    int n = snprintf(buf, size, "%s/%s", state_holder(place), name);
    return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

int place_root_inode(const struct place *place, uint64_t *ret_inode, struct error *err)
{
    struct stat now;
    if (stat(place->path, &now) < 0)
        return error_set_errno(err, errno, "%s cannot be read", place->path);
    *ret_inode = now.st_ino;
    return 0;
}

/* What holds the state directory, and its name there. */
static int find_state(const struct place *place, char name[NAME_MAX + 1], int *ret_fd,
                      struct error *err)
{
    uint64_t root_inode = 0;
    if (*place->settings->state_mount) {
        int r = place_root_inode(place, &root_inode, err);
        if (r < 0)
            return r;
    }
    name_state(place, root_inode, name);
    int fd = open(state_holder(place), O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_set_errno(err, errno, "%s cannot be opened", state_holder(place));
    *ret_fd = fd;
    return 0;
}

int place_open_state(const struct place *place, int *ret_fd, struct error *err)
{
    _cleanup_close_ int holder_fd = -1;
    char name[NAME_MAX + 1];
    int r = find_state(place, name, &holder_fd, err);
    if (r < 0)
        return r;
    r = fs_open_beneath(holder_fd, name, O_RDONLY | O_DIRECTORY, 0, ret_fd);
    if (r < 0)
        return error_set_errno(err, -r, "%s/%s cannot be opened", state_holder(place), name);
    return 0;
}

int place_make_state(const struct place *place, int *ret_fd, struct error *err)
{
    _cleanup_close_ int holder_fd = -1;
    char name[NAME_MAX + 1];
    int r = find_state(place, name, &holder_fd, err);
    return r == 0 ? place_make_dir(place, holder_fd, name, LAYOUT_DIR_MODE, ret_fd, err) : r;
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
