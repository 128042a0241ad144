#include "cli/held.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/field.h"
#include "lib/clock.h"
#include "lib/json.h"
#include "lib/text.h"

enum {
    CLOCKS_MAY_DIFFER_MS = 1000,
    TELL_FAMILY_MS = 1000, /* that processes of the command still run */
    GUARD_LATE_MS = 500,   /* less than the margin that the sidecar keeps */
};

void held_say(const struct held *held, const char *words)
{
    fprintf(stderr, "efsctl: %s ", held->kind);
    text_put(stderr, held->name);
    fputs(": ", stderr);
    text_put(stderr, words);
    fputc('\n', stderr);
}

/* ---- the sidecar's events ---- */

int held_start(struct held *held, char *const *argv, const json_t *event)
{
    struct error err;
    int64_t difference_ms = clock_now_ms() - field_integer(event, "now_ms");
    held->valid_until_ms = field_integer(event, "valid_until_ms");
    held->started = true;
    if (difference_ms > CLOCKS_MAY_DIFFER_MS || difference_ms < -CLOCKS_MAY_DIFFER_MS) {
        held_say(held,
                 "the clock of the sidecar's kernel is not ours: its times mean nothing here");
        return COMMAND_REFUSED;
    }
    const struct guard_options options = {.argv = argv,
                                          .on_lost = held->on_lost,
                                          .valid_until_ms = held->valid_until_ms,
                                          .signals = &held->signals};
    if (guard_start(&options, &held->guard, &err) < 0)
        return command_failed(&err);
    return 0;
}

static void lose(struct held *held, const char *why)
{
    if (held->lost)
        return;
    held->lost = true;
    held_say(held, why);
    if (held->guard)
        guard_lost(held->guard);
}

/* 0 or an exit code. */
static int on_event(struct held *held, const json_t *event)
{
    const char *name = field_text(event, "event");
    if (strcmp(name, "valid") == 0) {
        held->valid_until_ms = field_integer(event, "valid_until_ms");
        if (held->guard)
            guard_extend(held->guard, held->valid_until_ms);
    } else if (strcmp(name, "lost") == 0) {
        lose(held, field_text(event, "reason"));
    }
    return held->ops->event(held->arg, name, event);
}

void held_close_stream(struct held *held)
{
    client_close(held->client);
    held->client = NULL;
}

/* The sidecar is gone, or does not speak any more: what was promised holds, and no longer. The
 * guard sees to that. */
static void lose_sidecar(struct held *held)
{
    held_close_stream(held);
    if (held->started && !held->ended && !held->gone)
        held_say(held, "the sidecar is gone: the command may run until its time is up, then it is "
                       "ended");
}

static int take_events(struct held *held)
{
    struct error err;
    const char *line;
    int r = -ETIMEDOUT, code = 0;
    if (!held->client)
        return 0;
    while (code == 0 && (r = client_line(held->client, 0, &line, &err)) == 1) {
        _cleanup_json_ json_t *event = NULL;
        if (json_parse(line, strlen(line), &event, &err) < 0)
            r = -EPROTO;
        else
            code = on_event(held, event);
        if (r < 0)
            break;
    }
    if (code != 0 || r == -ETIMEDOUT) /* no whole line more */
        return code;
    bool answered = held->started || held->ended;
    if (r == 0)
        error_set(&err, EPIPE, "the sidecar ended its answer");
    lose_sidecar(held);
    return answered ? 0 : command_failed(&err);
}

/* ---- the guard's reports, and signals ---- */

