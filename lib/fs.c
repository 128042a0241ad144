#include "lib/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/test_hook.h"

static atomic_bool no_openat2;

void fs_pretend_no_openat2(bool pretend)
{
    atomic_store(&no_openat2, pretend);
}

static int check_component(const char *start, size_t length)
{
    if (length == 0 || (length == 1 && start[0] == '.') ||
        (length == 2 && start[0] == '.' && start[1] == '.'))
        return -EINVAL;
    return length > NAME_MAX ? -ENAMETOOLONG : 0;
}

int fs_check_relative(const char *path)
{
    size_t total = strnlen(path, PATH_MAX);
    if (total == PATH_MAX)
        return -ENAMETOOLONG;
    for (const char *start = path;;) {
        const char *end = strchrnul(start, '/');
        int r = check_component(start, (size_t)(end - start));
        if (r < 0)
            return r;
        if (!*end)
            return 0;
        start = end + 1;
    }
}

int fs_check_name(const char *name)
{
    if (strchr(name, '/'))
        return -EINVAL;
    return check_component(name, strnlen(name, NAME_MAX + 1));
}

/* Without a wait for whoever opens the other end of a FIFO. */
static int with_always(int flags)
{
    return flags | O_CLOEXEC | (flags & O_PATH ? 0 : O_NONBLOCK | O_NOCTTY);
}

/* -ENOSYS also when a seccomp filter answers EPERM to every openat2: then nothing here would ever
 * work. */
static int open_with_openat2(int dir_fd, const char *path, int flags, mode_t mode)
{
    if (atomic_load(&no_openat2))
        return -ENOSYS;
    struct open_how how = {
        .flags = (uint64_t)(unsigned)with_always(flags),
        .mode = flags & (O_CREAT | __O_TMPFILE) ? mode : 0,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV,
    };
    if (test_hook_omits("beneath"))
        how.resolve = 0;
    for (int tries = 0; tries < 16; tries++) { /* EAGAIN: a rename raced with the walk */
        long fd = syscall(SYS_openat2, dir_fd, path, &how, sizeof(how));
        if (fd >= 0)
            return (int)fd;
        if (errno != EAGAIN && errno != EINTR)
            break;
    }
    return -errno;
}

/* -EXDEV: another file system, or the same one again, is mounted on what fd is. */
static int check_mount(int dir_fd, int fd)
{
    struct statx a, b;
    const unsigned wanted = STATX_MNT_ID;
    if (statx(dir_fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, wanted, &a) < 0 ||
        statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, wanted, &b) < 0)
        return -errno;
    if (a.stx_mask & b.stx_mask & wanted) /* Linux 5.8 */
        return a.stx_mnt_id == b.stx_mnt_id ? 0 : -EXDEV;
    return a.stx_dev_major == b.stx_dev_major && a.stx_dev_minor == b.stx_dev_minor ? 0 : -EXDEV;
}

