/*
 * text: what programs print for people. Nothing here fails.
 *
 * Names on a share and messages come from others: all functions here print control
 * characters as \xNN, so that a file name cannot drive the terminal.
 *
 * Threads: safe.
 */
#ifndef LIB_TEXT_H
#define LIB_TEXT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { TEXT_WIDTH = 80, TEXT_SHORT = 24 };

void text_put(FILE *out, const char *text);

/* The same, filled with blanks up to width columns, and one more. */
void text_column(FILE *out, int width, const char *text);

/* Words in lines of at most TEXT_WIDTH columns, each indented; a longer word gets a line alone. */
void text_wrap(FILE *out, int indent, const char *text);

/* The same with a title, at most indent columns, in the indentation of the first line. */
void text_item(FILE *out, int indent, const char *title, const char *text);

/* "<1ms", "850ms", "42s", "3m12s", "5h03m", "12d04h" into buf of TEXT_SHORT bytes; returns buf. */
const char *text_duration(int64_t ms, char *buf);

/* The same exactly, as parse_duration_ms takes it: "250ms", "90s", "5m", "12h", "7d". */
const char *text_duration_exact(int64_t ms, char *buf);

/* "512 B", "1.5 KiB", "20 MiB" into buf of TEXT_SHORT bytes; returns buf. */
const char *text_size(int64_t bytes, char *buf);

static inline const char *text_plural(int64_t n, const char *one, const char *many)
{
    return n == 1 ? one : many;
}

#endif
