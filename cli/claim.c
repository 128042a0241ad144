#include "cli/claim.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/field.h"
#include "cli/held.h"
#include "cli/lock.h"
#include "cli/response.h"
#include "lib/clock.h"
#include "lib/json_path.h"
#include "lib/parse.h"

enum {
    WORD_MS = 20 * 1000, /* for a mount that hangs */
    RECONNECT_MS = 60 * 1000,
    RECONNECT_PAUSE_MS = 500,
    WORKERS_MAX = 64,
    TARGET_SIZE = CLIENT_TARGET_MAX,
};

enum {
    OPTION_MATCH,
    OPTION_WAIT,
    OPTION_BATCH,
    OPTION_MAX_ATTEMPTS,
    OPTION_ONCE,
    OPTION_MOUNT,
};

struct worker {
    const struct command_call *call;
    char target[TARGET_SIZE];
    struct held held;
    char id[32];
    char *path; /* of the claimed file */
    char **argv;
    unsigned done, failed;
    bool stream_lost; /* its claims, or the stream itself: ask anew */
    int stop_code;    /* the command cannot be run */
};

/* ---- events ---- */

/* The command with the file's path in the place of {}, or behind it. */
static int make_argv(struct worker *w)
{
    int n = w->call->n_arguments - 1, out = 0;
    char *const *command = w->call->arguments + 1;
    bool placed = false;
    for (int i = 0; i < n; i++) {
        bool here = strcmp(command[i], "{}") == 0;
        placed |= here;
        w->argv[out++] = here ? w->path : command[i];
    }
    if (!placed)
        w->argv[out++] = w->path;
    w->argv[out] = NULL;
    return 0;
}

static int join_path(const json_t *event, char **ret_path)
{
    _cleanup_free_ char *mount = NULL, *path = NULL;
    struct error err;
    if (json_path_get(event, "mount", &mount, &err) < 0 ||
        json_path_get(event, "path", &path, &err) < 0)
        return command_failed(&err);
    bool is_root = strcmp(mount, "/") == 0;
    return asprintf(ret_path, "%s/%s", is_root ? "" : mount, path) < 0 ? COMMAND_REFUSED : 0;
}

static int set_environment(const json_t *event)
{
    char attempts[32];
    _cleanup_free_ char *name = NULL, *queue = NULL;
    snprintf(attempts, sizeof(attempts), "%lld", (long long)field_integer(event, "attempts"));
    if (json_path_get(event, "name", &name, NULL) < 0 ||
        json_path_get(event, "queue", &queue, NULL) < 0 || setenv("EFS_CLAIM_NAME", name, 1) < 0 ||
        setenv("EFS_CLAIM_QUEUE", queue, 1) < 0 || setenv("EFS_CLAIM_ATTEMPTS", attempts, 1) < 0)
        return COMMAND_REFUSED;
    return 0;
}

static int on_claimed(struct worker *w, const json_t *event)
{
    snprintf(w->id, sizeof(w->id), "%s", field_text(event, "id"));
    free(w->path);
    w->path = NULL;
    int code = join_path(event, &w->path);
    if (code == 0)
        code = set_environment(event);
    if (code != 0)
        return code;
    make_argv(w);
    return held_start(&w->held, w->argv, event);
}

/* A newer sidecar may say more. */
static int on_event(void *arg, const char *name, const json_t *event)
{
    struct worker *w = arg;
    if (strcmp(name, "claimed") == 0)
        return on_claimed(w, event);
    if (strcmp(name, "timeout") == 0 || strcmp(name, "finished") == 0 ||
        strcmp(name, "drained") == 0) {
        w->held.ended = true;
    } else if (strcmp(name, "lost") == 0) {
        w->held.ended = w->stream_lost = true;
    } else if (strcmp(name, "error") == 0) {
        held_say(&w->held, field_text(event, "message"));
        w->held.ended = true;
        return COMMAND_REFUSED;
    }
    return 0;
}

static const struct held_ops held_ops = {.event = on_event};

/* ---- the word for a file ---- */

