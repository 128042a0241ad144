/*
 * api_socket: a listening Unix socket that belongs to one process.
 *
 *     struct api_socket socket;
 *     r = api_socket_open(&socket, path, 0660, gid, &err);      // socket.fd listens, non-blocking
 *     ... now and then, because others may write to the directory:
 *     if (!api_socket_is_in_place(&socket)) ...                 // nobody can connect any more
 *     ...
 *     api_socket_remove(&socket);
 *
 * What lies at the path is removed first only when it is a socket that nobody serves. Mode and
 * group are set before anybody can connect. api_socket_remove() unlinks the path only while it is
 * still the socket that was made here, never a successor's.
 *
 * Ownership: the fd is the caller's from success on. Two processes that start at the same moment
 * are kept apart by the run directory's lock, not here. Threads: one. Errors: -errno and words that
 * name the path.
 */
#ifndef SIDECAR_API_SOCKET_H
#define SIDECAR_API_SOCKET_H

#include <stdbool.h>
#include <sys/types.h>
#include <sys/un.h>
#include <time.h>

#include "lib/error.h"

enum { API_SOCKET_PATH_MAX = sizeof(((struct sockaddr_un *)0)->sun_path) - 1 };

struct api_socket {
    int fd;
    struct sockaddr_un address;
    dev_t device;
    ino_t inode;
    struct timespec changed; /* inode numbers are used again at once */
};

/* gid -1 leaves the group as created. */
int api_socket_open(struct api_socket *ret_socket, const char *path, mode_t mode, gid_t gid,
                    struct error *err);
bool api_socket_is_in_place(const struct api_socket *socket);
void api_socket_remove(const struct api_socket *socket);

#endif
