/*
 * renames: which directories got another path lately.
 *
 * Another member's record may be overtaken by a rename of a directory above its path, made here or
 * elsewhere. What it tells of is then found under the new path.
 *
 *     renames_note(&renames, "d", "e/d", now_ms);
 *     path = renames_follow(&renames, "d/f", since_ms, buffer);   // "e/d/f"; NULL: none touched it
 *     renames_release(&renames);
 *
 * The last RENAMES_MAX are kept. Threads: one.
 */
#ifndef WATCHERS_RENAMES_H
#define WATCHERS_RENAMES_H

#include "lib/share/change.h"

enum { RENAMES_MAX = 64 };

struct renames {
    unsigned next;
    struct {
        char *from, *to; /* NULL: none */
        int64_t at_ms;
    } ring[RENAMES_MAX];
};

void renames_note(struct renames *renames, const char *from, const char *to, int64_t now_ms);
const char *renames_follow(const struct renames *renames, const char *path, int64_t since_ms,
                           char buffer[CHANGE_PATH_MAX + 1]);
void renames_release(struct renames *renames);

#endif
