/*
 * terminal: the size of the terminal, and a full-screen view that leaves it as it was.
 *
 *     terminal_size(&columns, &rows);
 *     r = terminal_enter(&err);
 *     do
 *         terminal_show(text);                          // lines, cut to the size
 *     while (terminal_wait(deadline_ms) != TERMINAL_QUIT);
 *     terminal_leave();
 *
 * The view is on the terminal's other screen. It is left also at exit(), when a signal ends the
 * process and while one stops it. Without a terminal as stdin there are no keys.
 *
 * One view in a process. Threads: one.
 */
#ifndef CLI_TERMINAL_H
#define CLI_TERMINAL_H

#include <stddef.h>
#include <stdint.h>

#include "lib/error.h"

enum terminal_event {
    TERMINAL_TIME,   /* the deadline */
    TERMINAL_REDRAW, /* another size, or back from a stop */
    TERMINAL_QUIT,   /* q, end of input, or the terminal is gone */
};

/* Of stdout; 80 and 24 when it is no terminal, or has none. */
void terminal_size(int *ret_columns, int *ret_rows);

/* -errno: stdout is no terminal. */
int terminal_enter(struct error *err);
void terminal_show(const char *text);
enum terminal_event terminal_wait(int64_t deadline_ms);
void terminal_leave(void);

#endif
