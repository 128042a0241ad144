#include "init/install.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/fs.h"
#include "lib/own_dir.h"

/* Where it is relative to this program: installed, or in a build folder. */
static const struct tool {
    const char *name, *sources[2];
    mode_t mode;
    bool optional; /* not every build makes it */
} tools[] = {
    {"efsctl", {"../lib/efs-sidecar/efsctl", "efsctl-static"}, 0755, false},
    {"libefscache.so", {"../lib/efs-sidecar/libefscache.so", "libefscache.so"}, 0644, false},
    {"libefscache-musl.so",
     {"../lib/efs-sidecar/libefscache-musl.so", "libefscache-musl.so"},
     0644,
     true},
};

static int open_source(const struct tool *tool, int *ret_fd, struct error *err)
{
    char program[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - 1);
    if (n < 0)
        return error_set_errno(err, errno, "/proc/self/exe");
    program[n] = '\0';
    *strrchr(program, '/') = '\0';
    _cleanup_close_ int bin = open(program, O_PATH | O_DIRECTORY | O_CLOEXEC);
    for (size_t i = 0; i < ARRAY_LEN(tool->sources); i++) {
        int fd = openat(bin, tool->sources[i], O_RDONLY | O_CLOEXEC);
        if (fd >= 0) {
            *ret_fd = fd;
            return 0;
        }
        if (errno != ENOENT)
            return error_set_errno(err, errno, "%.256s/%s", program, tool->sources[i]);
    }
    return error_set(err, ENOENT, "there is neither %s nor %s in %.256s", tool->sources[0],
                     tool->sources[1], program);
}

static int check_copy(const struct tool *tool, int dir, const char *directory, off_t size,
                      struct error *err)
{
    struct stat copy;
    if (fstatat(dir, tool->name, &copy, AT_SYMLINK_NOFOLLOW) < 0)
        return error_set_errno(err, errno, "%s/%s", directory, tool->name);
    if (!S_ISREG(copy.st_mode) || copy.st_size != size || (copy.st_mode & 0777) != tool->mode)
        return error_set(err, EIO,
                         "%s/%s has %lld bytes and mode %04o after it was written, it should "
                         "have %lld and %04o",
                         directory, tool->name, (long long)copy.st_size,
                         (unsigned)(copy.st_mode & 07777), (long long)size, (unsigned)tool->mode);
    return 0;
}

static int copy_into(const struct tool *tool, int source, int dir, const char *directory,
                     off_t *ret_size, struct error *err)
{
    struct stat original;
    if (fstat(source, &original) < 0)
        return error_set_errno(err, errno, "%s", tool->name);
    size_t size = (size_t)original.st_size;
    void *content = mmap(NULL, size, PROT_READ, MAP_PRIVATE, source, 0);
    if (content == MAP_FAILED)
        return error_set_errno(err, errno, "%s cannot be read", tool->name);
    int r = fs_write_atomic(dir, tool->name, content, size, tool->mode);
    munmap(content, size);
    if (r < 0)
        return error_set_errno(err, -r, "%s/%s cannot be written", directory, tool->name);
    *ret_size = original.st_size;
    return check_copy(tool, dir, directory, original.st_size, err);
}

int install_tools(const char *directory, char *ret_what, size_t size, struct error *err)
{
    char what[512] = "";
    size_t length = 0;
    if (mkdir(directory, 0755) < 0 && errno != EEXIST)
        return error_set_errno(err, errno, "the directory %s cannot be made", directory);
    _cleanup_close_ int dir = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return error_set_errno(err, errno, "%s", directory);
    for (const struct tool *tool = tools; tool < tools + ARRAY_LEN(tools); tool++) {
        _cleanup_close_ int source = -1;
        off_t bytes = 0;
        int r = open_source(tool, &source, err);
        if (r == -ENOENT && tool->optional)
            continue;
        if (r == 0)
            r = copy_into(tool, source, dir, directory, &bytes, err);
        if (r < 0)
            return r;
        int n = snprintf(what + length, sizeof(what) - length, "%s%.100s/%s (%lld bytes)",
                         length ? ", " : "", directory, tool->name, (long long)bytes);
        length += (size_t)n;
    }
    if (own_dir_protect(dir) != 0)
        snprintf(what + length, sizeof(what) - length,
                 "; every user of this task may replace them: give %.100s the sticky bit (chmod "
                 "1777)",
                 directory);
    snprintf(ret_what, size, "%s", what);
    return 0;
}
