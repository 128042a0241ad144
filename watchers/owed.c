#include "watchers/owed.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static bool covers(const char *path, const char *other)
{
    size_t n = strlen(path);
    return n == 0 || (strncmp(path, other, n) == 0 && (other[n] == '/' || other[n] == '\0'));
}

int owed_add(struct owed *o, const char *path, enum change_reason reason)
{
    size_t kept = 0;
    for (size_t i = 0; i < o->count; i++)
        if (covers(o->paths[i], path))
            return 0;
    if (o->count == OWED_MAX)
        path = "";
    char *copy = strdup(path);
    if (!copy)
        return -ENOMEM;
    for (size_t i = 0; i < o->count; i++) {
        if (covers(path, o->paths[i])) {
            free(o->paths[i]);
            continue;
        }
        o->paths[kept] = o->paths[i];
        o->reasons[kept++] = o->reasons[i];
    }
    o->paths[kept] = copy;
    o->reasons[kept] = reason;
    o->count = kept + 1;
    return 0;
}

int owed_tell(struct owed *o, struct announce *announce)
{
    int r = 0;
    for (size_t i = 0; i < o->count && r == 0; i++) {
        struct change change = {
            .op = CHANGE_RESYNC,
            .reason = o->reasons[i],
            .flags = CHANGE_IS_DIR,
            .path = o->paths[i],
        };
        r = announce_change(announce, &change);
    }
    if (r == 0)
        owed_release(o);
    announce_flush(announce);
    return r;
}

void owed_release(struct owed *o)
{
    while (o->count > 0)
        free(o->paths[--o->count]);
}
