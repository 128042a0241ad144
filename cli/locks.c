#include "cli/locks.h"

#include <errno.h>
#include <stdio.h>

#include "cli/field.h"
#include "cli/response.h"
#include "lib/json.h"
#include "lib/text.h"

enum { OPTION_JSON, OPTION_MOUNT };
enum { TARGET_SIZE = 8 * 1024, LOOK_TIMEOUT_MS = 8000 /* the sidecar gives the mount five */ };

static int show(const struct command_call *call, const char *target,
                void (*print)(const json_t *root))
{
    _cleanup_client_ struct client *client = NULL;
    _cleanup_json_ json_t *root = NULL;
    const char *text;
    int code = command_get(call, target, LOOK_TIMEOUT_MS, &client, &root, &text);
    if (code != 0)
        return code;
    if (call->values[OPTION_JSON])
        puts(text);
    else
        print(root);
    return 0;
}

/* ---- the list ---- */

static void print_lock(const json_t *lock, int64_t now_ms)
{
    char held[TEXT_SHORT], valid[TEXT_SHORT];
    const json_t *holder = json_object_get(lock, "holder");
    bool here = json_is_true(json_object_get(lock, "held_here"));
    text_column(stdout, 28, field_text(lock, "name"));
    text_column(stdout, 9, field_text(lock, "state"));
    text_column(stdout, 18, json_is_object(holder) ? field_text(holder, "task") : "-");
    text_column(stdout, 7, here ? text_duration(field_integer(lock, "held_ms"), held) : "-");
    text_column(stdout, 7,
                here ? text_duration(field_integer(lock, "valid_until_ms") - now_ms, valid) : "-");
    printf("%lld\n", field_integer(lock, "waiters"));
}

static void print_list(const json_t *root)
{
    size_t i;
    json_t *lock;
    const json_t *list = json_object_get(root, "locks");
    if (json_array_size(list) > 0)
        printf("%-28s %-9s %-18s %-7s %-7s %s\n", "LOCK", "STATE", "TASK", "HELD", "VALID",
               "WAITING");
    json_array_foreach(list, i, lock)
    {
        print_lock(lock, field_integer(root, "now_ms"));
    }
    printf("%lld held, %lld waiting, %lld possible\n", field_integer(root, "held"),
           field_integer(root, "waiting"), field_integer(root, "budget"));
}

/* ---- one lock ---- */

static void print_state(const json_t *root, const json_t *record)
{
    bool clean = json_is_true(json_object_get(record, "clean"));
    bool taken = json_is_true(json_object_get(root, "taken"));
    char fence[TEXT_SHORT];
    if (json_is_true(json_object_get(record, "done")))
        puts("done, as efsctl once sees it");
    else if (clean)
        puts(taken ? "being taken" : "free");
    else if (taken)
        puts("held, or taken by who waits until the holder below is gone for sure");
    else
        printf("free, but not given back: who takes it next waits for %s\n",
               text_duration(field_integer(record, "fence_ms"), fence));
}

static void print_field(const char *title, const char *text)
{
    if (!*text)
        return;
    printf("  %-8s ", title);
    text_put(stdout, text);
    putchar('\n');
}

static void print_one(const json_t *root)
{
    const json_t *record = json_object_get(root, "record");
    text_put(stdout, field_text(root, "name"));
    fputs(" on ", stdout);
    text_put(stdout, field_text(root, "mount"));
    fputs(": ", stdout);
    if (!json_is_object(record)) {
        puts("never granted");
        return;
    }
    print_state(root, record);
    print_field("task", field_text(record, "task"));
    print_field("zone", field_text(record, "zone"));
    print_field("purpose", field_text(record, "purpose"));
    print_field("since", field_text(record, "since"));
    print_field("token", field_text(record, "token"));
    print_field("file", field_text(root, "file"));
}

int locks_resource(const char *prefix, const char *name, char *buf, size_t size)
{
    size_t used = (size_t)snprintf(buf, size, "/v1/locks/%s", prefix);
    for (const char *p = name; *p; p++) {
        if (used + 4 > size)
            return -E2BIG;
        used += (size_t)sprintf(buf + used, "%%%02X", (unsigned char)*p);
    }
    return 0;
}

int locks_run(const struct command_call *call)
{
    char target[TARGET_SIZE] = "/v1/locks";
    const char *mount = call->values[OPTION_MOUNT];
    if (call->n_arguments == 0 && mount)
        return command_misuse(call, "--mount goes with the NAME of a lock");
    if (call->n_arguments > 0 &&
        (locks_resource("", call->arguments[0], target, sizeof(target)) < 0 ||
         (mount && response_add_query(target, sizeof(target), "mount", mount))))
        return command_misuse(call, "the arguments are too long");
    return show(call, target, call->n_arguments > 0 ? print_one : print_list);
}
