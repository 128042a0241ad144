#include "watchers/renames.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void forget(struct rename_noted *noted)
{
    free(noted->from);
    free(noted->to);
    free(noted->maker);
    *noted = (struct rename_noted){0};
}

void renames_note(struct renames *r, const char *from, const char *to, const char *maker,
                  int64_t now_ms)
{
    struct rename_noted noted = {
        .from = strdup(from),
        .to = strdup(to),
        .maker = strdup(maker ? maker : ""),
        .at_ms = now_ms,
    };
    if (!noted.from || !noted.to || !noted.maker) { /* as if it had been too long ago */
        forget(&noted);
        return;
    }
    forget(&r->ring[r->next]);
    r->ring[r->next] = noted;
    r->next = (r->next + 1) % RENAMES_MAX;
}

const char *renames_rest(const char *path, const char *dir)
{
    size_t n = strlen(dir);
    return strncmp(path, dir, n) == 0 && (path[n] == '/' || path[n] == '\0') ? path + n : NULL;
}

/* The rename before which only `newer` others were made. */
static const struct rename_noted *nth(const struct renames *r, unsigned newer)
{
    return &r->ring[(r->next + RENAMES_MAX - 1 - newer) % RENAMES_MAX];
}

/* Take the path in buffer along; false: this rename does not touch it, or it would be too long. */
static bool take_along(const struct rename_noted *noted, char buffer[CHANGE_PATH_MAX + 1])
{
    char next[CHANGE_PATH_MAX + 1];
    const char *rest = noted->from ? renames_rest(buffer, noted->from) : NULL;
    if (!rest || snprintf(next, sizeof(next), "%s%s", noted->to, rest) > CHANGE_PATH_MAX)
        return false;
    memcpy(buffer, next, sizeof(next));
    return true;
}

static bool may_have_overtaken(const struct rename_noted *noted, const struct renames_walk *walk)
{
    return noted->from && noted->at_ms >= walk->since_ms &&
           !(walk->teller && strcmp(noted->maker, walk->teller) == 0);
}

const char *renames_next(const struct renames *r, struct renames_walk *walk,
                         char buffer[CHANGE_PATH_MAX + 1])
{
    char now[CHANGE_PATH_MAX + 1];
    bool first = walk->step == 0;
    while (walk->step < RENAMES_MAX) {
        unsigned newer = walk->step++;
        snprintf(now, sizeof(now), "%s", walk->path);
        if (!may_have_overtaken(nth(r, newer), walk) || !take_along(nth(r, newer), now))
            continue;
        while (newer-- > 0)
            take_along(nth(r, newer), now);
        if (strcmp(now, walk->path) == 0 || (!first && strcmp(now, buffer) == 0))
            continue; /* there and back */
        memcpy(buffer, now, sizeof(now));
        return buffer;
    }
    return NULL;
}

void renames_release(struct renames *r)
{
    for (unsigned i = 0; i < RENAMES_MAX; i++)
        forget(&r->ring[i]);
}
