#include "lib/fs_remove.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/cleanup.h"
#include "lib/fs.h"

static int remove_at(int dir_fd, const char *name, unsigned depth, unsigned *budget);

/* 1: nothing was left that this pass could see. */
static int remove_content(int fd, unsigned depth, unsigned *budget)
{
    _cleanup_closedir_ DIR *dir = NULL;
    int opened = fs_opendir(fd, &dir);
    if (opened < 0)
        return opened;
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        int r = remove_at(fd, entry->d_name, depth + 1, budget);
        if (r <= 0)
            return r;
    }
    return 1;
}

static int remove_dir(int dir_fd, const char *name, unsigned depth, unsigned *budget)
{
    if (depth > FS_REMOVE_DEPTH)
        return -ELOOP;
    _cleanup_close_ int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 1 : -errno;
    int r = remove_content(fd, depth, budget);
    if (r <= 0)
        return r;
    if (*budget == 0)
        return 0;
    --*budget;
    if (unlinkat(dir_fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
        return 1;
    return errno == ENOTEMPTY || errno == EEXIST ? 0 : -errno; /* somebody put more into it */
}

static int remove_at(int dir_fd, const char *name, unsigned depth, unsigned *budget)
{
    struct stat is;
    if (*budget == 0)
        return 0;
    if (fstatat(dir_fd, name, &is, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 1 : -errno;
    if (S_ISDIR(is.st_mode))
        return remove_dir(dir_fd, name, depth, budget);
    --*budget;
    return unlinkat(dir_fd, name, 0) < 0 && errno != ENOENT ? -errno : 1;
}

int fs_remove(int dir_fd, const char *name, unsigned *budget)
{
    return remove_at(dir_fd, name, 0, budget);
}