static void take_reports(struct held *held)
{
    struct guard_report report;
    int r;
    while ((r = guard_next(held->guard, &report)) == 1) {
        if (report.event == GUARD_EXITED) {
            held->exited = true;
            held->status = report.status;
            held->tell_family_ms = clock_now_ms() + TELL_FAMILY_MS;
        } else if (report.event == GUARD_ENDING) {
            if (!held->lost)
                held_say(held, "its time is up: the command is ended");
            held->lost = held->ending = true;
        } else {
            held->gone = true;
        }
    }
    if (r < 0 && !held->gone) {
        held->lost = held->gone = true;
        held->orphans = !guard_end_orphans();
        held_say(held, held->orphans
                           ? "the guard was killed, and processes of the command are still there: "
                             "it is kept until its time is up"
                           : "the guard was killed, and the command with it");
    }
}

/* What is typed at the terminal has reached the command already. */
static int take_signal(struct held *held)
{
    struct signalfd_siginfo info;
    if (read(held->signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
        return 0;
    int number = (int)info.ssi_signo;
    if (held->guard && info.ssi_code != SI_KERNEL)
        guard_signal(held->guard, number);
    bool ends = number == SIGINT || number == SIGTERM || number == SIGHUP || number == SIGQUIT;
    if (ends)
        held->told_to_end = number;
    return !held->guard && ends ? 128 + number : 0;
}

int held_open(struct held *held)
{
    static const int forwarded[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH};
    struct sigaction action;
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < ARRAY_LEN(forwarded); i++)
        if (sigaction(forwarded[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
            sigaddset(&set, forwarded[i]); /* unless nohup(1) says so */
    sigprocmask(SIG_BLOCK, &set, &held->signals);
    held->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    struct error err;
    if (held->signal_fd >= 0)
        return 0;
    error_set_errno(&err, errno, "signals cannot be waited for");
    return command_failed(&err);
}

void held_close(struct held *held)
{
    close(held->signal_fd);
}

static void tell_family(struct held *held)
{
    if (!held->exited || clock_now_ms() < held->tell_family_ms)
        return;
    held->tell_family_ms = CLOCK_NEVER;
    held_say(held,
             "the command ended, but processes that it started still run; it is kept for them");
}

/* When the guard must have begun to end the command; it does so by itself, unless it is stopped. */
static int64_t guard_late_ms(const struct held *held)
{
    bool has_duty = held->guard && !held->ending && held->on_lost != GUARD_IGNORE;
    return has_duty ? held->valid_until_ms + GUARD_LATE_MS : CLOCK_NEVER;
}

static void check_guard(struct held *held)
{
    if (clock_now_ms() < guard_late_ms(held))
        return;
    held->ending = true;
    held_say(held, "its time is up, and the guard, which would end the command, is stopped");
    guard_kill(held->guard);
}

static int64_t due_ms(const struct held *held)
{
    int64_t late_ms = guard_late_ms(held);
    return held->exited && held->tell_family_ms < late_ms ? held->tell_family_ms : late_ms;
}

int held_follow(struct held *held)
{
    held->tell_family_ms = CLOCK_NEVER;
    int first = take_events(held); /* what came with the head of the answer */
    if (first != 0 && !held->guard)
        return first;
    while (!held->gone && !(held->ended && !held->started)) {
        struct pollfd fds[] = {
            {.fd = held->signal_fd, .events = POLLIN},
            {.fd = held->client ? client_fd(held->client) : -1, .events = POLLIN},
            {.fd = held->guard ? guard_fd(held->guard) : -1, .events = POLLIN},
        };
        poll(fds, ARRAY_LEN(fds), clock_poll_timeout(due_ms(held)));
        int code = 0;
        if (fds[1].revents)
            code = take_events(held);
        if (code == 0 && fds[2].revents)
            take_reports(held);
        if (code == 0 && fds[0].revents)
            code = take_signal(held);
        if (code != 0 && !held->guard)
            return code;
        check_guard(held);
        tell_family(held);
    }
    return 0;
}

void held_clear(struct held *held)
{
    guard_close(held->guard);
    held->guard = NULL;
    held->started = held->exited = held->lost = held->ending = held->gone = held->orphans = false;
    held->status = 0;
}

int held_exit_code(const struct held *held)
{
    int status = held->status;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
