/*
 * scope: which names are looked at.
 *
 * Names on the exclusion list (shell patterns, matched against each single name at every depth) are
 * out with all below. If paths are given, only they and what lies below is inside; the directories
 * on the way to them are looked at just to see the paths come and go.
 *
 *     scope_of(&scope, dir, "name")
 *
 * scope_is_silly() tells the names that an NFS client gives to files which are removed while open:
 * ".nfs" and hex digits. They are nobody's files and are never reported.
 * Ownership: scope points to the caller's strings. Threads: safe.
 */
#ifndef WATCHERS_SCOPE_H
#define WATCHERS_SCOPE_H

#include <stdbool.h>
#include <stddef.h>

#include "watchers/wd_table.h"

struct scope {
    const char *const *excludes;
    size_t exclude_count;
    const char *const *paths; /* relative, clean (fs_check_relative); none: everything */
    size_t path_count;
};

enum scope_verdict { SCOPE_OUT, SCOPE_ON_THE_WAY, SCOPE_INSIDE };

enum scope_verdict scope_of(const struct scope *scope, const struct dir *dir, const char *name);

/* The same for path, relative to the root, whose last component is name. inside: its directory is.
 */
enum scope_verdict scope_of_path(const struct scope *scope, bool inside, const char *path,
                                 const char *name);

/* Of a path of which nothing is known; "" is the root. Names of files that were removed while open
 * are out, too. */
enum scope_verdict scope_of_whole(const struct scope *scope, const char *path);
bool scope_is_silly(const char *name);

/* With path the way to scope->paths[i], the name of the next component on it in buffer of NAME_MAX
 * + 1 bytes; NULL when path does not lead there. */
const char *scope_next(const struct scope *scope, size_t i, const char *path, char *buffer);

#endif
