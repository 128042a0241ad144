#include "sidecar/usage.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/cleanup.h"
#include "lib/fs.h"
#include "lib/share/layout.h"

static void close_dir(struct usage *usage)
{
    if (usage->dir)
        closedir(usage->dir);
    usage->dir = NULL;
    free(take_ptr(usage->path));
}

void usage_reset(struct usage *usage)
{
    close_dir(usage);
    while (usage->n_pending > 0)
        free(usage->pending[--usage->n_pending]);
    free(take_ptr(usage->pending));
    cleanup_close_p(&usage->root_fd);
    usage->root_fd = -1;
}

static void remember(struct usage *usage, const char *name)
{
    char *path = NULL;
    if (usage->n_pending == USAGE_PENDING_MAX ||
        asprintf(&path, "%s%s%s", usage->path, *usage->path ? "/" : "", name) < 0) {
        usage->partial = true;
        return;
    }
    usage->pending[usage->n_pending++] = path;
}

static int open_next(struct usage *usage)
{
    _cleanup_close_ int fd = -1;
    struct stat is;
    usage->path = usage->pending[--usage->n_pending];
    int r = fs_open_beneath(usage->root_fd, *usage->path ? usage->path : ".",
                            O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, &fd);
    if (r == 0 && fstat(fd, &is) < 0)
        r = -errno;
    if (r == 0 && is.st_dev == usage->device && (usage->dir = fdopendir(fd)) != NULL) {
        take_fd(&fd);
        return 0;
    }
    bool is_root = !*usage->path;
    free(take_ptr(usage->path));
    usage->partial = usage->partial || (r < 0 && r != -ENOENT);
    return is_root ? r : 0;
}

static void count(struct usage *usage, const char *name)
{
    struct stat is;
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
        (!*usage->path && strcmp(name, LAYOUT_OWNER) == 0) ||
        fstatat(dirfd(usage->dir), name, &is, AT_SYMLINK_NOFOLLOW) < 0)
        return;
    if (S_ISDIR(is.st_mode)) {
        remember(usage, name);
        return;
    }
    usage->files++;
    usage->bytes += is.st_size;
}

static int begin(struct usage *usage, int dir_fd)
{
    struct stat is;
    usage->bytes = usage->files = 0;
    usage->partial = false;
    usage->root_fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (usage->root_fd < 0 || fstat(usage->root_fd, &is) < 0)
        return -errno;
    usage->device = is.st_dev;
    usage->pending = calloc(USAGE_PENDING_MAX, sizeof(*usage->pending));
    char *root = strdup("");
    if (!usage->pending || !root) {
        free(root);
        return -ENOMEM;
    }
    usage->pending[usage->n_pending++] = root;
    return 0;
}

static int go_on(struct usage *usage, unsigned most)
{
    while (most > 0) {
        if (!usage->dir && usage->n_pending == 0)
            return 0;
        int r = usage->dir ? 0 : open_next(usage);
        if (r < 0)
            return r;
        struct dirent *entry = usage->dir ? readdir(usage->dir) : NULL;
        if (entry)
            count(usage, entry->d_name);
        else
            close_dir(usage);
        most--;
    }
    return 1;
}

int usage_measure(struct usage *usage, int dir_fd, unsigned most)
{
    int r = usage->root_fd < 0 ? begin(usage, dir_fd) : 0;
    if (r == 0)
        r = go_on(usage, most);
    if (r != 1)
        usage_reset(usage);
    return r;
}
