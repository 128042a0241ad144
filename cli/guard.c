#include "cli/guard.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/clock.h"

enum {
    KILL_AGAIN_MS = 5, /* until the last one is gone: they may fork meanwhile */
    ORPHANS_MS = 5000,
    DEPTH_MAX = 64,
};

enum order { ORDER_EXTEND, ORDER_LOST, ORDER_SIGNAL };

/* From efsctl to its guard. */
struct message {
    enum order order;
    int number;
    int64_t valid_until_ms;
};

struct guard {
    int fd;
    pid_t pid;
};

/* ---- the guard's own process ---- */

struct watch {
    const struct guard_options *options;
    int fd, signal_fd, timer_fd;
    pid_t command; /* 0: it is reaped */
    int64_t valid_until_ms, grace_ms;
    bool ending, killing; /* all get SIGTERM, all get SIGKILL */
};

static void report(const struct watch *watch, enum guard_event event, int status)
{
    const struct guard_report message = {.event = event, .status = status};
    if (send(watch->fd, &message, sizeof(message), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        return; /* efsctl is gone */
}

static void signal_below(pid_t pid, int number, int depth);

/* All in a list of numbers, with their own families. Who is killed goes first, so that it forks no
 * more; who is asked to end goes last, so that its children are still found. */
static void signal_list(const char *list, int number, int depth)
{
    char *end;
    for (const char *p = list;; p = end) {
        pid_t child = (pid_t)strtol(p, &end, 10);
        if (end == p)
            return;
        if (number == SIGKILL)
            kill(child, number);
        signal_below(child, number, depth + 1);
        if (number != SIGKILL)
            kill(child, number);
    }
}

/* Every descendant of pid, as far as /proc shows them: each thread has children of its own. */
static void signal_below(pid_t pid, int number, int depth)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    _cleanup_closedir_ DIR *threads = depth < DEPTH_MAX ? opendir(path) : NULL;
    _cleanup_free_ char *list = NULL;
    size_t size = 0;
    for (struct dirent *entry; threads && (entry = readdir(threads));) {
        snprintf(path, sizeof(path), "/proc/%d/task/%.16s/children", (int)pid, entry->d_name);
        FILE *file = *entry->d_name == '.' ? NULL : fopen(path, "re");
        if (!file)
            continue;
        ssize_t n = getline(&list, &size, file); /* there is one */
        fclose(file);
        if (n > 0)
            signal_list(list, number, depth);
    }
}

/* The whole family; a kernel that does not list children leaves the command itself. */
static void signal_all(const struct watch *watch, int number)
{
    signal_below(getpid(), number, 0);
    if (watch->command > 0)
        kill(watch->command, number);
}

static void end_all(struct watch *watch)
{
    if (watch->options->on_lost == GUARD_IGNORE || watch->ending)
        return;
    watch->ending = true;
    report(watch, GUARD_ENDING, 0);
    if (watch->options->on_lost == GUARD_KILL)
        watch->killing = true;
    else
        signal_all(watch, SIGTERM);
    signal_all(watch, SIGCONT); /* what is stopped cannot end */
}

static int64_t check_time(struct watch *watch)
{
    if (watch->options->on_lost == GUARD_IGNORE)
        return CLOCK_NEVER;
    int64_t now_ms = clock_now_ms();
    if (now_ms >= watch->valid_until_ms - watch->grace_ms)
        end_all(watch);
    if (now_ms >= watch->valid_until_ms)
        watch->killing = true;
    if (watch->killing) {
        signal_all(watch, SIGKILL);
        return now_ms + KILL_AGAIN_MS;
    }
    return watch->ending ? watch->valid_until_ms : watch->valid_until_ms - watch->grace_ms;
}

/* false: nobody is left. */
static bool reap(struct watch *watch)
{
    for (;;) {
        int status;
        pid_t pid = waitpid(-1, &status, WNOHANG);
        if (pid == 0)
            return true;
        if (pid < 0 && errno == EINTR)
            continue;
        if (pid < 0)
            return false;
        if (pid == watch->command) {
            watch->command = 0;
            report(watch, GUARD_EXITED, status);
        }
    }
}

static void obey(struct watch *watch, const struct message *message)
{
    switch (message->order) {
    case ORDER_EXTEND:
        if (!watch->ending)
            watch->valid_until_ms = message->valid_until_ms;
        break;
    case ORDER_LOST:
        end_all(watch);
        break;
    case ORDER_SIGNAL:
        if (watch->command > 0)
            kill(watch->command, message->number);
        else /* what it left behind keeps the lock */
            signal_all(watch, message->number);
        break;
    }
}

/* false: efsctl is gone. Its last word on the time stands. */
static bool listen_to_efsctl(struct watch *watch)
{
    struct message message;
    ssize_t n = recv(watch->fd, &message, sizeof(message), MSG_DONTWAIT);
    if (n == (ssize_t)sizeof(message))
        obey(watch, &message);
    return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

/* The timeout of poll(2) would stand still while the machine sleeps. Setting it again makes the
 * descriptor silent. */
static void set_timer(const struct watch *watch, int64_t until_ms)
{
    struct itimerspec when = {0};
    if (until_ms != CLOCK_NEVER)
        when.it_value =
            (struct timespec){.tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000};
    timerfd_settime(watch->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

static void watch_over(struct watch *watch)
{
    bool has_master = true;
    while (reap(watch)) {
        set_timer(watch, check_time(watch));
        struct signalfd_siginfo info;
        struct pollfd fds[] = {{.fd = watch->signal_fd, .events = POLLIN},
                               {.fd = has_master ? watch->fd : -1, .events = POLLIN},
                               {.fd = watch->timer_fd, .events = POLLIN}};
        poll(fds, ARRAY_LEN(fds), -1);
        while (read(watch->signal_fd, &info, sizeof(info)) > 0) {}
        if (fds[1].revents)
            has_master = listen_to_efsctl(watch);
    }
    report(watch, GUARD_GONE, 0);
}

/* What efsctl would close for its commands: above all the connection that keeps the lock. It must
 * end with efsctl. */
static void close_private(int but)
{
    int numbers[256];
    size_t n = 0;
    DIR *dir = opendir("/proc/self/fd");
    for (struct dirent *entry; dir && (entry = readdir(dir)) && n < ARRAY_LEN(numbers);)
        if (strspn(entry->d_name, "0123456789") == strlen(entry->d_name))
            numbers[n++] = (int)strtol(entry->d_name, NULL, 10);
    if (dir)
        closedir(dir);
    for (size_t i = 0; i < n; i++)
        if (numbers[i] != but && fcntl(numbers[i], F_GETFD) > 0) /* FD_CLOEXEC */
            close(numbers[i]);
    if (!dir) /* without /proc: all */
        for (int fd = STDERR_FILENO + 1; fd < 1024; fd++)
            if (fd != but)
                close(fd);
}

static _Noreturn void become_command(const struct guard_options *options, pid_t group)
{
    pid_t guard = getppid();
    setpgid(0, group); /* the terminal is efsctl's, so it is the command's */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != guard)
        _exit(GUARD_NOT_RUN);
    sigprocmask(SIG_SETMASK, options->signals, NULL);
    execvp(options->argv[0], options->argv);
    int code = errno;
    dprintf(STDERR_FILENO, "efsctl: cannot run %s: %s\n", options->argv[0], strerror(code));
    _exit(code == ENOENT ? GUARD_NOT_FOUND : GUARD_NOT_RUN);
}

static _Noreturn void become_guard(const struct guard_options *options, int fd)
{
    struct watch watch = {.options = options, .fd = fd, .valid_until_ms = options->valid_until_ms};
    sigset_t all;
    int64_t fifth_ms = (options->valid_until_ms - clock_now_ms()) / 5;
    pid_t group = getpgrp();
    watch.grace_ms = fifth_ms < GUARD_GRACE_MS ? fifth_ms : GUARD_GRACE_MS;
    close_private(fd);
    setpgid(0, 0); /* what is typed at the terminal is not for the guard */
    prctl(PR_SET_NAME, "efsctl-guard");
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    watch.signal_fd = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
    watch.timer_fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (options->on_lost != GUARD_IGNORE && clock_now_ms() >= options->valid_until_ms) {
        report(&watch, GUARD_ENDING, 0); /* efsctl was stopped meanwhile: others may have it */
        report(&watch, GUARD_GONE, 0);
        _exit(0);
    }
    watch.command = watch.signal_fd < 0 || watch.timer_fd < 0 ? -1 : fork();
    if (watch.command == 0)
        become_command(options, group);
    if (watch.command < 0) {
        dprintf(STDERR_FILENO, "efsctl: cannot run %s: %s\n", options->argv[0], strerror(errno));
        watch.command = 0;
        report(&watch, GUARD_EXITED, GUARD_NOT_RUN << 8);
    }
    watch_over(&watch);
    _exit(0);
}

/* ---- efsctl's side ---- */

int guard_start(const struct guard_options *options, struct guard **ret_guard, struct error *err)
{
    _cleanup_free_ struct guard *guard = malloc(sizeof(*guard));
    int fds[2];
    sigset_t all, old;
    if (!guard || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
        return error_set_errno(err, guard ? errno : ENOMEM, "the guard cannot be started");
    _cleanup_close_ int ours = fds[0], theirs = fds[1];
    fflush(NULL);
    prctl(PR_SET_CHILD_SUBREAPER, 1); /* see guard_end_orphans() */
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &old); /* no handler of ours runs there */
    pid_t pid = fork();
    if (pid == 0)
        become_guard(options, theirs);
    int code = errno;
    sigprocmask(SIG_SETMASK, &old, NULL);
    if (pid < 0)
        return error_set_errno(err, code, "the guard cannot be started");
    guard->fd = take_fd(&ours);
    guard->pid = pid;
    *ret_guard = take_ptr(guard);
    return 0;
}

void guard_close(struct guard *guard)
{
    if (!guard)
        return;
    close(guard->fd);
    free(guard);
}

int guard_fd(const struct guard *guard)
{
    return guard->fd;
}

int guard_next(struct guard *guard, struct guard_report *ret_report)
{
    struct guard_report message;
    ssize_t n;
    do { /* ECONNRESET comes once when it ended with orders unread, before its last words */
        n = recv(guard->fd, &message, sizeof(message), MSG_DONTWAIT);
    } while (n < 0 && errno == ECONNRESET);
    if (n == (ssize_t)sizeof(message)) {
        *ret_report = message;
        return 1;
    }
    return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -EPIPE;
}

void guard_kill(struct guard *guard)
{
    kill(guard->pid, SIGKILL);
}

bool guard_end_orphans(void)
{
    const struct timespec pause = {.tv_nsec = KILL_AGAIN_MS * 1000000L};
    int64_t until_ms = clock_now_ms() + ORPHANS_MS;
    for (;;) {
        signal_below(getpid(), SIGKILL, 0);
        pid_t pid;
        do {
            pid = waitpid(-1, NULL, WNOHANG);
        } while (pid > 0);
        if (pid < 0 && errno == ECHILD)
            return true;
        if (clock_now_ms() >= until_ms)
            return false;
        nanosleep(&pause, NULL);
    }
}

/* A guard that does not read is stopped, or busy with the end: it goes by what it knows. */
static void order(struct guard *guard, const struct message *message)
{
    if (send(guard->fd, message, sizeof(*message), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        return;
}

void guard_extend(struct guard *guard, int64_t valid_until_ms)
{
    order(guard, &(struct message){.order = ORDER_EXTEND, .valid_until_ms = valid_until_ms});
}

void guard_lost(struct guard *guard)
{
    order(guard, &(struct message){.order = ORDER_LOST});
}

void guard_signal(struct guard *guard, int number)
{
    order(guard, &(struct message){.order = ORDER_SIGNAL, .number = number});
}
