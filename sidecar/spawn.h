/*
 * spawn: start a program of ours as a child that talks to us on a socket.
 *
 *     char *argv[] = {"efs-watch", "--child=3", "/data", NULL};
 *     r = spawn_beside(argv, fds, 1, err_fd, &pid);
 *     ... waitpid(pid, &status, WNOHANG) on SIGCHLD ...
 *
 * The program argv[0] lies beside our own, or in $PATH. The child gets fds[i] as descriptor
 * 3 + i, nothing on stdin, err_fd as stderr and nowhere for stdout (ours is for metrics), default
 * signals, of the environment only our settings and what libc needs, and dies with us. Where it
 * cannot be executed it says why on stderr and ends with SPAWN_NOT_FOUND. Threads: the thread that
 * lives longest, because the child dies with it. Errors: -errno.
 */
#ifndef SIDECAR_SPAWN_H
#define SIDECAR_SPAWN_H

#include <sys/types.h>

enum { SPAWN_FD = 3, SPAWN_FDS_MAX = 4, SPAWN_NOT_FOUND = 127 };

int spawn_beside(char *const argv[], const int fds[], int n_fds, int err_fd, pid_t *ret_pid);

#endif
