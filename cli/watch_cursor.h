/*
 * watch_cursor: up to where the changes were handled, and the file that outlives efsctl.
 *
 *     watch_cursor_load(&cursor, file, &err);       // cursor.text: "" when there is no file yet
 *     watch_cursor_set(&cursor, "7.41");
 *     watch_cursor_save(&cursor, false, &err);      // at most once a second; true: now
 *
 * The file is replaced as a whole, so it is never half written. Threads: one.
 */
#ifndef CLI_WATCH_CURSOR_H
#define CLI_WATCH_CURSOR_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/error.h"
#include "lib/share/change.h"

struct watch_cursor {
    const char *file; /* NULL: none */
    char text[CHANGE_CURSOR_TEXT];
    bool unsaved;
    int64_t save_ms; /* not before */
};

/* file may be NULL. */
int watch_cursor_load(struct watch_cursor *cursor, const char *file, struct error *err);
void watch_cursor_set(struct watch_cursor *cursor, const char *text);
int watch_cursor_save(struct watch_cursor *cursor, bool now, struct error *err);
int64_t watch_cursor_due_ms(const struct watch_cursor *cursor); /* CLOCK_NEVER: nothing to save */

#endif
