#include "lib/ofd.h"

#include <errno.h>
#include <stdalign.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PROOF_BYTES = 4096, SHORTEST_LEASE_MS = 10000 };

static int ofd_control(int fd, int command, struct flock *lock)
{
    while (fcntl(fd, command, lock) < 0)
        if (errno != EINTR)
            return errno == EACCES ? -EAGAIN : -errno;
    return 0;
}

int ofd_lock(int fd, short type, off_t start, off_t length)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
    return ofd_control(fd, F_OFD_SETLK, &lock);
}

int ofd_unlock(int fd, off_t start, off_t length)
{
    struct flock lock = {
        .l_type = F_UNLCK, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
    return ofd_control(fd, F_OFD_SETLK, &lock);
}

int ofd_query(int fd, short type, off_t start, off_t length)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
    int r = ofd_control(fd, F_OFD_GETLK, &lock);
    if (r < 0)
        return r;
    return lock.l_type == F_UNLCK ? 0 : -EAGAIN;
}

int ofd_prove(int fd)
{
    alignas(PROOF_BYTES) char page[PROOF_BYTES];
    struct statx now;

    /* Attributes first: the proof must not be older than what it vouches for. */
    if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_NLINK, &now) < 0)
        return -errno;
    if (now.stx_nlink == 0)
        return -ENOENT;
    while (pread(fd, page, sizeof(page), 0) < 0)
        if (errno != EINTR)
            return -errno;
    return 0;
}

enum ofd_loss ofd_judge_loss(int64_t longest_silence_ms, int64_t lease_ms)
{
    if (lease_ms <= 0)
        lease_ms = SHORTEST_LEASE_MS;
    return longest_silence_ms < lease_ms ? OFD_LOSS_IDENTITY_SHARED : OFD_LOSS_LEASE_EXPIRED;
}
