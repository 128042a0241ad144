#include "sidecar/reaction_signal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/fs.h"
#include "lib/parse.h"

enum { FOUND_MAX = 256, STATUS_MAX = 16 * 1024, PROC_PATH = 32 };

struct process {
    pid_t pid, parent;
    uid_t uid;
    uint64_t handled; /* signals that do not simply end it */
};

struct found {
    size_t n;
    struct process of[FOUND_MAX];
};

static uint64_t number_of(const char *status, const char *key, int base)
{
    const char *line = strstr(status, key);
    return line ? strtoull(line + strlen(key), NULL, base) : 0;
}

static bool has_name(pid_t pid, const char *status, const char *name)
{
    char path[PROC_PATH], target[PATH_MAX];
    size_t length = strlen(name);
    if (strncmp(status, "Name:\t", 6) == 0 && strncmp(status + 6, name, length) == 0 &&
        status[6 + length] == '\n')
        return true;
    snprintf(path, sizeof(path), "/proc/%d/exe", pid);
    ssize_t n = readlink(path, target, sizeof(target) - 1);
    if (n < 0)
        return false;
    target[n] = '\0';
    char *deleted = strstr(target, " (deleted)");
    if (deleted)
        *deleted = '\0';
    const char *slash = strrchr(target, '/');
    return slash && strcmp(slash + 1, name) == 0;
}

/* false: it is gone, or another one. */
static bool look_at(pid_t pid, const char *name, struct process *ret_process)
{
    char path[PROC_PATH];
    _cleanup_free_ char *status = NULL;
    snprintf(path, sizeof(path), "/proc/%d/status", pid);
    if (fs_read_file(AT_FDCWD, path, STATUS_MAX, &status, NULL) < 0 ||
        strstr(status, "\nState:\tZ"))
        return false;
    *ret_process = (struct process){
        .pid = pid,
        .parent = (pid_t)number_of(status, "\nPPid:\t", 10),
        .uid = (uid_t)number_of(status, "\nUid:\t", 10),
        .handled = number_of(status, "\nSigCgt:\t", 16) | number_of(status, "\nSigIgn:\t", 16) |
                   number_of(status, "\nSigBlk:\t", 16), /* who blocks it reads it elsewhere */
    };
    return has_name(pid, status, name);
}

static int find(const char *name, struct found *found)
{
    _cleanup_closedir_ DIR *proc = opendir("/proc");
    if (!proc)
        return -errno;
    for (struct dirent *entry; found->n < FOUND_MAX && (entry = readdir(proc));) {
        int64_t pid;
        if (parse_i64(entry->d_name, 1, INT_MAX, &pid) == 0 && pid != getpid() &&
            look_at((pid_t)pid, name, &found->of[found->n]))
            found->n++;
    }
    return 0;
}

static bool has_parent_among(const struct process *process, const struct found *found)
{
    for (size_t i = 0; i < found->n; i++)
        if (found->of[i].pid == process->parent)
            return true;
    return false;
}

static bool would_die(const struct process *process, int signal_number)
{
    bool tells_only =
        signal_number == SIGHUP || signal_number == SIGUSR1 || signal_number == SIGUSR2;
    return tells_only && !(process->handled >> (signal_number - 1) & 1);
}

/* By a descriptor, so that nobody else gets it if the process ends just now. */
static int send_to(const struct process *process, const char *name, int signal_number)
{
    struct process now;
    _cleanup_close_ int fd = pidfd_open(process->pid, 0);
    if (fd < 0)
        return -errno;
    if (!look_at(process->pid, name, &now))
        return -ESRCH;
    if (would_die(&now, signal_number))
        return -EAGAIN;
    return pidfd_send_signal(fd, signal_number, NULL, 0) < 0 ? -errno : 0;
}

static int describe(int code, const struct process *process, const char *name, int signal_number,
                    struct error *err)
{
    switch (code) {
    case EPERM:
        return error_set(err, EPERM,
                         "%s (pid %d, uid %u) may not be signalled by uid %u: let the sidecar run "
                         "as root, or as the same user",
                         name, process->pid, process->uid, (unsigned)geteuid());
    case EAGAIN:
        return error_set(err, EAGAIN,
                         "%s (pid %d) does not handle SIG%s, which would end it: it was not sent",
                         name, process->pid, sigabbrev_np(signal_number));
    default:
        return error_set_errno(err, code, "%s (pid %d) could not be signalled", name, process->pid);
    }
}

int reaction_signal_send(const char *name, int signal_number, size_t *ret_sent, struct error *err)
{
    struct found found = {0};
    size_t sent = 0;
    int r = find(name, &found);
    if (r < 0)
        return error_set_errno(err, -r, "/proc cannot be read");
    r = error_set(err, ESRCH,
                  "no process called %s is seen from here; containers of a task see each other's "
                  "processes only when the task definition has \"pidMode\": \"task\"",
                  name);
    for (size_t i = 0; i < found.n; i++) {
        const struct process *process = &found.of[i];
        int one =
            has_parent_among(process, &found) ? -ESRCH : send_to(process, name, signal_number);
        if (one == 0)
            sent++;
        else if (one != -ESRCH)
            r = describe(-one, process, name, signal_number, err);
    }
    if (sent == 0)
        return r;
    *ret_sent = sent;
    return 0;
}