static int tell(struct worker *w, const char *word, struct error *err)
{
    char target[128];
    const char *text = "";
    size_t length = 0;
    _cleanup_client_ struct client *client = NULL;
    snprintf(target, sizeof(target), "/v1/claims/%s/%s", w->id, word);
    int r = client_post(w->call->socket_path, target, WORD_MS, &client, err);
    if (r == 0)
        r = client_body(client, &text, &length, err);
    if (r < 0 || client_status(client) == 200)
        return r;
    _cleanup_json_ json_t *root = NULL;
    r = json_parse(text, length, &root, err);
    return error_set(err, client_status(client) == 410 ? ESTALE : EREMOTEIO, "%s",
                     r == 0 ? field_text(root, "message") : "the sidecar's answer is no JSON");
}

/* What became of it. */
static const char *find_word(struct worker *w)
{
    const struct held *held = &w->held;
    int code = held_exit_code(held);
    if (held->exited && code == 0 && !held->lost)
        return "done";
    if (code == GUARD_NOT_FOUND || code == GUARD_NOT_RUN) { /* not the file's fault */
        w->stop_code = code;
        return "release";
    }
    return held->told_to_end ? "release" : "failed";
}

static void give_word(struct worker *w)
{
    struct error err;
    struct held *held = &w->held;
    if (held->orphans)
        return;
    const char *word = find_word(w);
    bool done = strcmp(word, "done") == 0;
    w->done += done;
    w->failed += strcmp(word, "failed") == 0;
    if (w->stop_code || held->told_to_end)
        held_close_stream(held); /* or the next file is here already */
    int r = tell(w, word, &err);
    if (r == 0 || held->lost)
        return;
    held_say(held, err.text);
    if (done && r != -EREMOTEIO) { /* else the sidecar goes on trying */
        held_say(held, "that the file is done is not known: another task will do it again");
        held->lost = true;
    }
}

/* ---- a worker: one file after the other ---- */

/* After a stream that broke off: the sidecar may be started again just now. */
static int reconnect(struct worker *w)
{
    struct error err;
    int64_t until_ms = clock_now_ms() + RECONNECT_MS;
    while (clock_now_ms() < until_ms) {
        struct pollfd signals = {.fd = w->held.signal_fd, .events = POLLIN};
        if (client_post(w->call->socket_path, w->target, COMMAND_TIMEOUT_MS, &w->held.client,
                        &err) == 0 &&
            client_status(w->held.client) == 200)
            return 0;
        held_close_stream(&w->held);
        if (poll(&signals, 1, RECONNECT_PAUSE_MS) > 0)
            break;
    }
    return command_post(w->call, w->target, COMMAND_TIMEOUT_MS, &w->held.client);
}

static int follow_stream(struct worker *w, bool *ret_lost)
{
    struct held *held = &w->held;
    w->stream_lost = held->ended = false;
    for (;;) {
        int code = held_follow(held);
        bool started = held->started;
        if (started)
            give_word(w);
        *ret_lost |= held->lost;
        held_clear(held);
        if (code == COMMAND_NO_SIDECAR && !held->client && !held->ended) {
            w->stream_lost = true; /* while it waited */
            return 0;
        }
        if (code != 0 || !started || w->stop_code || held->told_to_end)
            return code;
        if (!held->client) {
            w->stream_lost |= !held->ended;
            return 0;
        }
    }
}

static int work(struct worker *w)
{
    bool lost = false, once = w->call->values[OPTION_ONCE] != NULL;
    struct held *held = &w->held;
    int code = held_open(held);
    if (code == 0)
        code = command_post(w->call, w->target, COMMAND_TIMEOUT_MS, &held->client);
    while (code == 0) {
        code = follow_stream(w, &lost);
        held_close_stream(held);
        if (code != 0 || !w->stream_lost || w->stop_code || held->told_to_end ||
            (once && w->done + w->failed > 0))
            break;
        code = reconnect(w);
    }
    held_close(held);
    free(w->path);
    if (code != 0 || w->stop_code)
        return code ? code : w->stop_code;
    if (held->told_to_end)
        return 128 + held->told_to_end;
    if (lost)
        return LOCK_LOST;
    if (once && w->done + w->failed == 0)
        return LOCK_NOT_OBTAINED;
    return w->failed > 0 ? COMMAND_REFUSED : 0;
}

/* ---- several workers: a process each, so that each has a guard and children of its own ---- */

