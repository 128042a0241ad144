#include "shim/origin.h"

#include "shim/cache_origin.h"
#include "shim/sys.h"
#include "shim/view.h"

enum { NS_PER_S = 1000000000 };

static bool get(int fd, mode_t mode, uint64_t dev, uid_t owner, uint64_t inode,
                struct cache_origin *ret_origin)
{
    struct cache_origin origin;
    if (!S_ISREG(mode) || (mode & 0222) != 0 || !view_trusts(dev, owner) ||
        syscall(SYS_fgetxattr, fd, CACHE_ORIGIN, &origin, sizeof(origin)) != sizeof(origin) ||
        origin.copy_inode != inode)
        return false;
    *ret_origin = origin;
    return true;
}

bool origin_is_known(int fd)
{
    _keep_errno_;
    struct sys_stat st;
    struct cache_origin origin;
    return sys_statx(fd, "", AT_EMPTY_PATH, &st) == 0 &&
           get(fd, st.mode, st.dev, st.uid, st.inode, &origin);
}

static struct timespec timespec_of(int64_t ns)
{
    int64_t s = ns / NS_PER_S - (ns % NS_PER_S < 0);
    return (struct timespec){.tv_sec = s, .tv_nsec = ns - s * NS_PER_S};
}

void origin_tell(int fd, struct stat *st)
{
    _keep_errno_;
    struct cache_origin origin;
    if (!get(fd, st->st_mode, st->st_dev, st->st_uid, st->st_ino, &origin))
        return;
    st->st_dev = origin.dev;
    st->st_ino = origin.inode;
    st->st_mode = origin.mode;
    st->st_nlink = origin.links;
    st->st_uid = origin.uid;
    st->st_gid = origin.gid;
    st->st_ctim = timespec_of(origin.ctime_ns);
}

static struct sys_raw_time raw_time_of(int64_t ns)
{
    struct timespec t = timespec_of(ns);
    return (struct sys_raw_time){.s = t.tv_sec, .ns = (uint32_t)t.tv_nsec};
}

/* NFS has no time of birth. */
void origin_tell_statx(int fd, struct sys_raw_statx *st)
{
    _keep_errno_;
    enum { BTIME = 0x800 };
    struct cache_origin origin;
    if (!get(fd, st->mode, makedev(st->dev_major, st->dev_minor), st->uid, st->inode, &origin))
        return;
    st->mask &= ~(uint32_t)BTIME;
    st->btime = (struct sys_raw_time){0};
    st->dev_major = major(origin.dev);
    st->dev_minor = minor(origin.dev);
    st->inode = origin.inode;
    st->mode = (uint16_t)origin.mode;
    st->links = origin.links;
    st->uid = origin.uid;
    st->gid = origin.gid;
    st->ctime = raw_time_of(origin.ctime_ns);
}

ssize_t origin_hide(char *names, size_t length)
{
    const size_t n = sizeof(CACHE_ORIGIN);
    for (size_t at = 0; at + n <= length; at += strnlen(names + at, length - at) + 1)
        if (memcmp(names + at, CACHE_ORIGIN, n) == 0) {
            memmove(names + at, names + at + n, length - at - n);
            return (ssize_t)(length - n);
        }
    return (ssize_t)length;
}
