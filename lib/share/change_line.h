/*
 * change_line: a change as the one JSON object that people, scripts and the API get. The one place
 * that knows this form.
 *
 *     char line[CHANGE_LINE_MAX];
 *     size_t n = change_line(&change, NULL, line, sizeof(line));
 *     {"path":"a/b","op":"modify","source":"local","observer":"web-1","size":3,
 *      "mtime":"2026-11-23T09:55:54.123456789Z","cursor":"7.41"}
 *
 * and, where they apply, "from" of a rename, "reason" of a resync, "dir", "sha256" (hex) of what
 * was published, "path_base64" and "from_base64" with the exact bytes of a path that is not UTF-8,
 * and "mount" if the caller has one. It is written straight into the buffer, because every change
 * comes by here: a tree of JSON values for each cost more than all the rest of its way.
 *
 * Threads: safe.
 */
#ifndef LIB_SHARE_CHANGE_LINE_H
#define LIB_SHARE_CHANGE_LINE_H

#include <stddef.h>

#include "lib/share/change.h"

/* Two longest paths of control characters and a mount's, with room for the line's end. */
enum { CHANGE_LINE_MAX = 80 * 1024 };

/* The length of the text, without NUL and line end; 0: more than size bytes. mount may be NULL. */
size_t change_line(const struct change *change, const char *mount, char *buffer, size_t size);

#endif
