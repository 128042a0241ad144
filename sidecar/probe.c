#include "sidecar/probe.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/fs.h"
#include "lib/share/layout.h"

enum { CANARIES_MAX = NAME_MAX + sizeof(LAYOUT_CANARIES) + 2 };

int probe_attributes(const struct place *place, uint64_t *ret_inode, struct error *err)
{
    struct statx now;
    if (statx(AT_FDCWD, place->path, AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &now) < 0)
        return error_set_errno(err, errno, "%s cannot be read", place->path);
    if (!S_ISDIR(now.stx_mode))
        return error_set_errno(err, ENOTDIR, "%s cannot be used", place->path);
    *ret_inode = now.stx_ino;
    return 0;
}

/* On the mount itself, wherever the state lies: it is the mount that is asked. */
static void name_canaries(const struct place *place, char path[CANARIES_MAX])
{
    snprintf(path, CANARIES_MAX, "%s/" LAYOUT_CANARIES, place->settings->state_dir);
}

static int open_canaries(const struct place *place, int *ret_fd, struct error *err)
{
    char path[CANARIES_MAX];
    _cleanup_close_ int root_fd = -1;
    int r = place_open_root(place, &root_fd, err);
    if (r < 0)
        return r;
    name_canaries(place, path);
    if (fs_open_beneath(root_fd, path, O_RDONLY | O_DIRECTORY, 0, ret_fd) == 0)
        return 0;
    return place_make_dir(place, root_fd, path, LAYOUT_DIR_MODE, ret_fd, err);
}

static int write_and_close(int fd, const char *text)
{
    int r = 0;
    errno = 0; /* a short write sets none */
    if (pwrite(fd, text, strlen(text), 0) != (ssize_t)strlen(text) || fsync(fd) < 0)
        r = errno ? -errno : -EIO;
    return close(fd) < 0 && r == 0 ? -errno : r;
}

int probe_write(const struct place *place, bool direct, struct error *err)
{
    const char *task = place->settings->task_name;
    _cleanup_close_ int dir_fd = -1;
    char text[NAME_MAX + 64];
    int fd;

    int r = open_canaries(place, &dir_fd, err);
    if (r < 0)
        return r;
    snprintf(text, sizeof(text), "written by efs-sidecar of %s to see whether that works\n", task);
    r = fs_open_beneath(dir_fd, task, O_WRONLY | O_CREAT | O_NOFOLLOW | (direct ? O_DIRECT : 0),
                        LAYOUT_FILE_MODE, &fd);
    if (r == 0)
        r = write_and_close(fd, text);
    if (r < 0)
        return error_set_errno(err, -r, "%s/%s/" LAYOUT_CANARIES "/%s cannot be written",
                               place->path, place->settings->state_dir, task);
    return 0;
}

int probe_read(const struct place *place, struct error *err)
{
    _cleanup_closedir_ DIR *dir = opendir(place->path);
    if (dir)
        errno = 0; /* at the end readdir() leaves it alone */
    if (!dir || (!readdir(dir) && errno))
        return error_set_errno(err, errno, "the directory %s cannot be read", place->path);
    return 0;
}

int probe_remove(const struct place *place, struct error *err)
{
    _cleanup_close_ int root_fd = -1, dir_fd = -1;
    char path[CANARIES_MAX];
    int r = place_open_root(place, &root_fd, err);
    if (r < 0)
        return r;
    name_canaries(place, path);
    r = fs_open_beneath(root_fd, path, O_RDONLY | O_DIRECTORY, 0, &dir_fd);
    if (r == 0 && unlinkat(dir_fd, place->settings->task_name, 0) < 0)
        r = -errno;
    if (r < 0 && r != -ENOENT)
        return error_set_errno(err, -r, "the canary file on %s cannot be removed", place->path);
    return 0;
}
