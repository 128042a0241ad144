#include "watchers/moves.h"

#include <string.h>

#include "lib/clock.h"

void moves_put(struct moves *moves, uint32_t cookie, struct dir *dir, const char *name, bool is_dir,
               int64_t deadline_ms)
{
    struct move *move = &moves->waiting[moves->count++];
    move->cookie = cookie;
    move->is_dir = is_dir;
    move->dir = dir;
    move->deadline_ms = deadline_ms;
    strncpy(move->name, name, NAME_MAX);
    move->name[NAME_MAX] = '\0';
}

static void take_at(struct moves *moves, size_t i, struct move *ret_move)
{
    *ret_move = moves->waiting[i];
    moves->count--;
    memmove(&moves->waiting[i], &moves->waiting[i + 1],
            (moves->count - i) * sizeof(moves->waiting[0]));
}

bool moves_take(struct moves *moves, uint32_t cookie, struct move *ret_move)
{
    for (size_t i = 0; i < moves->count; i++) {
        if (moves->waiting[i].cookie == cookie) {
            take_at(moves, i, ret_move);
            return true;
        }
    }
    return false;
}

bool moves_take_name(struct moves *moves, const struct dir *dir, const char *name,
                     struct move *ret_move)
{
    for (size_t i = 0; i < moves->count; i++) {
        if (moves->waiting[i].dir == dir && strcmp(moves->waiting[i].name, name) == 0) {
            take_at(moves, i, ret_move);
            return true;
        }
    }
    return false;
}

bool moves_pop(struct moves *moves, int64_t now_ms, struct move *ret_move)
{
    if (moves->count == 0 || moves->waiting[0].deadline_ms > now_ms)
        return false;
    take_at(moves, 0, ret_move);
    return true;
}

int64_t moves_deadline_ms(const struct moves *moves)
{
    return moves->count ? moves->waiting[0].deadline_ms : CLOCK_NEVER;
}

void moves_forget(struct moves *moves, const struct dir *dir)
{
    size_t kept = 0;
    for (size_t i = 0; i < moves->count; i++) {
        if (moves->waiting[i].dir == dir)
            continue;
        if (kept != i)
            moves->waiting[kept] = moves->waiting[i];
        kept++;
    }
    moves->count = kept;
}
