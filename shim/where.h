/*
 * where: which file of which mount the arguments of a call name, without asking the mount.
 *
 *     if (where_named(view, dir_fd, path, at_once, &where))
 *         ... where.mapping, where.hash, where.path
 *
 * where_named() goes by the words alone: symbolic links are not seen (what is below one is not
 * cached under that name) and ".." is refused. where_fd_path() says what the kernel made of it.
 *
 * Threads, signals, vfork: safe. errno is not kept.
 */
#ifndef SHIM_WHERE_H
#define SHIM_WHERE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shim/view.h"

enum { WHERE_TEXT_MAX = 2 * CACHE_PATH_MAX + 64 };

struct where {
    struct shim_mount *mount;
    struct shim_mapping *mapping;
    uint64_t hash;
    const char *path; /* in text, relative to the mount */
    size_t length;
    char text[WHERE_TEXT_MAX];
};

bool where_named(struct shim_view *view, int dir_fd, const char *path, bool at_once,
                 struct where *ret_where);

/* The path of the descriptor, or of the name `last` in that directory, into text. Its length; 0
 * when it has none any more. */
size_t where_fd_path(int fd, const char *last, char text[WHERE_TEXT_MAX]);

/* where->text has `length` bytes: is that a file below this mount? Sets all but the mapping. */
bool where_below(struct where *where, struct shim_mount *mount, size_t length);

#endif
