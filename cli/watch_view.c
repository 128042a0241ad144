#include "cli/watch_view.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "lib/text.h"

const char *watch_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

/* The whole path where the mount is known, else the path beneath it. */
static void put_path(FILE *out, const char *mount, const char *path, bool is_dir)
{
    text_put(out, mount);
    if (*mount && *path && strcmp(mount, "/") != 0)
        fputc('/', out);
    text_put(out, *mount || *path ? path : ".");
    if (is_dir && *path)
        fputc('/', out);
}

void watch_print(const json_t *change, const char *time_of_day, FILE *out)
{
    char size[TEXT_SHORT];
    const char *op = json_object_get(change, "ready") ? "ready" : watch_text(change, "op");
    const char *mount = watch_text(change, "mount"), *from = watch_text(change, "from");
    const char *observer = watch_text(change, "observer");
    json_t *bytes = json_object_get(change, "size");
    bool is_dir = json_is_true(json_object_get(change, "dir"));
    fprintf(out, "%s ", time_of_day);
    text_column(out, 7, op);
    if (*from) {
        put_path(out, mount, from, is_dir);
        fputs(" -> ", out);
    }
    put_path(out, mount, watch_text(change, "path"), is_dir);
    if (strcmp(op, "resync") == 0) {
        fputs("  look again here: ", out);
        text_put(out, watch_text(change, "reason"));
    } else if (json_is_integer(bytes) && !is_dir) {
        fprintf(out, "  %s", text_size(json_integer_value(bytes), size));
    }
    if (*observer) {
        fputs("  by ", out);
        text_put(out, observer);
    }
    fputc('\n', out);
}

int watch_find_mount(const json_t *status, const char *path, const char **ret_mount,
                     const char **ret_rest)
{
    const char *found = NULL;
    size_t i, best = 0;
    json_t *entry;
    json_array_foreach(json_object_get(status, "mounts"), i, entry)
    {
        const char *mount = watch_text(entry, "path");
        size_t length = strcmp(mount, "/") == 0 ? 0 : strlen(mount);
        if (!*mount || length < best || strncmp(path, mount, length) != 0 ||
            (path[length] && path[length] != '/'))
            continue;
        best = length;
        found = mount;
    }
    if (!found)
        return -ENOENT;
    *ret_mount = found;
    *ret_rest = path + best + strspn(path + best, "/");
    return 0;
}
