#include "cli/lock.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/field.h"
#include "cli/guard.h"
#include "cli/locks.h"
#include "cli/response.h"
#include "lib/clock.h"
#include "lib/json.h"
#include "lib/parse.h"
#include "lib/text.h"

enum {
    CLOCKS_MAY_DIFFER_MS = 1000,
    RELEASE_MS = 20 * 1000, /* for a mount that hangs */
    TELL_FAMILY_MS = 1000,  /* that processes of the command still run */
    GUARD_LATE_MS = 500,    /* less than the margin that the sidecar keeps */
    TARGET_SIZE = 8 * 1024,
};

enum { OPTION_WAIT, OPTION_TRY, OPTION_ON_LOST, OPTION_MOUNT, OPTION_PURPOSE, OPTION_AGAIN };

/* How a command under a lock ended. */
enum outcome {
    OUTCOME_REFUSED, /* never granted; code says why */
    OUTCOME_RAN,
    OUTCOME_LOST,
    OUTCOME_DONE_BEFORE,
};

struct locked {
    const struct command_call *call;
    const char *name;           /* as people know it */
    char resource[TARGET_SIZE]; /* "/v1/locks/NAME" */
    char *const *argv;
    enum guard_on_lost on_lost;
    bool once, wants_release;

    struct client *client; /* NULL: the stream has ended */
    struct guard *guard;   /* NULL: nothing runs */
    int signal_fd;
    sigset_t signals; /* as they were blocked before */
    char hold[32];
    int64_t valid_until_ms;
    bool granted, lost, exited, ending, gone, ended, done_before;
    int status; /* as of waitpid(2) */
    int code;   /* why it was not granted */
    int64_t tell_family_ms;
};

/* ---- the sidecar's events ---- */

static void say(const struct locked *l, const char *words)
{
    fputs("efsctl: lock ", stderr);
    text_put(stderr, l->name);
    fprintf(stderr, ": %s\n", words);
}

static void on_waiting(struct locked *l, const json_t *event)
{
    const json_t *holder = json_object_get(event, "holder");
    int64_t before = field_integer(event, "position") - 1;
    fputs("efsctl: waiting for lock ", stderr);
    text_put(stderr, l->name);
    if (before > 0)
        fprintf(stderr, ", behind %lld of this task", (long long)before);
    if (json_is_object(holder)) {
        fputs(", which task ", stderr);
        text_put(stderr, field_text(holder, "task"));
        fputs(" has since ", stderr);
        text_put(stderr, field_text(holder, "since"));
        if (*field_text(holder, "purpose")) {
            fputs(" for \"", stderr);
            text_put(stderr, field_text(holder, "purpose"));
            fputs("\"", stderr);
        }
    }
    fputc('\n', stderr);
}

static int start_command(struct locked *l, const json_t *event)
{
    struct error err;
    const char *token = field_text(event, "token");
    int64_t now_ms = field_integer(event, "now_ms"), difference_ms = clock_now_ms() - now_ms;
    if (difference_ms > CLOCKS_MAY_DIFFER_MS || difference_ms < -CLOCKS_MAY_DIFFER_MS) {
        say(l, "the clock of the sidecar's kernel is not ours: its times mean nothing here");
        return COMMAND_REFUSED;
    }
    if (setenv("EFS_LOCK_NAME", l->name, 1) < 0 || setenv("EFS_LOCK_TOKEN", token, 1) < 0)
        return COMMAND_REFUSED;
    const struct guard_options options = {.argv = l->argv,
                                          .on_lost = l->on_lost,
                                          .valid_until_ms = l->valid_until_ms,
                                          .signals = &l->signals};
    if (guard_start(&options, &l->guard, &err) < 0)
        return command_failed(&err);
    return 0;
}

static int on_granted(struct locked *l, const json_t *event)
{
    snprintf(l->hold, sizeof(l->hold), "%s", field_text(event, "hold"));
    l->valid_until_ms = field_integer(event, "valid_until_ms");
    l->granted = true;
    return start_command(l, event);
}

static void on_lost(struct locked *l, const char *why)
{
    if (l->lost)
        return;
    l->lost = true;
    say(l, why);
    if (l->guard)
        guard_lost(l->guard);
}

