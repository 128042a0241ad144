/*
 * renames: which directories got another path lately.
 *
 * Another member's record may be overtaken by a rename of a directory above its path, made here or
 * elsewhere. What it tells of is then found under the new path. Where a name was used again and
 * renamed again, the record may be of any of the directories that had it, so there may be several.
 *
 *     renames_note(&renames, "d", "e/d", maker, now_ms);      // maker NULL: this host
 *     struct renames_walk walk = {.path = "d/f", .since_ms = since_ms, .teller = observer};
 *     while ((path = renames_next(&renames, &walk, buffer)))  // "e/d/f"
 *
 * A member tells in order: its own renames do not overtake what it tells. The last RENAMES_MAX are
 * kept. Threads: one.
 */
#ifndef WATCHERS_RENAMES_H
#define WATCHERS_RENAMES_H

#include "lib/share/change.h"

enum { RENAMES_MAX = 64 };

struct rename_noted {
    char *from, *to; /* NULL: none */
    char *maker;     /* "": this host */
    int64_t at_ms;
};

struct renames {
    unsigned next;
    struct rename_noted ring[RENAMES_MAX];
};

/* teller NULL: anybody's rename may have overtaken it. */
struct renames_walk {
    const char *path, *teller;
    int64_t since_ms;
    unsigned step; /* 0 at first */
};

void renames_note(struct renames *renames, const char *from, const char *to, const char *maker,
                  int64_t now_ms);

/* The next path that path may have now, the newest rename first; buffer holds the one before. */
const char *renames_next(const struct renames *renames, struct renames_walk *walk,
                         char buffer[CHANGE_PATH_MAX + 1]);
/* What follows dir in path, "" or "/..."; NULL: path is neither dir nor beneath it. */
const char *renames_rest(const char *path, const char *dir);

void renames_release(struct renames *renames);

#endif
