/*
 * sys: the few system calls of libefscache.so, as the kernel has them.
 *
 * They are no cancellation points and pass by whatever else is preloaded, so that they can be made
 * in a signal handler, in the child of vfork and between two steps of the application's own call.
 * They return what the kernel does, -1 with errno. _keep_errno_ puts errno back at the end of a
 * scope; what the application sees of errno is libc's doing alone. Threads: any.
 */
#ifndef SHIM_SYS_H
#define SHIM_SYS_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

static inline void sys_put_errno_back(const int *saved)
{
    errno = *saved;
}

#define _keep_errno_                                                                               \
    __attribute__((cleanup(sys_put_errno_back), unused)) const int saved_errno = errno

static inline int sys_openat(int dir, const char *path, int flags, mode_t mode)
{
    return (int)syscall(SYS_openat, dir, path, flags, mode);
}

static inline void sys_close(int fd)
{
    syscall(SYS_close, fd);
}

static inline ssize_t sys_read(int fd, void *buf, size_t size)
{
    return syscall(SYS_read, fd, buf, size);
}

/* struct statx of the kernel; not every libc that this is compiled with has it. */
struct sys_raw_time {
    int64_t s;
    uint32_t ns;
    int32_t unused;
};

struct sys_raw_statx {
    uint32_t mask, block_bytes;
    uint64_t attributes;
    uint32_t links, uid, gid;
    uint16_t mode, unused;
    uint64_t inode, size_bytes, blocks, attributes_mask;
    struct sys_raw_time atime, btime, ctime, mtime;
    uint32_t rdev_major, rdev_minor, dev_major, dev_minor;
    uint64_t more[14];
};

_Static_assert(sizeof(struct sys_raw_statx) == 256, "as in linux/stat.h");

struct sys_stat {
    uint64_t dev, inode, size_bytes;
    int64_t mtime_ns, ctime_ns;
    mode_t mode;
    uid_t uid;
};

static inline int64_t sys_time_ns(const struct sys_raw_time *time)
{
    return time->s * 1000000000 + time->ns;
}

static inline int sys_statx(int dir, const char *path, int flags, struct sys_stat *ret_stat)
{
    enum { BASIC_STATS = 0x7ff };
    struct sys_raw_statx raw;
    if (syscall(SYS_statx, dir, path, flags | AT_NO_AUTOMOUNT, BASIC_STATS, &raw) != 0)
        return -1;
    *ret_stat = (struct sys_stat){.dev = makedev(raw.dev_major, raw.dev_minor),
                                  .inode = raw.inode,
                                  .size_bytes = raw.size_bytes,
                                  .mtime_ns = sys_time_ns(&raw.mtime),
                                  .ctime_ns = sys_time_ns(&raw.ctime),
                                  .mode = raw.mode,
                                  .uid = raw.uid};
    return 0;
}

static inline uint64_t sys_clock_ms(clockid_t clock)
{
    struct timespec now = {0};
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

#endif