static int refused(struct locked *l, const char *words, int code)
{
    say(l, words);
    l->ended = true;
    return code;
}

/* 0 or an exit code. */
static int on_event(struct locked *l, const json_t *event)
{
    const char *name = field_text(event, "event");
    if (strcmp(name, "waiting") == 0) {
        on_waiting(l, event);
    } else if (strcmp(name, "granted") == 0) {
        return on_granted(l, event);
    } else if (strcmp(name, "valid") == 0) {
        l->valid_until_ms = field_integer(event, "valid_until_ms");
        if (l->guard)
            guard_extend(l->guard, l->valid_until_ms);
    } else if (strcmp(name, "lost") == 0) {
        on_lost(l, field_text(event, "reason"));
    } else if (strcmp(name, "released") == 0) {
        l->ended = true;
    } else if (strcmp(name, "done") == 0) {
        l->ended = l->done_before = true;
        l->status = (int)field_integer(event, "exit_status");
    } else if (strcmp(name, "timeout") == 0) {
        return refused(l, "somebody else has it", LOCK_NOT_OBTAINED);
    } else if (strcmp(name, "error") == 0) {
        return refused(l, field_text(event, "message"), COMMAND_REFUSED);
    }
    return 0; /* a newer sidecar may say more */
}

/* The sidecar is gone, or does not speak any more: what was promised holds, and no longer. The
 * guard sees to that. */
static void lose_sidecar(struct locked *l)
{
    client_close(l->client);
    l->client = NULL;
    if (l->granted && !l->ended && !l->gone)
        say(l, "the sidecar is gone: the command may run until the lock's time is up, then it is "
               "ended");
}

static int take_events(struct locked *l)
{
    struct error err;
    const char *line;
    int r, code = 0;
    while (code == 0 && (r = client_line(l->client, 0, &line, &err)) == 1) {
        _cleanup_json_ json_t *event = NULL;
        if (json_parse(line, strlen(line), &event, &err) < 0)
            r = -EPROTO;
        else
            code = on_event(l, event);
        if (r < 0)
            break;
    }
    if (code != 0 || r == -ETIMEDOUT) /* no whole line more */
        return code;
    bool answered = l->granted || l->ended;
    lose_sidecar(l);
    return answered ? 0 : command_failed(&err);
}

/* ---- the guard's reports, and signals ---- */

static void take_reports(struct locked *l)
{
    struct guard_report report;
    int r;
    while ((r = guard_next(l->guard, &report)) == 1) {
        if (report.event == GUARD_EXITED) {
            l->exited = true;
            l->status = report.status;
            l->tell_family_ms = clock_now_ms() + TELL_FAMILY_MS;
        } else if (report.event == GUARD_ENDING) {
            if (!l->lost)
                say(l, "its time is up: the command is ended");
            l->lost = l->ending = true;
        } else {
            l->gone = true;
        }
    }
    if (r < 0 && !l->gone) {
        l->lost = l->gone = true;
        l->wants_release = guard_end_orphans();
        say(l, l->wants_release
                   ? "the guard was killed, and the command with it"
                   : "the guard was killed, and processes of the command are still there: the lock "
                     "is kept until its time is up");
    }
}

