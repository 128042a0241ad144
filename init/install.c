#include "init/install.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/fs.h"

#define TOOL "efsctl"

static const char *const sources[] = {"../lib/efs-sidecar/" TOOL, TOOL "-static"};

static int open_source(int *ret_fd, struct error *err)
{
    char program[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - 1);
    if (n < 0)
        return error_set_errno(err, errno, "/proc/self/exe");
    program[n] = '\0';
    *strrchr(program, '/') = '\0';
    _cleanup_close_ int bin = open(program, O_PATH | O_DIRECTORY | O_CLOEXEC);
    for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
        int fd = openat(bin, sources[i], O_RDONLY | O_CLOEXEC);
        if (fd >= 0) {
            *ret_fd = fd;
            return 0;
        }
        if (errno != ENOENT)
            return error_set_errno(err, errno, "%.256s/%s", program, sources[i]);
    }
    return error_set(err, ENOENT, "there is neither %s nor %s in %.256s", sources[0], sources[1],
                     program);
}

static int check_copy(int dir, const char *directory, off_t size, struct error *err)
{
    struct stat copy;
    if (fstatat(dir, TOOL, &copy, AT_SYMLINK_NOFOLLOW) < 0)
        return error_set_errno(err, errno, "%s/" TOOL, directory);
    if (!S_ISREG(copy.st_mode) || copy.st_size != size || (copy.st_mode & 0777) != 0755)
        return error_set(err, EIO,
                         "%s/" TOOL " has %lld bytes and mode %04o after it was written, it should "
                         "have %lld and 0755",
                         directory, (long long)copy.st_size, (unsigned)(copy.st_mode & 07777),
                         (long long)size);
    return 0;
}

static int copy_into(int source, const char *directory, off_t *ret_size, struct error *err)
{
    struct stat original;
    if (mkdir(directory, 0755) < 0 && errno != EEXIST)
        return error_set_errno(err, errno, "the directory %s cannot be made", directory);
    _cleanup_close_ int dir = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return error_set_errno(err, errno, "%s", directory);
    if (fstat(source, &original) < 0)
        return error_set_errno(err, errno, TOOL);
    size_t size = (size_t)original.st_size;
    void *content = mmap(NULL, size, PROT_READ, MAP_PRIVATE, source, 0);
    if (content == MAP_FAILED)
        return error_set_errno(err, errno, TOOL " cannot be read");
    int r = fs_write_atomic(dir, TOOL, content, size, 0755);
    munmap(content, size);
    if (r < 0)
        return error_set_errno(err, -r, "%s/" TOOL " cannot be written", directory);
    *ret_size = original.st_size;
    return check_copy(dir, directory, original.st_size, err);
}

int install_tools(const char *directory, char *ret_what, size_t size, struct error *err)
{
    _cleanup_close_ int source = -1;
    off_t bytes = 0;
    int r = open_source(&source, err);
    if (r == 0)
        r = copy_into(source, directory, &bytes, err);
    if (r == 0)
        snprintf(ret_what, size, "%s/" TOOL " (%lld bytes)", directory, (long long)bytes);
    return r;
}
