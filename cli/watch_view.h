/*
 * watch_view: changes as people read them, and paths as they write them.
 *
 * Threads: safe.
 */
#ifndef CLI_WATCH_VIEW_H
#define CLI_WATCH_VIEW_H

#include <jansson.h>
#include <stdio.h>

/* "" when there is no such text: whoever sends it is not trusted. */
const char *watch_text(const json_t *object, const char *key);

/* "10:55:54 modify  in/a.csv  (1.2 KiB, seen by web-1)" */
void watch_print(const json_t *change, const char *time_of_day, FILE *out);

/*
 * An absolute path as the mount that it lies on and what is left beneath it, out of what
 * GET /v1/status answers; the longest mount wins. 0 or -ENOENT.
 */
int watch_find_mount(const json_t *status, const char *path, const char **ret_mount,
                     const char **ret_rest);

#endif
