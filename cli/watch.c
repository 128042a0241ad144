#include "cli/watch.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "cli/response.h"
#include "cli/watch_cursor.h"
#include "cli/watch_exec.h"
#include "cli/watch_view.h"
#include "lib/clock.h"
#include "lib/json.h"
#include "lib/parse.h"

enum {
    IDLE_MS = 45 * 1000,      /* the sidecar sends a line every 15 s */
    LINES_PER_TURN = 256,     /* then signals and the clock have their turn */
    DEBOUNCE_MS = 200,        /* of --exec */
    KILL_AFTER_MS = 20 * 1000 /* a command that a signal to us has not ended */
};

enum {
    OPTION_JSON,
    OPTION_TEXT,
    OPTION_MOUNT,
    OPTION_SINCE,
    OPTION_CURSOR_FILE,
    OPTION_REMOTE_ONLY,
    OPTION_OP,
    OPTION_EXEC,
    OPTION_DEBOUNCE,
    OPTION_ONCE,
};

struct watch {
    const struct command_call *call;
    struct watch_exec *exec; /* NULL: the lines are printed */
    struct client *client;   /* NULL: the stream has ended, */
    struct error end;        /* for this reason */
    bool json, once;
    bool several_mounts;
    bool done; /* with --once */
    int signal_fd;
    int stop_signal; /* 0: none came */
    int64_t idle_ms; /* when the stream is too silent */
    int64_t kill_ms;
    struct watch_cursor cursor; /* of the last line that was dealt with */
    char mount[256];            /* of the first line that had one */
};

/* An absolute PATH is asked for as its mount and the rest. */
static int add_path(const struct command_call *call, char *target, size_t size)
{
    _cleanup_client_ struct client *client = NULL;
    _cleanup_json_ json_t *status = NULL;
    const char *path = call->n_arguments > 0 ? call->arguments[0] : "";
    const char *mount = call->values[OPTION_MOUNT];
    if (*path == '/' && mount)
        return command_misuse(call, "PATH is relative to the mount when --mount is given");
    if (*path == '/') {
        int code = command_get(call, "/v1/status", COMMAND_TIMEOUT_MS, &client, &status, NULL);
        if (code != 0)
            return code;
        if (watch_find_mount(status, path, &mount, &path) < 0)
            return command_misuse(call, "%.1000s lies on none of the sidecar's mounts", path);
    }
    size_t length = strlen(path);
    while (length > 0 && path[length - 1] == '/')
        length--;
    _cleanup_free_ char *prefix = strndup(path, length);
    if (!prefix || (mount && response_add_query(target, size, "mount", mount) < 0) ||
        (*prefix && response_add_query(target, size, "path", prefix) < 0))
        return command_misuse(call, "PATH is too long");
    return 0;
}

/* ---- the stream ---- */

/* Each mount has its own cursors. */
static int check_mount(struct watch *w, const char *mount, struct error *err)
{
    if (!*w->mount)
        snprintf(w->mount, sizeof(w->mount), "%s", mount);
    else if (*mount && strncmp(w->mount, mount, sizeof(w->mount) - 1) != 0)
        w->several_mounts = true;
    if (w->several_mounts && w->cursor.file)
        return error_set(err, EINVAL,
                         "--cursor-file: each mount has its own cursors; name one with --mount, or "
                         "with the whole PATH");
    return 0;
}

static void print(const struct watch *w, const json_t *change, const char *line)
{
    char time_of_day[16];
    struct tm tm;
    time_t now = time(NULL);
    if (w->json) {
        puts(line);
        return;
    }
    strftime(time_of_day, sizeof(time_of_day), "%H:%M:%S", localtime_r(&now, &tm));
    watch_print(change, time_of_day, stdout);
}

/* A mark is dealt with when all that came before it is. That of a stream that was asked to go on
 * is not: a resync may come behind it. */
static void pass_mark(struct watch *w, const char *cursor, bool is_ready)
{
    if (!(is_ready && *w->cursor.text) &&
        !(w->exec && (watch_exec_waits(w->exec) || watch_exec_runs(w->exec))))
        watch_cursor_set(&w->cursor, cursor);
}

