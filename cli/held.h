/*
 * held: a command that runs for as long as what the sidecar holds for it is valid.
 *
 *     struct held held = {.kind = "lock", .name = name, .ops = &ops, .arg = arg};
 *     held_open(&held);                             // signals come here from now on
 *     code = command_post(call, target, timeout_ms, &held.client);    // a stream of events
 *     code = held_follow(&held);
 *         ops->event(): held_start() when something is held, held.ended at the stream's last event
 *     if (held.started && !held.orphans) ...        // the client's word may be given
 *     held_clear(&held);                            // for the next command of the same stream
 *     held_close_stream(&held);  held_close(&held);
 *
 * The events "valid" and "lost" are the same for all. The guard (guard.h) ends the command when its
 * time is up; this is between it, the sidecar and who sends signals. Messages go to stderr.
 *
 * Threads: one.
 */
#ifndef CLI_HELD_H
#define CLI_HELD_H

#include <jansson.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "cli/client.h"
#include "cli/guard.h"

struct held_ops {
    /* 0, or an exit code when it goes no further. */
    int (*event)(void *arg, const char *name, const json_t *event);
};

struct held {
    const char *kind, *name; /* for messages: "lock nightly" */
    enum guard_on_lost on_lost;
    const struct held_ops *ops;
    void *arg;

    struct client *client; /* NULL: the stream has ended */
    struct guard *guard;   /* NULL: nothing runs */
    int signal_fd;
    sigset_t signals; /* as they were blocked before */
    int64_t valid_until_ms;
    bool ended;           /* the stream: nothing more comes */
    int told_to_end;      /* by this signal; 0: not */
    bool started, exited; /* the command */
    bool lost, ending;    /* the time is up, or what is held is lost */
    bool gone;            /* the command, and all that it started unless there are */
    bool orphans;         /* left by a guard that was killed */
    int status;           /* as of waitpid(2) */
    int64_t tell_family_ms;
};

int held_open(struct held *held); /* 0 or an exit code */
void held_close(struct held *held);

/* event: what said that it is held, with now_ms and valid_until_ms. 0 or an exit code. */
int held_start(struct held *held, char *const *argv, const json_t *event);

/* Until the command is gone, or the stream has ended without one: 0 or an exit code. */
int held_follow(struct held *held);
void held_clear(struct held *held);
void held_close_stream(struct held *held);

void held_say(const struct held *held, const char *words);
int held_exit_code(const struct held *held); /* of the command, as in a shell */

#endif
