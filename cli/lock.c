#include "cli/lock.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/field.h"
#include "cli/held.h"
#include "cli/locks.h"
#include "cli/response.h"
#include "lib/json.h"
#include "lib/parse.h"
#include "lib/text.h"

enum {
    RELEASE_MS = 20 * 1000, /* for a mount that hangs */
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
    struct held held;
    const char *name;           /* as people know it */
    char resource[TARGET_SIZE]; /* "/v1/locks/NAME" */
    char *const *argv;
    bool once, done_before;
    char hold[32];
    int done_status;
    int code; /* why it was not granted */
};

/* ---- the sidecar's events ---- */

static void on_waiting(const json_t *event, const char *name)
{
    const json_t *holder = json_object_get(event, "holder");
    int64_t before = field_integer(event, "position") - 1;
    fputs("efsctl: waiting for lock ", stderr);
    text_put(stderr, name);
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

static int on_granted(struct locked *l, const json_t *event)
{
    const char *token = field_text(event, "token");
    snprintf(l->hold, sizeof(l->hold), "%s", field_text(event, "hold"));
    if (setenv("EFS_LOCK_NAME", l->name, 1) < 0 || setenv("EFS_LOCK_TOKEN", token, 1) < 0)
        return COMMAND_REFUSED;
    return held_start(&l->held, l->argv, event);
}

static int refused(struct locked *l, const char *words, int code)
{
    held_say(&l->held, words);
    l->held.ended = true;
    return code;
}

/* A newer sidecar may say more. */
static int on_event(void *arg, const char *name, const json_t *event)
{
    struct locked *l = arg;
    if (strcmp(name, "waiting") == 0) {
        on_waiting(event, l->name);
    } else if (strcmp(name, "granted") == 0) {
        return on_granted(l, event);
    } else if (strcmp(name, "released") == 0) {
        l->held.ended = true;
    } else if (strcmp(name, "done") == 0) {
        l->held.ended = l->done_before = true;
        l->done_status = (int)field_integer(event, "exit_status");
    } else if (strcmp(name, "timeout") == 0) {
        return refused(l, "somebody else has it", LOCK_NOT_OBTAINED);
    } else if (strcmp(name, "error") == 0) {
        return refused(l, field_text(event, "message"), COMMAND_REFUSED);
    }
    return 0;
}

static const struct held_ops held_ops = {.event = on_event};

/* ---- one round: take the lock, run the command, give the lock back ---- */

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
    struct held *held = &l->held;
    bool done = l->once && held->exited && held_exit_code(held) == 0 && !held->lost;
    if (ask_release(l, done, &err) == 0 || (held->lost && !done))
        return;
    held_say(held, err.text);
    if (done) {
        held_say(held, "that it is done is not known to the others, who will do it again");
        held->lost = true;
    }
}

static enum outcome run_once(struct locked *l)
{
    char target[TARGET_SIZE + 2048];
    const struct command_call *call = l->call;
    struct held *held = &l->held;
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
    held_clear(held);
    held->ended = false;
    l->code = command_post(call, target, COMMAND_TIMEOUT_MS, &held->client);
    if (l->code == 0)
        l->code = held_follow(held);
    if (held->started && !held->orphans)
        release(l);
    held_close_stream(held);
    if (l->done_before)
        return OUTCOME_DONE_BEFORE;
    if (l->code != 0)
        return OUTCOME_REFUSED;
    return held->lost && held->on_lost != GUARD_IGNORE ? OUTCOME_LOST : OUTCOME_RAN;
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
        code = read_on_lost(call, &l->held.on_lost);
    if (code == 0 && locks_resource(prefix, l->name, l->resource, sizeof(l->resource)) < 0)
        code = command_misuse(call, "the name is too long");
    if (*wait)
        call->values[OPTION_WAIT] = wait;
    return code;
}

static int run_locked(const struct command_call *given, const char *prefix, bool once, bool again)
{
    struct command_call call = *given;
    struct locked l = {.call = &call};
    char wait[32] = "";
    int code = prepare(&call, &l, prefix, wait, sizeof(wait));
    if (code != 0)
        return code;
    l.once = once;
    l.held.kind = "lock";
    l.held.name = l.name;
    l.held.ops = &held_ops;
    l.held.arg = &l;
    code = held_open(&l.held);
    if (code != 0)
        return code;
    enum outcome outcome = OUTCOME_REFUSED;
    do {
        outcome = run_once(&l);
    } while (again && outcome == OUTCOME_LOST);
    int ran = held_exit_code(&l.held);
    held_clear(&l.held);
    held_close(&l.held);
    switch (outcome) {
    case OUTCOME_REFUSED:
        return l.code;
    case OUTCOME_LOST:
        return LOCK_LOST;
    case OUTCOME_DONE_BEFORE:
        held_say(&l.held, "done before");
        return l.done_status;
    case OUTCOME_RAN:
        break;
    }
    return ran;
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
