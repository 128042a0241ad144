#include "init/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "init/probe_child.h"
#include "lib/cleanup.h"
#include "lib/clock.h"

const char *const probe_step_names[PROBE_END + 1] = {
    [PROBE_IDENTITY] = "setresuid",
    [PROBE_OPEN] = "open",
    [PROBE_CREATE] = "create",
    [PROBE_WRITE] = "write",
    [PROBE_FSYNC] = "fsync",
    [PROBE_READ] = "read back",
    [PROBE_LOCK] = "lock",
    [PROBE_PROVE] = "read under lock",
    [PROBE_LINK] = "link",
    [PROBE_RENAME] = "rename",
    [PROBE_MKDIR] = "mkdir",
    [PROBE_HOLD] = "read under lock",
    [PROBE_RMDIR] = "rmdir",
    [PROBE_REMOVE] = "unlink",
    [PROBE_LIST] = "list",
    [PROBE_SWEEP] = "sweep",
    [PROBE_END] = "end",
};

int probe_start(const struct probe_wish *wish, struct probe *ret_probe, struct error *err)
{
    int ends[2];
    struct probe_log *log =
        mmap(NULL, sizeof(*log), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (log == MAP_FAILED)
        return error_set_errno(err, errno, "there is no memory for the probe of %s", wish->path);
    for (int i = 0; i < PROBE_END; i++)
        log->took_us[i] = -1;
    log->uid = geteuid();
    log->gid = getegid();
    atomic_store(&log->step_since_ms, clock_now_ms());

    if (pipe2(ends, O_CLOEXEC) < 0) {
        int code = errno;
        munmap(log, sizeof(*log));
        return error_set_errno(err, code, "the probe of %s cannot be started", wish->path);
    }
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        close(ends[0]);
        probe_child_run(wish, parent, log); /* ends[1] closes with the process */
    }
    int code = errno;
    close(ends[1]);
    if (pid < 0) {
        close(ends[0]);
        munmap(log, sizeof(*log));
        return error_set_errno(err, code, "the probe of %s cannot be started", wish->path);
    }
    *ret_probe = (struct probe){.pid = pid, .done_fd = ends[0], .log = log};
    return 0;
}

void probe_stop(struct probe *probe)
{
    enum { GRACE_MS = 100 };
    if (probe->pid <= 0)
        return;
    kill(probe->pid, SIGKILL);
    struct pollfd done = {.fd = probe->done_fd, .events = POLLIN};
    (void)poll(&done, 1, GRACE_MS);
    (void)waitpid(probe->pid, NULL, WNOHANG);
    probe->pid = -1;
}

void probe_release(struct probe *probe)
{
    if (!probe->log)
        return;
    probe_stop(probe);
    close(probe->done_fd);
    munmap(probe->log, sizeof(*probe->log));
    probe->log = NULL;
}

/* ".efs-sidecar-probe.BBBBBBBB.PID.RRRRRRRRRRRRRRRR" and, behind it, nothing, ".link", ".moved" or
 * ".dir". */
bool probe_is_leftover_name(const char *name)
{
    static const char *const tails[] = {"", PROBE_TAIL_LINK, PROBE_TAIL_MOVED, PROBE_TAIL_DIR};
    static const char hex[] = "0123456789abcdef";
    size_t digits;

    if (strncmp(name, PROBE_PREFIX, strlen(PROBE_PREFIX)) != 0)
        return false;
    name += strlen(PROBE_PREFIX);
    if (strspn(name, hex) != PROBE_BOOT_DIGITS || name[PROBE_BOOT_DIGITS] != '.')
        return false;
    name += PROBE_BOOT_DIGITS + 1;
    digits = strspn(name, "0123456789");
    if (digits == 0 || digits > 10 || name[digits] != '.')
        return false;
    name += digits + 1;
    if (strspn(name, hex) != PROBE_RANDOM_DIGITS)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(tails); i++)
        if (strcmp(name + PROBE_RANDOM_DIGITS, tails[i]) == 0)
            return true;
    return false;
}

bool probe_may_write(const struct probe_log *log)
{
    mode_t needed = log->uid == log->owner ? 0300 : log->in_group ? 0030 : 0003;
    return log->uid == 0 || (log->mode & needed) == needed;
}
