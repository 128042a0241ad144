#include "watchers/renames.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void renames_note(struct renames *r, const char *from, const char *to, int64_t now_ms)
{
    char *from_copy = strdup(from), *to_copy = strdup(to);
    if (!from_copy || !to_copy) { /* as if it had been too long ago */
        free(from_copy);
        free(to_copy);
        return;
    }
    free(r->ring[r->next].from);
    free(r->ring[r->next].to);
    r->ring[r->next].from = from_copy;
    r->ring[r->next].to = to_copy;
    r->ring[r->next].at_ms = now_ms;
    r->next = (r->next + 1) % RENAMES_MAX;
}

/* What follows dir in path, "" or "/..."; NULL: path is not beneath it. */
static const char *rest_of(const char *path, const char *dir)
{
    size_t n = strlen(dir);
    return strncmp(path, dir, n) == 0 && (path[n] == '/' || path[n] == '\0') ? path + n : NULL;
}

const char *renames_follow(const struct renames *r, const char *path, int64_t since_ms,
                           char buffer[CHANGE_PATH_MAX + 1])
{
    char next[CHANGE_PATH_MAX + 1];
    bool moved = false;
    snprintf(buffer, CHANGE_PATH_MAX + 1, "%s", path);
    for (unsigned i = 0; i < RENAMES_MAX; i++) { /* the oldest first */
        unsigned at = (r->next + i) % RENAMES_MAX;
        bool usable = r->ring[at].from && r->ring[at].at_ms >= since_ms;
        const char *rest = usable ? rest_of(buffer, r->ring[at].from) : NULL;
        if (!rest)
            continue;
        if (snprintf(next, sizeof(next), "%s%s", r->ring[at].to, rest) > CHANGE_PATH_MAX)
            return NULL;
        memcpy(buffer, next, sizeof(next));
        moved = true;
    }
    return moved ? buffer : NULL;
}

void renames_release(struct renames *r)
{
    for (unsigned i = 0; i < RENAMES_MAX; i++) {
        free(r->ring[i].from);
        free(r->ring[i].to);
    }
    *r = (struct renames){0};
}
