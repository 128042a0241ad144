#include "sidecar/ready_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/fs.h"

#define READY_NAME "ready.json"

enum { READY_MODE = 0644, READY_MAX = 256 * 1024 };

void ready_file_release(struct ready_file *file)
{
    free(file->text);
    *file = (struct ready_file){0};
}

static bool is_known(const struct ready_file *file, const struct stat *now)
{
    return file->text && file->is.st_ino == now->st_ino && file->is.st_size == now->st_size &&
           file->is.st_mtim.tv_sec == now->st_mtim.tv_sec &&
           file->is.st_mtim.tv_nsec == now->st_mtim.tv_nsec;
}

/* What cannot be read is not put back either. */
static void remember(struct ready_file *file, int dir_fd, const struct stat *now)
{
    ready_file_release(file);
    if (fs_read_file(dir_fd, READY_NAME, READY_MAX, &file->text, &file->bytes) == 0)
        file->is = *now;
}

static int put_back(const struct ready_file *file, const struct settings *settings, int dir_fd,
                    struct error *err)
{
    int r = fs_write_atomic(dir_fd, READY_NAME, file->text, file->bytes, READY_MODE);
    return r < 0 ? error_set_errno(err, -r, "run_dir: %s/" READY_NAME " cannot be written",
                                   settings->run_dir)
                 : 1;
}

int ready_file_keep(struct ready_file *file, const struct settings *settings, struct error *err)
{
    struct stat now;
    _cleanup_close_ int dir_fd = open(settings->run_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0) /* run_dir.h says so */
        return 0;
    if (fstatat(dir_fd, READY_NAME, &now, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT && file->text ? put_back(file, settings, dir_fd, err) : 0;
    if (S_ISREG(now.st_mode) && !is_known(file, &now))
        remember(file, dir_fd, &now);
    return 0;
}
