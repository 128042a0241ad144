/*
 * hit: from an application's open for reading to the copy, if there is one that is good.
 *
 *     if (hit_begin(&hit, dir_fd, path, flags)) {
 *         open hit.copy
 *         if (hit_end(&hit, fd))
 *             it is a hit: give what was opened to the application
 *         else
 *             close it
 *     }
 *     the application's own call
 *     hit_missed(&hit, it succeeded);             // so that the sidecar hears of it
 *
 * Threads, signals, vfork: safe. errno is kept.
 */
#ifndef SHIM_HIT_H
#define SHIM_HIT_H

#include <stdbool.h>

#include "shim/where.h"

enum {
    HIT_COPY_MAX = VIEW_DIR_MAX + sizeof(CACHE_VALIDATE_DIR) + CACHE_NAME_MAX + CACHE_PATH_MAX + 8
};

struct hit {
    bool wanted; /* the sidecar may want to know that it was missed */
    struct where where;
    struct cache_look look;
    char copy[HIT_COPY_MAX];
};

/* From the constructor; before that there are no hits. */
enum hit_policy { HIT_NEVER, HIT_WITH_ORIGIN, HIT_ALWAYS };
void hit_configure(enum hit_policy wanted);
bool hit_begin(struct hit *hit, int dir_fd, const char *path, int flags);
bool hit_end(struct hit *hit, int fd); /* -1: not opened */
void hit_missed(struct hit *hit, bool opened);

#endif
