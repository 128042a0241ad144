#include "watchers/inotify_source.h"

#include <errno.h>
#include <fcntl.h>
#include <inotifytools/inotifytools.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/cleanup.h"

enum { FD_PATH = 32, FD_NUMBERS = 1024 };

static void fd_path(int fd, char *path)
{
    snprintf(path, FD_PATH, "/proc/self/fd/%d", fd);
}

/* The library hides its descriptor. It is the only instance of this process; what number it got
 * depends on what other threads open meanwhile. */
static int find_fd(int *ret_fd)
{
    for (int fd = 0; fd < FD_NUMBERS; fd++) {
        char path[FD_PATH], target[64];
        fd_path(fd, path);
        ssize_t n = readlink(path, target, sizeof(target) - 1);
        if (n < 0)
            continue;
        target[n] = '\0';
        if (strcmp(target, "anon_inode:inotify") != 0)
            continue;
        if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
            return -errno;
        *ret_fd = fd;
        return 0;
    }
    return -EBADF;
}

static int add_watch(struct inotify_source *source, int fd, uint32_t mask, int *ret_wd)
{
    char path[FD_PATH];
    fd_path(fd, path);
    int wd = inotify_add_watch(source->fd, path, mask);
    if (wd < 0)
        return -errno;
    *ret_wd = wd;
    return 0;
}

static int rearm_barrier(struct inotify_source *source)
{
    source->barrier_wd = -1;
    return add_watch(source, source->barrier_fd, IN_DELETE_SELF, &source->barrier_wd);
}

static int start(struct inotify_source *source, struct error *err)
{
    int probe = fcntl(source->barrier_fd, F_DUPFD_CLOEXEC, 0);
    if (probe < 0)
        return error_set_errno(err, errno, "cannot open another file");
    close(probe);
    if (!inotifytools_initialize()) {
        int code = inotifytools_error();
        if (code == EMFILE)
            return error_set(err, code,
                             "cannot start inotify: this user has fs.inotify.max_user_instances "
                             "instances already; raise it with sysctl on the host");
        return error_set_errno(err, code, "cannot start inotify");
    }
    int r = find_fd(&source->fd);
    if (r < 0)
        return error_set_errno(err, -r, "the descriptor of libinotifytools cannot be found");
    /* The library's buffer outlives the instance. Nothing is watched yet, so this ends. */
    while (inotifytools_next_events(0, 1))
        ;
    rearm_barrier(source);
    return 0;
}

int inotify_source_open(struct inotify_source *source, struct error *err)
{
    *source = (struct inotify_source){.fd = -1, .barrier_wd = -1};
    source->barrier_fd = memfd_create("barrier", MFD_CLOEXEC);
    if (source->barrier_fd < 0)
        return error_set_errno(err, errno, "cannot create a memory file");
    int r = start(source, err);
    if (r < 0)
        close(source->barrier_fd);
    return r;
}

int inotify_source_reset(struct inotify_source *source, struct error *err)
{
    inotifytools_cleanup();
    source->fd = -1;
    return start(source, err);
}

void inotify_source_close(struct inotify_source *source)
{
    inotifytools_cleanup();
    close(source->barrier_fd);
}

int inotify_source_arm(struct inotify_source *source, int dir_fd, int *ret_wd)
{
    const uint32_t mask = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_MODIFY |
                          IN_CLOSE_WRITE | IN_ATTRIB | IN_ONLYDIR | IN_EXCL_UNLINK;
    return add_watch(source, dir_fd, mask, ret_wd);
}

void inotify_source_disarm(struct inotify_source *source, int wd)
{
    inotify_rm_watch(source->fd, wd); /* fails if the directory is gone, which is as good */
}

bool inotify_source_has_room(struct inotify_source *source)
{
    int fd = memfd_create("probe", MFD_CLOEXEC), wd = -1;
    if (fd >= 0 && add_watch(source, fd, IN_DELETE_SELF, &wd) == 0)
        inotify_rm_watch(source->fd, wd);
    if (fd >= 0)
        close(fd);
    return wd >= 0;
}

int inotify_source_next(struct inotify_source *source, const struct inotify_event **ret_event)
{
    const struct inotify_event *event = inotifytools_next_events(0, 1);
    if (event) {
        *ret_event = event;
        return 1;
    }
    int code = inotifytools_error(); /* 0: nothing there; left from an earlier call otherwise */
    return code == 0 || code == EINTR || code == EAGAIN ? 0 : -code;
}

int inotify_source_barrier(struct inotify_source *source)
{
    if (source->barrier_wd < 0 && rearm_barrier(source) < 0)
        return -EBUSY;
    return inotify_rm_watch(source->fd, source->barrier_wd) < 0 ? -EBUSY : 0;
}

bool inotify_source_is_barrier(struct inotify_source *source, const struct inotify_event *event)
{
    if (event->wd != source->barrier_wd || !(event->mask & IN_IGNORED))
        return false;
    rearm_barrier(source);
    return true;
}
