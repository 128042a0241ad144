#include "lib/own_dir.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/fs.h"

static const mode_t others_write = S_IWGRP | S_IWOTH;

int own_dir_protect(int dir_fd)
{
    struct stat st;
    if (fstat(dir_fd, &st) < 0)
        return -errno;
    if ((st.st_mode & others_write) == 0 || (st.st_mode & S_ISVTX) != 0)
        return 0;
    return fchmod(dir_fd, (st.st_mode & 07777) | S_ISVTX) < 0 ? 1 : 0;
}

int own_dir_check(int fd, const char *name, struct error *err)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return error_set_errno(err, errno, "%s", name);
    if (st.st_uid != geteuid())
        return error_set(err, EPERM,
                         "%s was made by uid %u, not by this program (uid %u), and may be changed "
                         "by that user at any time. Remove it",
                         name, (unsigned)st.st_uid, (unsigned)geteuid());
    return 0;
}

static int make_one(int at_fd, const char *path, mode_t mode, int *ret_fd, struct error *err)
{
    _cleanup_close_ int fd = -1;
    struct stat st;
    int r = fs_mkdir_beneath(at_fd, path, mode, &fd);
    if (r < 0)
        return error_set_errno(err, -r, "%s cannot be made", path);
    r = own_dir_check(fd, path, err);
    if (r < 0)
        return r;
    if (fstat(fd, &st) < 0 || ((st.st_mode & others_write) != 0 && fchmod(fd, mode) < 0))
        return error_set_errno(err, errno, "%s", path);
    *ret_fd = take_fd(&fd);
    return 0;
}

int own_dir_make(int at_fd, const char *path, mode_t mode, int *ret_fd, struct error *err)
{
    char part[PATH_MAX];
    int n = snprintf(part, sizeof(part), "%s", path);
    if (n < 0 || (size_t)n >= sizeof(part))
        return error_set_errno(err, ENAMETOOLONG, "%.64s...", path);
    for (char *slash = part; (slash = strchr(slash, '/')) != NULL; *slash++ = '/') {
        _cleanup_close_ int fd = -1;
        *slash = '\0';
        int r = make_one(at_fd, part, mode, &fd, err);
        if (r < 0)
            return r;
    }
    return make_one(at_fd, path, mode, ret_fd, err);
}
