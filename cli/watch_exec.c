#include "cli/watch_exec.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/watch_view.h"
#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/debounce.h"
#include "lib/json_path.h"
#include "lib/share/change.h"

enum { BATCH_MAX = 1024 * 1024, MOST_FACTOR = 10, EXIT_NO_SHELL = 127 };

struct watch_exec {
    const char *command;
    struct debounce debounce;
    FILE *batch; /* in memory: the lines for the next run */
    char *text;
    size_t length;
    char *path, *op; /* of its last change */
    char cursor[CHANGE_CURSOR_TEXT];

    pid_t pid; /* 0: none runs */
    char run_cursor[CHANGE_CURSOR_TEXT];
    int code;
};

int watch_exec_open(const char *command, int64_t debounce_ms, struct watch_exec **ret_exec)
{
    struct watch_exec *exec = calloc(1, sizeof(*exec));
    if (!exec)
        return -ENOMEM;
    exec->command = command;
    exec->debounce =
        (struct debounce){.quiet_ms = debounce_ms, .most_ms = MOST_FACTOR * debounce_ms};
    *ret_exec = exec;
    return 0;
}

static void forget_batch(struct watch_exec *exec)
{
    if (exec->batch)
        fclose(exec->batch);
    free(exec->text);
    free(exec->path);
    free(exec->op);
    exec->batch = NULL;
    exec->text = exec->path = exec->op = NULL;
    exec->length = 0;
}

void watch_exec_close(struct watch_exec *exec)
{
    if (!exec)
        return;
    forget_batch(exec);
    free(exec);
}

/* ---- the batch ---- */

char *watch_exec_path(const json_t *change)
{
    const char *mount = watch_text(change, "mount");
    _cleanup_free_ char *path = NULL;
    char *whole;
    if (json_path_get(change, "path", &path, NULL) < 0)
        return NULL;
    if (strcmp(mount, "/") == 0)
        mount = "";
    bool joined = *path || !*mount;
    return asprintf(&whole, "%s%s%s", mount, joined ? "/" : "", path) < 0 ? NULL : whole;
}

bool watch_exec_has_room(const struct watch_exec *exec)
{
    return exec->length < BATCH_MAX;
}

int watch_exec_add(struct watch_exec *exec, const char *line, const json_t *change)
{
    _cleanup_free_ char *path = watch_exec_path(change), *op = strdup(watch_text(change, "op"));
    if (!exec->batch)
        exec->batch = open_memstream(&exec->text, &exec->length);
    if (!path || !op || !exec->batch || fprintf(exec->batch, "%s\n", line) < 0 ||
        fflush(exec->batch) != 0)
        return -ENOMEM;
    free(exec->path);
    free(exec->op);
    exec->path = take_ptr(path);
    exec->op = take_ptr(op);
    snprintf(exec->cursor, sizeof(exec->cursor), "%s", watch_text(change, "cursor"));
    debounce_note(&exec->debounce, clock_now_ms());
    return 0;
}

/* ---- the run ---- */

bool watch_exec_waits(const struct watch_exec *exec)
{
    return exec->debounce.waiting;
}

bool watch_exec_runs(const struct watch_exec *exec)
{
    return exec->pid > 0;
}

int64_t watch_exec_due_ms(const struct watch_exec *exec)
{
    return debounce_due_ms(&exec->debounce);
}

static int batch_as_file(const struct watch_exec *exec, int *ret_fd)
{
    _cleanup_close_ int fd = memfd_create("changes", MFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    for (size_t done = 0; done < exec->length;) {
        ssize_t n = write(fd, exec->text + done, exec->length - done);
        if (n < 0)
            return -errno;
        done += (size_t)n;
    }
    if (lseek(fd, 0, SEEK_SET) < 0)
        return -errno;
    *ret_fd = take_fd(&fd);
    return 0;
}

static _Noreturn void become_command(const struct watch_exec *exec, int stdin_fd, pid_t parent)
{
    sigset_t none;
    sigemptyset(&none);
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent || dup2(stdin_fd, STDIN_FILENO) < 0 ||
        setenv("EFS_WATCH_PATH", exec->path, 1) < 0 || setenv("EFS_WATCH_OP", exec->op, 1) < 0 ||
        setenv("EFS_WATCH_CURSOR", exec->cursor, 1) < 0)
        _exit(EXIT_NO_SHELL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execl("/bin/sh", "sh", "-c", exec->command, (char *)NULL);
    static const char message[] = "efsctl: --exec needs /bin/sh, which cannot be run here\n";
    (void)!write(STDERR_FILENO, message, sizeof(message) - 1);
    _exit(EXIT_NO_SHELL);
}

int watch_exec_start(struct watch_exec *exec, struct error *err)
{
    _cleanup_close_ int stdin_fd = -1;
    pid_t parent = getpid();
    int r = batch_as_file(exec, &stdin_fd);
    if (r < 0)
        return error_set_errno(err, -r, "cannot keep the changes for the command");
    fflush(NULL);
    pid_t pid = fork();
    if (pid < 0)
        return error_set_errno(err, errno, "cannot start the command");
    if (pid == 0)
        become_command(exec, stdin_fd, parent);
    setpgid(pid, pid); /* whoever comes first */
    exec->pid = pid;
    memcpy(exec->run_cursor, exec->cursor, sizeof(exec->cursor));
    forget_batch(exec);
    debounce_begin(&exec->debounce);
    return 0;
}

void watch_exec_signal(const struct watch_exec *exec, int signal_number)
{
    if (exec->pid > 0)
        kill(-exec->pid, signal_number);
}

bool watch_exec_reap(struct watch_exec *exec)
{
    int status;
    if (exec->pid <= 0 || waitpid(exec->pid, &status, WNOHANG) != exec->pid)
        return false;
    exec->pid = 0;
    exec->code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    debounce_end(&exec->debounce);
    return true;
}

int watch_exec_code(const struct watch_exec *exec)
{
    return exec->code;
}

const char *watch_exec_cursor(const struct watch_exec *exec)
{
    return exec->run_cursor;
}
