/*
 * moves: first halves of renames (IN_MOVED_FROM) that wait for the second (IN_MOVED_TO).
 *
 * The second half may come in a later read, behind other events, or never: then the name was moved
 * out of sight. Few wait at a time; the oldest gives way when there is no room.
 *
 *     if (moves_is_full(&moves)) { moves_pop(&moves, CLOCK_NEVER, &move); ... it is gone ... }
 *     moves_put(&moves, cookie, dir, name, is_dir, deadline_ms);
 *     if (moves_take(&moves, cookie, &move)) ...                      // the second half is here
 *     while (moves_pop(&moves, now_ms, &move)) ...                    // waited too long
 *     if (moves_take_name(&moves, dir, name, &move)) ...              // the name is in use again
 *
 * Threads: one.
 */
#ifndef WATCHERS_MOVES_H
#define WATCHERS_MOVES_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "watchers/wd_table.h"

enum { MOVES_MAX = 32, MOVES_WAIT_MS = 20 };

struct move {
    uint32_t cookie;
    bool is_dir;
    struct dir *dir;
    int64_t deadline_ms;
    char name[NAME_MAX + 1];
};

struct moves {
    size_t count; /* in order of their deadlines */
    struct move waiting[MOVES_MAX];
};

static inline bool moves_is_full(const struct moves *moves)
{
    return moves->count == MOVES_MAX;
}

void moves_put(struct moves *moves, uint32_t cookie, struct dir *dir, const char *name, bool is_dir,
               int64_t deadline_ms);
bool moves_take(struct moves *moves, uint32_t cookie, struct move *ret_move);
bool moves_take_name(struct moves *moves, const struct dir *dir, const char *name,
                     struct move *ret_move);
bool moves_pop(struct moves *moves, int64_t now_ms, struct move *ret_move);
int64_t moves_deadline_ms(const struct moves *moves);          /* CLOCK_NEVER: none waits */
void moves_forget(struct moves *moves, const struct dir *dir); /* before dir is freed */

#endif
