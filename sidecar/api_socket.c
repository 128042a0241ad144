#include "sidecar/api_socket.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"

static int new_socket(void)
{
    return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

static int set_address(const char *path, struct sockaddr_un *address, struct error *err)
{
    address->sun_family = AF_UNIX;
    if (strlen(path) >= sizeof(address->sun_path))
        return error_set(err, ENAMETOOLONG,
                         "api.socket: \"%s\" has %zu bytes, the path of a socket can have %zu",
                         path, strlen(path), sizeof(address->sun_path) - 1);
    snprintf(address->sun_path, sizeof(address->sun_path), "%s", path);
    return 0;
}

/* Make room at the path, unless it is somebody's. */
static int clear_path(const struct sockaddr_un *address, struct error *err)
{
    const char *path = address->sun_path;
    struct stat st;
    if (lstat(path, &st) < 0)
        return errno == ENOENT ? 0 : error_set_errno(err, errno, "api.socket: \"%s\"", path);
    if (!S_ISSOCK(st.st_mode))
        return error_set(err, EEXIST,
                         "api.socket: \"%s\" exists and is not a socket; remove it or choose "
                         "another path",
                         path);
    _cleanup_close_ int fd = new_socket();
    if (fd < 0)
        return error_set_errno(err, errno, "api.socket: no socket can be made");
    /* A full backlog (EAGAIN) is a server too, and what we may not connect to can be one. */
    if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ||
        errno != ECONNREFUSED)
        return error_set(err, EADDRINUSE,
                         "api.socket: \"%s\" of uid %u is in use by another process; is a second "
                         "sidecar running with the same run_dir?",
                         path, (unsigned)st.st_uid);
    if (unlink(path) < 0 && errno != ENOENT)
        return error_set_errno(err, errno,
                               "api.socket: the stale socket \"%s\" of uid %u cannot be removed",
                               path, (unsigned)st.st_uid);
    return 0;
}

/* The new file gets the mode of the descriptor: nobody but us until the group is right too. */
static int bind_file(int fd, const struct sockaddr_un *address, mode_t mode, gid_t gid,
                     struct stat *ret_stat, struct error *err)
{
    const char *path = address->sun_path;
    if (fchmod(fd, 0) < 0 || bind(fd, (const struct sockaddr *)address, sizeof(*address)) < 0)
        return error_set_errno(err, errno, "api.socket: \"%s\" cannot be made", path);
    if (gid != (gid_t)-1 && lchown(path, (uid_t)-1, gid) < 0)
        return error_set_errno(err, errno, "api.gid: the socket cannot be given to group %u", gid);
    if (chmod(path, mode) < 0 || lstat(path, ret_stat) < 0 || listen(fd, SOMAXCONN) < 0)
        return error_set_errno(err, errno, "api.socket: \"%s\" cannot be set up", path);
    return 0;
}

int api_socket_open(struct api_socket *ret_socket, const char *path, mode_t mode, gid_t gid,
                    struct error *err)
{
    struct api_socket socket = {0};
    struct stat st = {0};
    int r = set_address(path, &socket.address, err);
    if (r == 0)
        r = clear_path(&socket.address, err);
    if (r < 0)
        return r;
    _cleanup_close_ int fd = new_socket();
    if (fd < 0)
        return error_set_errno(err, errno, "api.socket: no socket can be made");
    r = bind_file(fd, &socket.address, mode, gid, &st, err);
    if (r < 0) {
        if (r != -EADDRINUSE) /* somebody was faster */
            unlink(path);
        return r;
    }
    socket.fd = take_fd(&fd);
    socket.device = st.st_dev;
    socket.inode = st.st_ino;
    socket.changed = st.st_ctim;
    *ret_socket = socket;
    return 0;
}

bool api_socket_is_in_place(const struct api_socket *socket)
{
    struct stat st;
    return lstat(socket->address.sun_path, &st) == 0 && st.st_dev == socket->device &&
           st.st_ino == socket->inode && st.st_ctim.tv_sec == socket->changed.tv_sec &&
           st.st_ctim.tv_nsec == socket->changed.tv_nsec;
}

void api_socket_remove(const struct api_socket *socket)
{
    if (api_socket_is_in_place(socket))
        unlink(socket->address.sun_path);
}