static int take_line(struct watch *w, const char *line, struct error *err)
{
    _cleanup_json_ json_t *change = NULL;
    int r = json_parse(line, strlen(line), &change, err);
    if (r < 0) {
        error_prefix(err, "a line of the sidecar's stream");
        return -EPROTO;
    }
    r = check_mount(w, watch_text(change, "mount"), err);
    if (r < 0)
        return r;
    const char *cursor = watch_text(change, "cursor");
    bool is_ready = json_object_get(change, "ready");
    if (json_object_get(change, "keepalive")) {
        pass_mark(w, cursor, false);
    } else if (w->exec && is_ready) {
        pass_mark(w, cursor, true);
    } else if (w->exec) {
        r = watch_exec_add(w->exec, line, change);
    } else {
        print(w, change, line);
        if (is_ready)
            pass_mark(w, cursor, true);
        else
            watch_cursor_set(&w->cursor, cursor);
        w->done = w->once && !is_ready;
    }
    return r < 0 ? error_set_errno(err, -r, "a change cannot be kept") : 0;
}

static void end_stream(struct watch *w, const struct error *why)
{
    w->end = *why;
    client_close(w->client);
    w->client = NULL;
}

static bool wants_lines(const struct watch *w)
{
    return w->client && !w->stop_signal && !w->done && !(w->exec && !watch_exec_has_room(w->exec));
}

/* All that is there, or enough for now. 1: there may be more; -EINVAL: asked for wrongly. */
static int take_lines(struct watch *w)
{
    const char *line;
    struct error err;
    for (int i = 0; i < LINES_PER_TURN && wants_lines(w); i++) {
        int r = client_line(w->client, 0, &line, &err);
        if (r == -ETIMEDOUT && clock_now_ms() < w->idle_ms)
            return 0;
        if (r > 0) {
            w->idle_ms = clock_now_ms() + IDLE_MS;
            r = take_line(w, line, &err);
            if (r == -EINVAL)
                return command_misuse(w->call, "%s", err.text);
            if (r == 0)
                continue;
        } else if (r == 0) {
            error_set(&err, EPIPE, "the sidecar on %s ended the stream", w->call->socket_path);
        } else if (r == -ETIMEDOUT) {
            error_set(&err, ETIMEDOUT, "the sidecar on %s did not send anything for %d s",
                      w->call->socket_path, IDLE_MS / 1000);
        }
        end_stream(w, &err);
    }
    return 0;
}

/* ---- the command ---- */

static void run_ended(struct watch *w)
{
    int code = watch_exec_code(w->exec);
    watch_cursor_set(&w->cursor, watch_exec_cursor(w->exec));
    w->done = w->once;
    w->idle_ms = clock_now_ms() + IDLE_MS; /* perhaps nothing was read for a while */
    if (code > 128)
        fprintf(stderr, "efsctl: the command was ended by signal %d\n", code - 128);
    else if (code != 0)
        fprintf(stderr, "efsctl: the command ended with exit code %d\n", code);
}

static int run_command(struct watch *w)
{
    struct error err;
    bool due = clock_now_ms() >= watch_exec_due_ms(w->exec) ||
               (!w->client && watch_exec_waits(w->exec) && !watch_exec_runs(w->exec));
    if (w->stop_signal || w->done || !due || watch_exec_start(w->exec, &err) == 0)
        return 0;
    command_failed(&err);
    return EX_OSERR;
}

static void take_signals(struct watch *w)
{
    struct signalfd_siginfo info;
    while (read(w->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGCHLD)
            continue;
        if (w->exec)
            watch_exec_signal(w->exec, w->stop_signal ? SIGKILL : (int)info.ssi_signo);
        if (!w->stop_signal)
            w->kill_ms = clock_now_ms() + KILL_AFTER_MS;
        w->stop_signal = (int)info.ssi_signo;
    }
    if (w->exec && w->stop_signal && clock_now_ms() >= w->kill_ms)
        watch_exec_signal(w->exec, SIGKILL);
    if (w->exec && watch_exec_reap(w->exec))
        run_ended(w);
}

/* ---- the whole ---- */

static int wait_for_work(const struct watch *w)
{
    int64_t until_ms = watch_cursor_due_ms(&w->cursor);
    if (wants_lines(w))
        until_ms = clock_sooner(until_ms, w->idle_ms);
    if (w->exec && !w->stop_signal)
        until_ms = clock_sooner(until_ms, watch_exec_due_ms(w->exec));
    if (w->stop_signal)
        until_ms = clock_sooner(until_ms, w->kill_ms);
    struct pollfd fds[] = {
        {.fd = w->signal_fd, .events = POLLIN},
        {.fd = wants_lines(w) ? client_fd(w->client) : -1, .events = POLLIN},
    };
    return poll(fds, ARRAY_LEN(fds), clock_poll_timeout(until_ms)) < 0 && errno != EINTR ? -errno
                                                                                         : 0;
}

static bool is_over(const struct watch *w)
{
    bool runs = w->exec && watch_exec_runs(w->exec);
    bool waits = w->exec && watch_exec_waits(w->exec);
    return !runs && (w->stop_signal || w->done || ferror(stdout) || (!w->client && !waits));
}

