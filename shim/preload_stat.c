/*
 * preload_stat: what stands before libc's functions that tell of an open file: of a copy they tell
 * what they would of the source (shim/origin.h). By its path a file is never a copy.
 */
#include "shim/next.h"
#include "shim/origin.h"
#include "shim/sys.h"

/* musl's headers make them macros */
#undef fstat64
#undef fstatat64

#define EXPORT __attribute__((visibility("default")))

_Static_assert(sizeof(off_t) == 8 && sizeof(ino_t) == 8, "stat and stat64 are one");

/* libc's headers have other names for arguments, and some of the functions only by other settings.
 * NOLINTBEGIN(readability-redundant-declaration,readability-inconsistent-declaration-parameter-name)
 */

/* Of a program that was compiled with a glibc before 2.33: which struct stat it has. There is only
 * one, the kernel's, by two numbers on x86_64. */
#if defined(__x86_64__)
enum { STAT_VERSION = 1 };
#else
enum { STAT_VERSION = 0 };
#endif

static bool version_is_good(int version)
{
    return version == STAT_VERSION || version == 0;
}

static bool is_fd(const char *path, int flags)
{
    return (flags & AT_EMPTY_PATH) != 0 && (!path || path[0] == '\0');
}

/* Not inlined: what libc's headers say about arguments that are never NULL is not so here. */
__attribute__((noinline)) static int stat_fd(int fd, struct stat *st)
{
    int r = 0;
    if (next.fstat)
        r = next.fstat(fd, st);
    else
        r = next.__fxstat ? next.__fxstat(STAT_VERSION, fd, st) : (int)syscall(SYS_fstat, fd, st);
    if (r == 0)
        origin_tell(fd, st);
    return r;
}

__attribute__((noinline)) static int stat_at(int dir_fd, const char *path, struct stat *st,
                                             int flags)
{
    int r = 0;
    if (next.fstatat)
        r = next.fstatat(dir_fd, path, st, flags);
    else
        r = next.__fxstatat ? next.__fxstatat(STAT_VERSION, dir_fd, path, st, flags)
                            : (int)syscall(SYS_newfstatat, dir_fd, path, st, flags);
    if (r == 0 && is_fd(path, flags))
        origin_tell(dir_fd, st);
    return r;
}

static int is_bad_version(void)
{
    errno = EINVAL;
    return -1;
}

EXPORT int fstat(int fd, struct stat *st)
{
    return stat_fd(fd, st);
}

int fstat64(int fd, struct stat64 *st);
EXPORT int fstat64(int fd, struct stat64 *st)
{
    return stat_fd(fd, (struct stat *)(void *)st);
}

EXPORT int fstatat(int dir_fd, const char *path, struct stat *st, int flags)
{
    return stat_at(dir_fd, path, st, flags);
}

int fstatat64(int dir_fd, const char *path, struct stat64 *st, int flags);
EXPORT int fstatat64(int dir_fd, const char *path, struct stat64 *st, int flags)
{
    return stat_at(dir_fd, path, (struct stat *)(void *)st, flags);
}

int __fxstat(int version, int fd, struct stat *st);
EXPORT int __fxstat(int version, int fd, struct stat *st)
{
    return version_is_good(version) ? stat_fd(fd, st) : is_bad_version();
}

int __fxstat64(int version, int fd, struct stat64 *st);
EXPORT int __fxstat64(int version, int fd, struct stat64 *st)
{
    return __fxstat(version, fd, (struct stat *)(void *)st);
}

int __fxstatat(int version, int dir_fd, const char *path, struct stat *st, int flags);
EXPORT int __fxstatat(int version, int dir_fd, const char *path, struct stat *st, int flags)
{
    return version_is_good(version) ? stat_at(dir_fd, path, st, flags) : is_bad_version();
}

int __fxstatat64(int version, int dir_fd, const char *path, struct stat64 *st, int flags);
EXPORT int __fxstatat64(int version, int dir_fd, const char *path, struct stat64 *st, int flags)
{
    return __fxstatat(version, dir_fd, path, (struct stat *)(void *)st, flags);
}

struct statx;
int statx(int dir_fd, const char *restrict path, int flags, unsigned mask,
          struct statx *restrict st);
EXPORT __attribute__((noinline)) int statx(int dir_fd, const char *restrict path, int flags,
                                           unsigned mask, struct statx *restrict st)
{
    enum { BASIC_STATS = 0x7ff };
    bool of_fd = is_fd(path, flags);
    if (of_fd)
        mask |= BASIC_STATS; /* by which a copy is known */
    int r = next.statx ? next.statx(dir_fd, path, flags, mask, st)
                       : (int)syscall(SYS_statx, dir_fd, path, flags, mask, st);
    if (r == 0 && of_fd)
        origin_tell_statx(dir_fd, (struct sys_raw_statx *)(void *)st);
    return r;
}

/* For cp -a, which would take the cache's attribute along. */
ssize_t flistxattr(int fd, char *names, size_t size);
EXPORT ssize_t flistxattr(int fd, char *names, size_t size)
{
    ssize_t n = next.flistxattr ? next.flistxattr(fd, names, size)
                                : syscall(SYS_flistxattr, fd, names, size);
    return n > 0 && size > 0 ? origin_hide(names, (size_t)n) : n;
}

/* NOLINTEND(readability-redundant-declaration,readability-inconsistent-declaration-parameter-name)
 */
