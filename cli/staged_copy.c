#include "cli/staged_copy.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/fs.h"
#include "lib/share/layout.h"

enum { CHUNK_BYTES = 1024 * 1024 };

static int open_stage(const char *task_dir, int *ret_fd)
{
    _cleanup_close_ int dir_fd = open(task_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0)
        return -errno;
    bool made = mkdirat(dir_fd, LAYOUT_STAGED, LAYOUT_DIR_MODE) == 0;
    if (!made && errno != EEXIST)
        return -errno;
    int fd = openat(dir_fd, LAYOUT_STAGED, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (made && fchmod(fd, LAYOUT_DIR_MODE) < 0) { /* whatever the umask is */
        close(fd);
        return -errno;
    }
    *ret_fd = fd;
    return 0;
}

static int copy(int from, int to)
{
    _cleanup_free_ char *chunk = malloc(CHUNK_BYTES);
    if (!chunk)
        return -ENOMEM;
    for (;;) {
        ssize_t n = read(from, chunk, CHUNK_BYTES);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : 0;
        int r = fs_write_all(to, chunk, (size_t)n);
        if (r < 0)
            return r;
    }
}

static int fill(int from, int to, mode_t mode)
{
    int r = copy(from, to);
    if (r == 0 && fchmod(to, mode) < 0)
        r = -errno;
    if (r == 0 && fsync(to) < 0)
        r = -errno;
    return r;
}

int staged_copy_make(int fd, const char *task_dir, mode_t mode, char ret_name[STAGED_NAME_SIZE],
                     struct error *err)
{
    _cleanup_close_ int stage_fd = -1, to = -1;
    char name[STAGED_NAME_SIZE];
    uint64_t random;
    int r = open_stage(task_dir, &stage_fd);
    if (r == 0 && getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random))
        r = -EIO;
    if (r == 0) {
        snprintf(name, sizeof(name), "copy-%016" PRIx64, random);
        to = openat(stage_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        r = to < 0 ? -errno : fill(fd, to, mode);
    }
    if (to >= 0 && close(take_fd(&to)) < 0 && r == 0) /* NFS tells of a full disk here as well */
        r = -errno;
    if (r < 0) {
        if (stage_fd >= 0)
            unlinkat(stage_fd, name, 0);
        return error_set_errno(err, -r, "it cannot be copied to %s/" LAYOUT_STAGED, task_dir);
    }
    memcpy(ret_name, name, sizeof(name));
    return 0;
}

void staged_copy_remove(const char *task_dir, const char *name)
{
    _cleanup_close_ int stage_fd = -1;
    if (open_stage(task_dir, &stage_fd) == 0)
        unlinkat(stage_fd, name, 0);
}
