/*
 * spawn: start a program of ours as a child that talks to us on a socket.
 *
 *     char *argv[] = {"efs-watch", "--child=3", "/data", NULL};
 *     r = spawn_beside(argv, fds, 1, err_fd, &pid);
 *
 * The program argv[0] lies beside our own, or in $PATH. The child gets fds[i] as descriptor
 * 3 + i, nothing on stdin, err_fd as stderr and nowhere for stdout (ours is for metrics), default
 * signals, of the environment only our settings and what libc needs, and dies with us. Where it
 * cannot be executed it says why on stderr and ends with SPAWN_NOT_FOUND.
 *
 *     r = spawn_wait(pid, &status);      // on SIGCHLD; 1: it has ended
 *     spawn_reap_strays();               // and after that
 *
 * Strays are the children of processes that ended before them: in a container they become those of
 * process 1, which the sidecar is, and stay there as zombies unless somebody waits for them.
 *
 * Threads: the thread that lives longest, because the child dies with it. Errors: -errno.
 */
#ifndef SIDECAR_SPAWN_H
#define SIDECAR_SPAWN_H

#include <sys/types.h>

enum { SPAWN_FD = 3, SPAWN_FDS_MAX = 4, SPAWN_CHILDREN_MAX = 64, SPAWN_NOT_FOUND = 127 };

int spawn_beside(char *const argv[], const int fds[], int n_fds, int err_fd, pid_t *ret_pid);
int spawn_wait(pid_t pid, int *ret_status);
void spawn_reap_strays(void);

#endif
