#include "init/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

int child_open(size_t size, struct child *ret_child, struct error *err)
{
    void *shared = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return error_set_errno(err, errno, "there is no memory for a child process");
    *ret_child = (struct child){.shared = shared, .size = size, .done_fd = -1};
    return 0;
}

int child_start(struct child *child, void (*run)(const void *wish, void *shared, pid_t parent),
                const void *wish, struct error *err)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return error_set_errno(err, errno, "a child process cannot be started");
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        close(ends[0]);
        run(wish, child->shared, parent);
        _exit(0); /* ends[1] closes with the process */
    }
    int code = errno;
    close(ends[1]);
    if (pid < 0) {
        close(ends[0]);
        return error_set_errno(err, code, "a child process cannot be started");
    }
    child->pid = pid;
    child->done_fd = ends[0];
    child->ended = false;
    return 0;
}

void child_stop(struct child *child)
{
    enum { GRACE_MS = 100 };
    if (child->pid <= 0)
        return;
    kill(child->pid, SIGKILL);
    struct pollfd done = {.fd = child->done_fd, .events = POLLIN};
    (void)poll(&done, 1, GRACE_MS);
    (void)waitpid(child->pid, NULL, WNOHANG);
    child->pid = 0;
}

void child_close(struct child *child)
{
    if (!child->shared)
        return;
    child_stop(child);
    if (child->done_fd >= 0)
        close(child->done_fd);
    munmap(child->shared, child->size);
    *child = (struct child){.done_fd = -1};
}

bool child_die_with(pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    return getppid() == parent;
}
