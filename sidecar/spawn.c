#include "sidecar/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/cleanup.h"

static pid_t children[SPAWN_CHILDREN_MAX]; /* 0: free */

/* NULL: it is none of ours. */
static pid_t *find_child(pid_t pid)
{
    for (size_t i = 0; i < ARRAY_LEN(children); i++)
        if (children[i] == pid)
            return &children[i];
    return NULL;
}

/* fds[i] becomes SPAWN_FD + i, whatever numbers they have now. */
static int pass_on(const int fds[], int n_fds)
{
    int copies[SPAWN_FDS_MAX];
    for (int i = 0; i < n_fds; i++)
        if ((copies[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, SPAWN_FD + SPAWN_FDS_MAX)) < 0)
            return -1;
    for (int i = 0; i < n_fds; i++)
        if (dup2(copies[i], SPAWN_FD + i) < 0)
            return -1;
    return 0;
}

/* A program that is there and cannot be executed is the one that was meant. */
static void say_why(const char *beside, const char *name, int beside_errno, int path_errno)
{
    const char *const words[] = {
        beside_errno == ENOENT || !*beside ? name : beside, " cannot be executed: ",
        strerrordesc_np(beside_errno == ENOENT || !*beside ? path_errno : beside_errno), "\n"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (words[i] && write(STDERR_FILENO, words[i], strlen(words[i])) < 0)
            return;
}

/* Between fork and exec of a process with threads: only what is safe in a signal handler. */
static void become(const char *beside, char *const argv[], const int fds[], int n_fds, int err_fd,
                   pid_t parent)
{
    sigset_t none;
    int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL); /* those that cannot be set stay */
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) /* it died before that */
        _exit(0);
    if (null_fd < 0 || dup2(null_fd, STDIN_FILENO) < 0 || dup2(null_fd, STDOUT_FILENO) < 0 ||
        dup2(err_fd, STDERR_FILENO) < 0)
        _exit(SPAWN_NOT_FOUND);
    if (pass_on(fds, n_fds) < 0)
        _exit(SPAWN_NOT_FOUND);
    execv(beside, argv);
    int beside_errno = errno;
    execvp(argv[0], argv);
    say_why(beside, argv[0], beside_errno, errno);
    _exit(SPAWN_NOT_FOUND);
}

/* Where argv[0] would be if it was installed together with us; "" when that is not known. */
static void find_beside(const char *program, char *buf, size_t size)
{
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    buf[0] = '\0';
    if (n <= 0)
        return;
    self[n] = '\0';
    char *slash = strrchr(self, '/');
    if (slash && snprintf(buf, size, "%.*s/%s", (int)(slash - self), self, program) >= (int)size)
        buf[0] = '\0';
}

/* What a child needs of the environment: no credentials are among it, whatever they are called. */
static bool is_passed_on(const char *entry)
{
    static const char *const names[] = {"EFS_SIDECAR_",  "PATH=",         "LD_",
                                        "TZ=",           "LANG=",         "LC_",
                                        "ASAN_OPTIONS=", "LSAN_OPTIONS=", "UBSAN_OPTIONS="};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strncmp(entry, names[i], strlen(names[i])) == 0)
            return true;
    return false;
}

/* Pointers into our own environment, which nobody changes. */
static char **environment_of_child(void)
{
    size_t n = 0, kept = 0;
    while (environ[n])
        n++;
    char **passed = calloc(n + 1, sizeof(*passed));
    for (size_t i = 0; passed && i < n; i++)
        if (is_passed_on(environ[i]))
            passed[kept++] = environ[i];
    return passed;
}

int spawn_beside(char *const argv[], const int fds[], int n_fds, int err_fd, pid_t *ret_pid)
{
    char beside[PATH_MAX];
    sigset_t all, old;
    pid_t parent = getpid();

    pid_t *place = find_child(0);
    if (n_fds > SPAWN_FDS_MAX || !place)
        return place ? -EINVAL : -EAGAIN;
    find_beside(argv[0], beside, sizeof(beside));
    _cleanup_free_ char **envp = environment_of_child();
    if (!envp)
        return -ENOMEM;
    /* A signal that came to the child before its exec would run our handlers there. */
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &old);
    pid_t pid = fork();
    if (pid == 0) {
        environ = envp;
        become(beside, argv, fds, n_fds, err_fd, parent);
    }
    int r = pid < 0 ? -errno : 0;
    sigprocmask(SIG_SETMASK, &old, NULL);
    if (r == 0)
        *ret_pid = *place = pid;
    return r;
}

int spawn_wait(pid_t pid, int *ret_status)
{
    int status;
    pid_t *place = find_child(pid);
    if (!place || waitpid(pid, &status, WNOHANG) != pid)
        return 0;
    *place = 0;
    *ret_status = status;
    return 1;
}

/* Those that ended behind one of ours come with the next call, after spawn_wait() for that one. */
void spawn_reap_strays(void)
{
    siginfo_t ended = {.si_pid = 0};
    while (waitid(P_ALL, 0, &ended, WEXITED | WNOHANG | WNOWAIT) == 0 && ended.si_pid > 0 &&
           !find_child(ended.si_pid))
        waitpid(ended.si_pid, NULL, WNOHANG);
}
