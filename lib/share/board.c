#include "lib/share/board.h"

#include <errno.h>
#include <fcntl.h>
#include <stdalign.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/fs.h"
#include "lib/ofd.h"
#include "lib/share/layout.h"
#include "lib/test_hook.h"

enum { DIRECT_ALIGNMENT = 4096 };

int board_create(int state_fd, int64_t gid)
{
    _cleanup_close_ int fd = -1;
    struct stat now;
    int r = fs_open_beneath(state_fd, LAYOUT_BOARD, O_RDWR | O_CREAT | O_NOFOLLOW, LAYOUT_FILE_MODE,
                            &fd);
    if (r < 0)
        return r;
    if (fstat(fd, &now) < 0)
        return -errno;
    /* It never shrinks, and all make it the same size: two who extend it at once do no harm. */
    if (now.st_size >= BOARD_BYTES)
        return 0;
    r = layout_share(fd, LAYOUT_FILE_MODE, gid);
    return r == 0 && ftruncate(fd, BOARD_BYTES) < 0 ? -errno : r;
}

int board_open(int state_fd, bool direct, int *ret_fd)
{
    return fs_open_beneath(state_fd, LAYOUT_BOARD, O_RDWR | O_NOFOLLOW | (direct ? O_DIRECT : 0), 0,
                           ret_fd);
}

/* FNV-1a: spreads names that differ in one digit, and is the same in every version. */
unsigned board_first_choice(const char *name)
{
    uint32_t hash = 2166136261;
    for (; *name; name++)
        hash = (hash ^ (uint8_t)*name) * 16777619;
    return (hash ^ hash >> 16) % BOARD_SLOTS;
}

int board_take(int fd, unsigned first, unsigned *ret_slot)
{
    for (unsigned i = 0; i < BOARD_SLOTS; i++) {
        unsigned slot = (first + i) % BOARD_SLOTS;
        int r = ofd_lock(fd, F_WRLCK, (off_t)slot * BOARD_SLOT_BYTES, BOARD_SLOT_BYTES);
        if (r == 0)
            *ret_slot = slot;
        if (r != -EAGAIN)
            return r;
    }
    return -EUSERS;
}

/* For tests: the same bytes through a descriptor that holds no lock. */
static int write_without_lock(int fd, unsigned slot, const uint8_t bytes[SLOT_BYTES])
{
    char path[32];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    _cleanup_close_ int plain = open(path, O_WRONLY | O_CLOEXEC);
    off_t at = (off_t)slot * BOARD_SLOT_BYTES;
    return plain < 0 || pwrite(plain, bytes, SLOT_BYTES, at) < 0 ? -errno : 0;
}

int board_write_slot(int fd, unsigned slot, const struct slot *content)
{
    alignas(DIRECT_ALIGNMENT) uint8_t bytes[SLOT_BYTES];
    int r = slot_encode(content, bytes);
    if (r < 0)
        return r;
    if (test_hook_omits("locked_write"))
        return write_without_lock(fd, slot, bytes);
    ssize_t n;
    do
        n = pwrite(fd, bytes, SLOT_BYTES, (off_t)slot * BOARD_SLOT_BYTES);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    return n == SLOT_BYTES ? 0 : -EIO;
}

int board_read(int fd, uint8_t bytes[BOARD_BYTES])
{
    alignas(DIRECT_ALIGNMENT) uint8_t content[BOARD_BYTES];
    ssize_t n;
    do
        n = pread(fd, content, BOARD_BYTES, 0);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    memcpy(bytes, content, (size_t)n);
    memset(bytes + n, 0, BOARD_BYTES - (size_t)n);
    return 0;
}

int board_stat(int fd, struct statx *ret_attributes)
{
    const unsigned mask = STATX_MTIME | STATX_CTIME | STATX_SIZE | STATX_INO | STATX_NLINK;
    return statx(fd, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, mask, ret_attributes) < 0 ? -errno
                                                                                        : 0;
}