static void block_signals(sigset_t *ret_set, sigset_t *ret_old)
{
    static const int numbers[] = {SIGCHLD, SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2};
    sigemptyset(ret_set);
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        sigaddset(ret_set, numbers[i]);
    sigprocmask(SIG_BLOCK, ret_set, ret_old);
}

/* Of all that were not without work. */
static int worse(int a, int b)
{
    if (a == LOCK_NOT_OBTAINED || b == LOCK_NOT_OBTAINED)
        return a == LOCK_NOT_OBTAINED ? b : a;
    return a > b ? a : b;
}

static int supervise(const pid_t workers[], int n, const sigset_t *set)
{
    siginfo_t info;
    int code = LOCK_NOT_OBTAINED, status;
    for (int left = n; left > 0;) {
        int number = sigwaitinfo(set, &info);
        if (number > 0 && number != SIGCHLD && info.si_code != SI_KERNEL)
            for (int i = 0; i < n; i++)
                kill(workers[i], number);
        for (; left > 0 && waitpid(-1, &status, WNOHANG) > 0; left--)
            code = worse(code, WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
    }
    return code;
}

static int work_in_parallel(struct worker *w, int n)
{
    pid_t workers[WORKERS_MAX], parent = getpid();
    sigset_t set, old;
    block_signals(&set, &old);
    for (int i = 0; i < n; i++) {
        workers[i] = fork();
        if (workers[i] < 0) {
            n = i;
            break;
        }
        if (workers[i] > 0)
            continue;
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        sigprocmask(SIG_SETMASK, &old, NULL);
        _exit(getppid() == parent ? work(w) : COMMAND_REFUSED);
    }
    if (n > 0)
        return supervise(workers, n, &set);
    return command_failed(&(struct error){.code = EAGAIN, .text = "no worker can be started"});
}

/* ---- the command ---- */

static int add_wait(const struct command_call *call, char *target)
{
    char wait[32];
    int64_t wait_ms;
    const char *text = call->values[OPTION_WAIT];
    if (!text && !call->values[OPTION_ONCE])
        return 0;
    if (text && parse_duration_ms(text, 0, 20LL * 24 * 3600 * 1000, &wait_ms) < 0)
        return command_misuse(call, "--wait: \"%.32s\" is not a time such as 30s or 5m", text);
    snprintf(wait, sizeof(wait), "%lld", text ? (long long)wait_ms : 0LL);
    return response_add_query(target, TARGET_SIZE, "wait_ms", wait) ? COMMAND_MISUSE : 0;
}

static int make_target(const struct command_call *call, char *target)
{
    static const struct {
        int option;
        const char *name;
    } same[] = {
        {OPTION_MATCH, "match"}, {OPTION_MAX_ATTEMPTS, "max_attempts"}, {OPTION_MOUNT, "mount"}};
    snprintf(target, TARGET_SIZE, "/v1/claims");
    bool full = response_add_query(target, TARGET_SIZE, "dir", call->arguments[0]);
    for (size_t i = 0; i < ARRAY_LEN(same); i++)
        if (call->values[same[i].option])
            full |=
                response_add_query(target, TARGET_SIZE, same[i].name, call->values[same[i].option]);
    if (call->values[OPTION_ONCE])
        full |= response_add_query(target, TARGET_SIZE, "limit", "1");
    return full ? command_misuse(call, "the arguments are too long") : add_wait(call, target);
}

int claim_run(const struct command_call *call)
{
    int64_t batch = 1;
    const char *text = call->values[OPTION_BATCH];
    if (call->n_arguments < 2)
        return command_misuse(call, "a directory and a command are needed: efsctl claim %s",
                              call->command->arguments);
    if (text && parse_i64(text, 1, WORKERS_MAX, &batch) < 0)
        return command_misuse(call, "--batch: \"%.32s\" is not a number from 1 to %d", text,
                              WORKERS_MAX);
    struct worker w = {.call = call,
                       .held = {.kind = "claim", .name = call->arguments[0], .ops = &held_ops}};
    w.held.arg = &w;
    int code = make_target(call, w.target);
    if (code != 0)
        return code;
    _cleanup_free_ char **argv = calloc((size_t)call->n_arguments + 1, sizeof(char *));
    w.argv = argv;
    if (!argv)
        return command_failed(&(struct error){.code = ENOMEM, .text = "no memory"});
    return batch == 1 ? work(&w) : work_in_parallel(&w, (int)batch);
}
