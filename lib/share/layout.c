#include "lib/share/layout.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

int layout_share(int fd, mode_t mode, int64_t gid)
{
    if (fchmod(fd, mode) < 0 && errno != EPERM)
        return -errno;
    if (gid >= 0 && fchown(fd, (uid_t)-1, (gid_t)gid) < 0 && errno != EPERM)
        return -errno;
    return 0;
}
