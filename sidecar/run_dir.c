#include "sidecar/run_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/fs.h"
#include "lib/ofd.h"
#include "lib/own_dir.h"

#define LOCK_NAME "sidecar.lock"

/* Others must be able to pass, whatever the umask is; the group's members share the directory. */
enum { RUN_DIR_MODE = 03775, LOCK_MODE = 0644 };

static void note_pid(int lock_fd)
{
    char text[16];
    int n = snprintf(text, sizeof(text), "%d\n", (int)getpid());
    if (ftruncate(lock_fd, 0) == 0 && pwrite(lock_fd, text, (size_t)n, 0) == n)
        return; /* else the next one who is refused learns no number */
}

static int refuse(const struct settings *settings, int lock_fd, struct error *err)
{
    char pid[16];
    ssize_t n = pread(lock_fd, pid, sizeof(pid) - 1, 0);
    pid[n > 0 ? n : 0] = '\0';
    pid[strcspn(pid, "\n")] = '\0';
    return error_set(err, EBUSY,
                     "run_dir: another efs-sidecar (pid %s) is running in %s. Stop it, or give "
                     "each task a run directory of its own",
                     *pid ? pid : "unknown", settings->run_dir);
}

static int open_dir(const struct settings *settings, int *ret_fd, struct error *err)
{
    int r = fs_make_path(settings->run_dir, RUN_DIR_MODE, ret_fd);
    if (r < 0)
        return error_set_errno(err, -r,
                               "run_dir: %s cannot be made. Mount a volume there that this "
                               "container's user (uid %u) may write, or set another run_dir",
                               settings->run_dir, (unsigned)geteuid());
    return 0;
}

/* With what another user made there before us. */
static int open_lock(const struct settings *settings, int dir_fd, int *ret_fd, struct error *err)
{
    _cleanup_close_ int fd = openat(
        dir_fd, LOCK_NAME, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, LOCK_MODE);
    if (fd < 0) {
        int code = errno, r = 0;
        _cleanup_close_ int there = openat(dir_fd, LOCK_NAME, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        if (there >= 0)
            r = own_dir_check(there, LOCK_NAME, err);
        if (r == 0)
            return error_set_errno(err, code,
                                   "run_dir: nothing can be made in %s. Let this container's user "
                                   "(uid %u) write there, or set another run_dir",
                                   settings->run_dir, (unsigned)geteuid());
        error_prefix(err, "run_dir: in %s", settings->run_dir);
        return r;
    }
    *ret_fd = take_fd(&fd);
    return 0;
}

int run_dir_open(const struct settings *settings, int *ret_lock_fd, struct error *err)
{
    _cleanup_close_ int dir_fd = -1, lock_fd = -1;
    int r = open_dir(settings, &dir_fd, err);
    if (r == 0)
        r = open_lock(settings, dir_fd, &lock_fd, err);
    if (r < 0)
        return r;
    r = ofd_lock(lock_fd, F_WRLCK, 0, 0);
    if (r == -EAGAIN)
        return refuse(settings, lock_fd, err);
    if (r < 0)
        return error_set_errno(err, -r, "run_dir: %s/" LOCK_NAME " cannot be locked",
                               settings->run_dir);
    r = own_dir_check(lock_fd, LOCK_NAME, err);
    if (r < 0) {
        error_prefix(err, "run_dir: in %s", settings->run_dir);
        return r;
    }
    note_pid(lock_fd);
    *ret_lock_fd = take_fd(&lock_fd);
    return 0;
}

/* Is the file that is locked still the one that others would find? */
static bool is_in_place(const struct settings *settings, int lock_fd)
{
    char path[PATH_MAX];
    struct stat named, open;
    int n = snprintf(path, sizeof(path), "%s/" LOCK_NAME, settings->run_dir);
    return n > 0 && (size_t)n < sizeof(path) && lstat(path, &named) == 0 &&
           fstat(lock_fd, &open) == 0 && named.st_ino == open.st_ino && named.st_dev == open.st_dev;
}

bool run_dir_protect(const struct settings *settings)
{
    _cleanup_close_ int fd = open(settings->run_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 && own_dir_protect(fd) == 0;
}

int run_dir_keep(const struct settings *settings, int *lock_fd, struct error *err)
{
    int new_fd = -1;
    if (is_in_place(settings, *lock_fd))
        return 0;
    int r = run_dir_open(settings, &new_fd, err);
    if (r < 0)
        return r;
    close(*lock_fd);
    *lock_fd = new_fd;
    return 1;
}
