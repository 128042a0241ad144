/*
 * lock_name: names of locks, and where their files lie in the state directory.
 *
 *     r = lock_name_check("deploy/web", &err);
 *     lock_name_path("deploy/web", path);             // "locks/60/deploy%2Fweb"
 *
 * A name is 1 to LOCK_NAME_MAX bytes of UTF-8 without control characters. In the file's name
 * everything outside [A-Za-z0-9._-], and a dot at the start, becomes %XX: so no name leaves the
 * directory, and two names never share a file.
 *
 * Threads: safe. Errors: -EINVAL, and a sentence that names what is wrong.
 */
#ifndef LIB_SHARE_LOCK_NAME_H
#define LIB_SHARE_LOCK_NAME_H

#include <limits.h>

#include "lib/error.h"

enum { LOCK_NAME_MAX = 200, LOCK_FILE_SIZE = NAME_MAX + 1, LOCK_PATH_SIZE = NAME_MAX + 16 };

int lock_name_check(const char *name, struct error *err);

/* Of a name that was checked; both return their buffer. */
const char *lock_name_file(const char *name, char buf[LOCK_FILE_SIZE]);
const char *lock_name_path(const char *name, char buf[LOCK_PATH_SIZE]);

#endif