static int follow(struct watch *w)
{
    struct error err;
    for (;;) {
        int code = take_lines(w);
        if (code == 0 && w->exec)
            code = run_command(w);
        take_signals(w);
        if (code == 0 && watch_cursor_save(&w->cursor, is_over(w), &err) < 0) {
            command_failed(&err);
            code = EX_CANTCREAT;
        }
        if (code != 0 || is_over(w))
            return code;
        if (wait_for_work(w) < 0)
            return EX_OSERR;
    }
}

/* Why it ended, and where to go on. */
static int finish(const struct watch *w)
{
    int code = 0;
    if (w->stop_signal)
        code = 128 + w->stop_signal;
    else if (w->done)
        code = w->exec ? watch_exec_code(w->exec) : 0;
    else if (!ferror(stdout)) /* that main() says */
        code = command_failed(&w->end);
    if (*w->cursor.text && !w->several_mounts && !w->cursor.file && !w->done)
        fprintf(stderr, "efsctl: go on from there with --since=%s\n", w->cursor.text);
    return code;
}

static int open_signals(int *ret_fd)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGCHLD);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    *ret_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    return *ret_fd < 0 ? -errno : 0;
}

/* The options that are not for the sidecar. */
static int read_options(struct watch *w)
{
    const struct command_call *call = w->call;
    const char *const *values = call->values;
    int64_t debounce_ms = DEBOUNCE_MS;
    struct error err;
    if (values[OPTION_JSON] && values[OPTION_TEXT])
        return command_misuse(call, "--json and --text exclude each other");
    if (values[OPTION_EXEC] && (values[OPTION_JSON] || values[OPTION_TEXT]))
        return command_misuse(call, "with --exec nothing is printed: the command gets JSON lines");
    if (values[OPTION_SINCE] && values[OPTION_CURSOR_FILE])
        return command_misuse(call, "--since and --cursor-file exclude each other");
    if (values[OPTION_DEBOUNCE] && !values[OPTION_EXEC])
        return command_misuse(call, "--debounce is for --exec");
    if (values[OPTION_DEBOUNCE] &&
        parse_duration_ms(values[OPTION_DEBOUNCE], 0, 3600 * 1000, &debounce_ms) < 0)
        return command_misuse(call, "--debounce: \"%.32s\" is not a time from 0ms to 1h",
                              values[OPTION_DEBOUNCE]);
    if (watch_cursor_load(&w->cursor, values[OPTION_CURSOR_FILE], &err) < 0)
        return command_misuse(call, "%s", err.text);
    if (values[OPTION_SINCE])
        watch_cursor_set(&w->cursor, values[OPTION_SINCE]);
    if (values[OPTION_EXEC] && watch_exec_open(values[OPTION_EXEC], debounce_ms, &w->exec) < 0)
        return EX_OSERR;
    w->json = values[OPTION_JSON] || (!values[OPTION_TEXT] && !isatty(STDOUT_FILENO));
    w->once = values[OPTION_ONCE];
    return 0;
}

static int add_filters(const struct watch *w, char *target, size_t size)
{
    const struct command_call *call = w->call;
    const char *ops = call->values[OPTION_OP];
    const char *since = call->values[OPTION_SINCE] ? call->values[OPTION_SINCE] : w->cursor.text;
    int code = add_path(call, target, size);
    if (code == 0 &&
        ((*since && response_add_query(target, size, "since", since) < 0) ||
         (ops && response_add_query(target, size, "op", ops) < 0) ||
         (call->values[OPTION_REMOTE_ONLY] && response_add_query(target, size, "remote", "1") < 0)))
        return command_misuse(call, "--since or --op is too long");
    return code;
}

static int open_and_follow(struct watch *w)
{
    char target[CLIENT_TARGET_MAX] = "/v1/changes";
    int code = read_options(w);
    if (code == 0)
        code = add_filters(w, target, sizeof(target));
    if (code == 0)
        code = command_open(w->call, target, COMMAND_TIMEOUT_MS, &w->client);
    if (code != 0)
        return code;
    if (open_signals(&w->signal_fd) < 0)
        return EX_OSERR;
    setlinebuf(stdout);
    w->idle_ms = clock_now_ms() + IDLE_MS;
    code = follow(w);
    return code == 0 ? finish(w) : code;
}

int watch_run(const struct command_call *call)
{
    struct watch w = {.call = call, .signal_fd = -1};
    int code = open_and_follow(&w);
    client_close(w.client);
    watch_exec_close(w.exec);
    if (w.signal_fd >= 0)
        close(w.signal_fd);
    return code;
}