/* What is typed at the terminal has reached the command already. */
static int take_signal(struct locked *l)
{
    struct signalfd_siginfo info;
    if (read(l->signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
        return 0;
    int number = (int)info.ssi_signo;
    if (l->guard && info.ssi_code != SI_KERNEL)
        guard_signal(l->guard, number);
    bool ends = number == SIGINT || number == SIGTERM || number == SIGHUP || number == SIGQUIT;
    return !l->guard && ends ? 128 + number : 0;
}

static int open_signals(sigset_t *ret_old)
{
    static const int forwarded[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH};
    struct sigaction action;
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < ARRAY_LEN(forwarded); i++)
        if (sigaction(forwarded[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
            sigaddset(&set, forwarded[i]); /* unless nohup(1) says so */
    sigprocmask(SIG_BLOCK, &set, ret_old);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void tell_family(struct locked *l)
{
    if (!l->exited || clock_now_ms() < l->tell_family_ms)
        return;
    l->tell_family_ms = CLOCK_NEVER;
    say(l, "the command ended, but processes that it started still run; the lock is kept for them");
}

/* When the guard must have begun to end the command; it does so by itself, unless it is stopped. */
static int64_t guard_late_ms(const struct locked *l)
{
    bool has_duty = l->guard && !l->ending && l->on_lost != GUARD_IGNORE;
    return has_duty ? l->valid_until_ms + GUARD_LATE_MS : CLOCK_NEVER;
}

static void check_guard(struct locked *l)
{
    if (clock_now_ms() < guard_late_ms(l))
        return;
    l->ending = true;
    say(l, "its time is up, and the guard, which would end the command, is stopped");
    guard_kill(l->guard);
}

static int64_t due_ms(const struct locked *l)
{
    int64_t late_ms = guard_late_ms(l);
    return l->exited && l->tell_family_ms < late_ms ? l->tell_family_ms : late_ms;
}

/* Until everything is gone, or it was not granted: 0 or an exit code. */
static int follow(struct locked *l)
{
    l->tell_family_ms = CLOCK_NEVER;
    int first = take_events(l); /* what came with the head of the answer */
    if (first != 0 && !l->guard)
        return first;
    while (!l->gone && !(l->ended && !l->granted)) {
        struct pollfd fds[] = {
            {.fd = l->signal_fd, .events = POLLIN},
            {.fd = l->client ? client_fd(l->client) : -1, .events = POLLIN},
            {.fd = l->guard ? guard_fd(l->guard) : -1, .events = POLLIN},
        };
        poll(fds, ARRAY_LEN(fds), clock_poll_timeout(due_ms(l)));
        int code = 0;
        if (fds[1].revents)
            code = take_events(l);
        if (code == 0 && fds[2].revents)
            take_reports(l);
        if (code == 0 && fds[0].revents)
            code = take_signal(l);
        if (code != 0 && !l->guard)
            return code;
        check_guard(l);
        tell_family(l);
    }
    return 0;
}

/* ---- one round: take the lock, run the command, give the lock back ---- */

static int exit_code(int status)
{
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* The sidecar wrote it down: 0, or -errno. */
static int ask_release(struct locked *l, bool done, struct error *err)
{
    char target[TARGET_SIZE + 128];
    _cleanup_client_ struct client *client = NULL;
    _cleanup_json_ json_t *root = NULL;
    const char *text;
    size_t length;
    snprintf(target, sizeof(target), "%s/release?hold=%s&done=%d&exit_status=0", l->resource,
             l->hold, done);
    int r = client_post(l->call->socket_path, target, RELEASE_MS, &client, err);
    if (r == 0)
        r = client_body(client, &text, &length, err);
    if (r == 0)
        r = json_parse(text, length, &root, err);
    if (r == 0 && !json_is_true(json_object_get(root, "released")))
        r = error_set(err, EREMOTEIO, "it could not be written down: who takes it next waits");
    return r;
}

static void release(struct locked *l)
{
    struct error err;
    bool done = l->once && l->exited && exit_code(l->status) == 0 && !l->lost;
    if (ask_release(l, done, &err) == 0 || (l->lost && !done))
        return;
    say(l, err.text);
    if (done) {
        say(l, "that it is done is not known to the others, who will do it again");
        l->lost = true;
    }
}

static enum outcome run_once(struct locked *l)
{
    char target[TARGET_SIZE + 2048];
    const struct command_call *call = l->call;
    snprintf(target, sizeof(target), "%s", l->resource);
    if ((call->values[OPTION_TRY] && response_add_query(target, sizeof(target), "wait_ms", "0")) ||
        (call->values[OPTION_WAIT] &&
         response_add_query(target, sizeof(target), "wait_ms", call->values[OPTION_WAIT])) ||
        (call->values[OPTION_MOUNT] &&
         response_add_query(target, sizeof(target), "mount", call->values[OPTION_MOUNT])) ||
        (call->values[OPTION_PURPOSE] &&
         response_add_query(target, sizeof(target), "purpose", call->values[OPTION_PURPOSE])) ||
        (l->once && !call->values[OPTION_AGAIN] &&
         response_add_query(target, sizeof(target), "once", "1"))) {
        l->code = command_misuse(call, "the arguments are too long");
        return OUTCOME_REFUSED;
    }
    l->granted = l->lost = l->exited = l->gone = l->ended = false;
    l->status = 0;
    l->wants_release = true;
    l->code = command_post(call, target, COMMAND_TIMEOUT_MS, &l->client);
    if (l->code == 0)
        l->code = follow(l);
    if (l->granted && l->wants_release)
        release(l);
    client_close(l->client);
    guard_close(l->guard);
    l->client = NULL;
    l->guard = NULL;
    if (l->done_before)
        return OUTCOME_DONE_BEFORE;
    if (l->code != 0)
        return OUTCOME_REFUSED;
    return l->lost && l->on_lost != GUARD_IGNORE ? OUTCOME_LOST : OUTCOME_RAN;
}

/* ---- the commands ---- */

/* Durations are told in milliseconds. */
static int read_wait(const struct command_call *call, char *buf, size_t size)
{
    int64_t wait_ms;
    const char *text = call->values[OPTION_WAIT];
    if (!text)
        return 0;
    if (call->values[OPTION_TRY])
        return command_misuse(call, "--try and --wait exclude each other");
    if (parse_duration_ms(text, 0, 20LL * 24 * 3600 * 1000, &wait_ms) < 0)
        return command_misuse(call, "--wait: \"%.32s\" is not a time such as 30s or 5m", text);
    snprintf(buf, size, "%lld", (long long)wait_ms);
    return 0;
}

static int read_on_lost(const struct command_call *call, enum guard_on_lost *ret_on_lost)
{
    static const char *const names[] = {
        [GUARD_TERM] = "term", [GUARD_KILL] = "kill", [GUARD_IGNORE] = "ignore"};
    const char *text = call->values[OPTION_ON_LOST];
    for (size_t i = 0; text && i < ARRAY_LEN(names); i++)
        if (strcmp(text, names[i]) == 0) {
            *ret_on_lost = (enum guard_on_lost)i;
            return 0;
        }
    return text ? command_misuse(call, "--on-lost: \"%.32s\" is not term, kill or ignore", text)
                : 0;
}

static int prepare(struct command_call *call, struct locked *l, const char *prefix, char *wait,
                   size_t wait_size)
{
    if (call->n_arguments < 2)
        return command_misuse(call, "a name and a command are needed: efsctl %s %s",
                              call->command->name, call->command->arguments);
    l->name = call->arguments[0];
    l->argv = call->arguments + 1;
    int code = read_wait(call, wait, wait_size);
    if (code == 0)
        code = read_on_lost(call, &l->on_lost);
    if (code == 0 && locks_resource(prefix, l->name, l->resource, sizeof(l->resource)) < 0)
        code = command_misuse(call, "the name is too long");
    if (*wait)
        call->values[OPTION_WAIT] = wait;
    return code;
}

static int run_locked(const struct command_call *given, const char *prefix, bool once, bool again)
{
    struct command_call call = *given;
    struct locked l = {.call = &call, .signal_fd = -1};
    char wait[32] = "";
    int code = prepare(&call, &l, prefix, wait, sizeof(wait));
    if (code != 0)
        return code;
    l.once = once;
    l.signal_fd = open_signals(&l.signals);
    enum outcome outcome = OUTCOME_REFUSED;
    do {
        outcome = run_once(&l);
    } while (again && outcome == OUTCOME_LOST);
    close(l.signal_fd);
    switch (outcome) {
    case OUTCOME_REFUSED:
        return l.code;
    case OUTCOME_LOST:
        return LOCK_LOST;
    case OUTCOME_DONE_BEFORE:
        say(&l, "done before");
        return l.status;
    case OUTCOME_RAN:
        break;
    }
    return exit_code(l.status);
}

int lock_run(const struct command_call *call)
{
    return run_locked(call, "", false, false);
}

int once_run(const struct command_call *call)
{
    return run_locked(call, "once%2F", true, false);
}

int lead_run(const struct command_call *call)
{
    return run_locked(call, "", false, true);
}
