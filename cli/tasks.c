#include "cli/tasks.h"

#include <stdio.h>

#include "cli/field.h"
#include "cli/response.h"
#include "lib/json.h"
#include "lib/text.h"

enum { OPTION_JSON, OPTION_MOUNT };
enum { TARGET_SIZE = 8 * 1024, LIST_TIMEOUT_MS = 15 * 1000 /* the sidecar gives the mount ten */ };

static const char *size_of(const json_t *task, char *buf)
{
    return json_is_integer(json_object_get(task, "bytes"))
               ? text_size(field_integer(task, "bytes"), buf)
               : "-";
}

static void print_task(const json_t *task)
{
    char age[TEXT_SHORT], size[TEXT_SHORT];
    text_column(stdout, 28, field_text(task, "name"));
    text_column(stdout, 9, field_text(task, "state"));
    text_column(stdout, 8, field_duration(task, "age_ms", age));
    text_column(stdout, 10, size_of(task, size));
    if (json_is_integer(json_object_get(task, "files")))
        printf("%lld", field_integer(task, "files"));
    else
        putchar('-');
    puts(json_is_true(json_object_get(task, "mine")) ? "  (this task)" : "");
}

static void print_policy(const json_t *root)
{
    printf("orphans: %s", field_text(root, "policy"));
    if (json_is_true(json_object_get(root, "dry_run")))
        fputs(", only logged", stdout);
    fputs("; directories in ", stdout);
    text_put(stdout, field_text(root, "mount"));
    putchar('/');
    text_put(stdout, field_text(root, "root"));
    puts(json_is_true(json_object_get(root, "cut")) ? ", and there are more" : "");
}

static void print_list(const json_t *root)
{
    size_t i;
    json_t *task;
    printf("%-28s %-9s %-8s %-10s %s\n", "TASK", "STATE", "AGE", "SIZE", "FILES");
    json_array_foreach(json_object_get(root, "tasks"), i, task)
    {
        print_task(task);
    }
    print_policy(root);
}

int tasks_run(const struct command_call *call)
{
    _cleanup_client_ struct client *client = NULL;
    _cleanup_json_ json_t *root = NULL;
    const char *text, *mount = call->values[OPTION_MOUNT];
    char target[TARGET_SIZE] = "/v1/tasks";
    if (mount && response_add_query(target, sizeof(target), "mount", mount) < 0)
        return command_misuse(call, "the arguments are too long");
    int code = command_get(call, target, LIST_TIMEOUT_MS, &client, &root, &text);
    if (code != 0)
        return code;
    if (call->values[OPTION_JSON])
        puts(text);
    else
        print_list(root);
    return 0;
}