static int open_by_walking(int dir_fd, const char *path, int flags, mode_t mode)
{
    _cleanup_close_ int parent_fd = -1;
    int at = dir_fd;
    for (const char *start = path;;) {
        const char *end = strchrnul(start, '/');
        char name[NAME_MAX + 1];
        memcpy(name, start, (size_t)(end - start));
        name[end - start] = '\0';
        int fd = *end ? openat(at, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
                      : openat(at, name, with_always(flags) | O_NOFOLLOW, mode);
        if (fd < 0)
            return -errno;
        int r = check_mount(dir_fd, fd);
        if (r < 0) {
            close(fd);
            return r;
        }
        if (!*end)
            return fd;
        cleanup_close_p(&parent_fd);
        parent_fd = at = fd;
        start = end + 1;
    }
}

int fs_open_beneath(int dir_fd, const char *path, int flags, mode_t mode, int *ret_fd)
{
    if (strcmp(path, ".") != 0) {
        int r = fs_check_relative(path);
        if (r < 0)
            return r;
    }
    int fd = open_with_openat2(dir_fd, path, flags, mode);
    if (fd == -ENOSYS || fd == -EPERM)
        fd = open_by_walking(dir_fd, path, flags, mode);
    if (fd < 0)
        return fd;
    *ret_fd = fd;
    return 0;
}

static int make_one(int dir_fd, const char *name, mode_t mode, int *ret_fd)
{
    bool made = mkdirat(dir_fd, name, mode) == 0;
    if (!made && errno != EEXIST)
        return -errno;
    _cleanup_close_ int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (made && fchmod(fd, mode) < 0)
        return -errno;
    int r = check_mount(dir_fd, fd);
    if (r == 0)
        *ret_fd = take_fd(&fd);
    return r;
}

static int make_parents(const char *path)
{
    char part[PATH_MAX];
    int n = snprintf(part, sizeof(part), "%s", path);
    if (n < 0 || (size_t)n >= sizeof(part))
        return -ENAMETOOLONG;
    for (char *slash = part; *slash && (slash = strchr(slash + 1, '/')) != NULL;) {
        *slash = '\0';
        if (mkdir(part, 0755) < 0 && errno != EEXIST)
            return -errno;
        *slash = '/';
    }
    return 0;
}

int fs_make_path(const char *path, mode_t mode, int *ret_fd)
{
    int r = make_parents(path);
    if (r < 0)
        return r;
    bool made = mkdir(path, 0700) == 0;
    if (!made && errno != EEXIST)
        return -errno;
    _cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (made && fchmod(fd, mode) < 0)
        return -errno;
    *ret_fd = take_fd(&fd);
    return 0;
}

int fs_mkdir_beneath(int dir_fd, const char *path, mode_t mode, int *ret_fd)
{
    int r = fs_check_relative(path);
    if (r < 0)
        return r;
    _cleanup_close_ int at_fd = -1;
    for (const char *start = path;;) {
        const char *end = strchrnul(start, '/');
        char name[NAME_MAX + 1];
        memcpy(name, start, (size_t)(end - start));
        name[end - start] = '\0';
        int fd = -1;
        r = make_one(at_fd >= 0 ? at_fd : dir_fd, name, mode, &fd);
        if (r < 0)
            return r;
        cleanup_close_p(&at_fd);
        at_fd = fd;
        if (!*end)
            break;
        start = end + 1;
    }
    *ret_fd = take_fd(&at_fd);
    return 0;
}

int fs_write_all(int fd, const void *buffer, size_t length)
{
    const char *data = buffer;
    while (length > 0) {
        ssize_t n = write(fd, data, length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        data += n;
        length -= (size_t)n;
    }
    return 0;
}

int fs_opendir(int dir_fd, DIR **ret_dir)
{
    int listing = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = listing < 0 ? NULL : fdopendir(listing);
    if (!dir) {
        int r = -errno;
        if (listing >= 0)
            close(listing);
        return r;
    }
    *ret_dir = dir;
    return 0;
}

int fs_write_atomic(int dir_fd, const char *name, const void *data, size_t length, mode_t mode)
{
    uint64_t random;
    char temporary[64];
    int r = fs_check_name(name);
    if (r < 0)
        return r;
    if (getrandom(&random, sizeof(random), 0) != sizeof(random))
        return -errno;
    snprintf(temporary, sizeof(temporary), ".tmp-%016llx", (unsigned long long)random);
    _cleanup_close_ int fd =
        openat(dir_fd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (fd < 0)
        return -errno;
    r = fchmod(fd, mode) < 0 ? -errno : fs_write_all(fd, data, length);
    if (r == 0 && fsync(fd) < 0)
        r = -errno;
    if (r == 0 && renameat(dir_fd, temporary, dir_fd, name) < 0)
        r = -errno;
    if (r < 0)
        unlinkat(dir_fd, temporary, 0);
    return r;
}

static int open_to_read(int dir_fd, const char *path, int *ret_fd)
{
    _cleanup_close_ int fd = -1;
    struct stat is;
    if (dir_fd == AT_FDCWD) {
        *ret_fd = open(path, O_RDONLY | O_CLOEXEC);
        return *ret_fd < 0 ? -errno : 0;
    }
    int r = fs_open_beneath(dir_fd, path, O_RDONLY | O_NOFOLLOW, 0, &fd);
    if (r == 0 && fstat(fd, &is) < 0)
        r = -errno;
    if (r == 0 && !S_ISREG(is.st_mode))
        r = -EBADMSG;
    if (r == 0)
        *ret_fd = take_fd(&fd);
    return r;
}

int fs_read_file(int dir_fd, const char *path, size_t max_length, char **ret_text,
                 size_t *ret_length)
{
    _cleanup_close_ int fd = -1;
    int r = open_to_read(dir_fd, path, &fd);
    if (r < 0)
        return r;
    _cleanup_free_ char *text = NULL;
    size_t used = 0, size = 0;
    for (;;) {
        if (size - used < 2) {
            size = size ? size * 2 : 4096;
            char *larger = realloc(text, size);
            if (!larger)
                return -ENOMEM;
            text = larger;
        }
        ssize_t n = read(fd, text + used, size - used - 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        used += (size_t)n;
        if (used > max_length)
            return -EFBIG;
    }
    text[used] = '\0';
    if (ret_length)
        *ret_length = used;
    *ret_text = take_ptr(text);
    return 0;
}

bool fs_is_nfs(const char *path)
{
    struct statfs fs;
    return statfs(path, &fs) == 0 && fs.f_type == NFS_SUPER_MAGIC;
}
