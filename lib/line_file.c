#include "lib/line_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/cleanup.h"

enum { FILE_MODE = 0640 };

struct line_file {
    int fd;
    size_t size, max_bytes;
    char path[PATH_MAX], old_path[PATH_MAX + 2];
};

/* What a crash left of a line must not become the beginning of ours. */
static int end_last_line(int fd, off_t *size)
{
    char last = '\n';
    if (*size > 0 && pread(fd, &last, 1, *size - 1) < 0)
        return -errno;
    if (last == '\n')
        return 0;
    if (write(fd, "\n", 1) != 1)
        return -ENOSPC;
    ++*size;
    return 0;
}

static int open_file(struct line_file *file)
{
    struct stat st;
    _cleanup_close_ int fd =
        open(file->path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return -EINVAL;
    int r = end_last_line(fd, &st.st_size);
    if (r < 0)
        return r;
    file->size = (size_t)st.st_size;
    file->fd = take_fd(&fd);
    return 0;
}

static void drop_fd(struct line_file *file)
{
    if (file->fd >= 0)
        close(file->fd);
    file->fd = -1;
}

int line_file_open(const char *path, size_t max_bytes, struct line_file **ret_file,
                   struct error *err)
{
    if (strlen(path) >= PATH_MAX)
        return error_set_errno(err, ENAMETOOLONG, "%.64s...", path);
    struct line_file *file = calloc(1, sizeof(*file));
    if (!file)
        return error_set_errno(err, ENOMEM, "%s", path);
    file->max_bytes = max_bytes;
    snprintf(file->path, sizeof(file->path), "%s", path);
    snprintf(file->old_path, sizeof(file->old_path), "%s.1", file->path);
    int r = open_file(file);
    if (r < 0) {
        free(file);
        return error_set_errno(err, -r, "%s cannot be opened for appending", path);
    }
    *ret_file = file;
    return 0;
}

static int make_ready(struct line_file *file, size_t length)
{
    struct stat st;
    if (file->fd >= 0 && fstat(file->fd, &st) == 0 && st.st_nlink == 0)
        drop_fd(file);
    if (file->fd >= 0 && file->size > 0 && file->size + length > file->max_bytes) {
        if (rename(file->path, file->old_path) < 0)
            return -errno;
        drop_fd(file);
    }
    return file->fd < 0 ? open_file(file) : 0;
}

int line_file_write(struct line_file *file, const struct iovec parts[2])
{
    size_t length = parts[0].iov_len + parts[1].iov_len;
    int r = make_ready(file, length);
    if (r < 0)
        return r;
    ssize_t n = writev(file->fd, parts, 2);
    if (n == (ssize_t)length) {
        file->size += length;
        return 0;
    }
    r = n < 0 ? -errno : -ENOSPC;
    if (n > 0 && ftruncate(file->fd, (off_t)file->size) < 0)
        drop_fd(file); /* the half line is ended when it is opened again */
    return r;
}

void line_file_close(struct line_file *file)
{
    if (!file)
        return;
    drop_fd(file);
    free(file);
}
