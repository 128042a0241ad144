/*
 * command: what every command of efsctl is made of. main.c finds the command, reads its options as
 * the table says, and calls run(); it returns the exit code.
 *
 *     static int run(const struct command_call *call)
 *     {
 *         int code = command_get(call, "/v1/config", COMMAND_TIMEOUT_MS, &client, &root, &text);
 *         if (code != 0)
 *             return code;                        // said on stderr already
 *         ...
 *     }
 *
 * The settings of the table (--run-dir, --api-socket) stand before the command's name, its own
 * options behind it. Threads: one, in all of efsctl. Errors: what went wrong stands on stderr, in a
 * sentence, when run() returns its exit code; the headers of commands say what is special in one.
 */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sysexits.h>

#include "cli/client.h"

enum {
    COMMAND_REFUSED = 1, /* the sidecar said no, or what was asked is not so */
    COMMAND_MISUSE = EX_USAGE,
    COMMAND_NO_SIDECAR = EX_UNAVAILABLE,

    COMMAND_TIMEOUT_MS = 5000,
    COMMAND_OPTIONS_MAX = 12,
};

struct command_option {
    const char *name;
    const char *argument; /* what --help calls it; NULL: it takes none */
    const char *help;
};

struct command_call;

struct command {
    const char *name;
    const char *arguments; /* "[PATH]" */
    int max_arguments;
    const char *summary; /* one line, no full stop */
    struct command_option options[COMMAND_OPTIONS_MAX + 1];
    int (*run)(const struct command_call *call);
};

struct command_call {
    const struct command *command;
    const char *socket_path;
    const char *values[COMMAND_OPTIONS_MAX]; /* as the options: NULL not given, "" takes none */
    int n_arguments;
    char **arguments;
};

/* A sentence on stderr; returns COMMAND_MISUSE. */
int command_misuse(const struct command_call *call, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* GET target and say on stderr what went wrong; 0 or an exit code. The client is the caller's to
 * close. */
int command_open(const struct command_call *call, const char *target, int64_t timeout_ms,
                 struct client **ret_client);

/* POST, as command_open() does GET. */
int command_post(const struct command_call *call, const char *target, int64_t timeout_ms,
                 struct client **ret_client);

/* As command_open(), and the whole body as JSON; ret_text, which belongs to the client, may be
 * NULL. */
int command_get(const struct command_call *call, const char *target, int64_t timeout_ms,
                struct client **ret_client, json_t **ret_root, const char **ret_text);

/* Say on stderr what the sidecar answered instead of 200; an exit code. ret_code is its word for
 * it,
 * "" when there is none. */
enum { COMMAND_CODE_SIZE = 32 };
int command_refused(struct client *client, char ret_code[COMMAND_CODE_SIZE]);

/* What err says on stderr, after the command's name where that helps, safe for a terminal. */
void command_say(const char *what, const struct error *err);
/* The same; the exit code for it. */
int command_failed(const struct error *err);

#endif
