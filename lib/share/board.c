#include "lib/share/board.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/fs.h"
#include "lib/ofd.h"
#include "lib/share/layout.h"

/* The mode and group are set by whoever owns the file; for the others they are as they are. */
static int share_with_members(int fd, int64_t gid)
{
    if (fchmod(fd, LAYOUT_FILE_MODE) < 0 && errno != EPERM)
        return -errno;
    if (gid >= 0 && fchown(fd, (uid_t)-1, (gid_t)gid) < 0 && errno != EPERM)
        return -errno;
    return 0;
}

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
    r = share_with_members(fd, gid);
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
