/*
 * line_file: a file that whole lines are appended to and that does not grow without limit.
 *
 *     r = line_file_open("/metrics/emf.log", 16 * 1024 * 1024, &file, &err);
 *     r = line_file_write(file, parts);       // one line with its '\n', in two pieces
 *     line_file_close(file);
 *
 * When the next line would make it larger than max_bytes, the file becomes FILE.1, in the place of
 * the one before, and a new one begins. A line that cannot be written whole (no space, a quota)
 * leaves nothing behind; the next is tried again. A file that somebody removed is made anew.
 *
 * Ownership: the structure owns the descriptor. Threads: one at a time; writes may block as files
 * do. Errors: -errno of the call that failed.
 */
#ifndef LIB_LINE_FILE_H
#define LIB_LINE_FILE_H

#include <stddef.h>
#include <sys/uio.h>

#include "lib/error.h"

struct line_file;

int line_file_open(const char *path, size_t max_bytes, struct line_file **ret_file,
                   struct error *err);
int line_file_write(struct line_file *file, const struct iovec parts[2]);
void line_file_close(struct line_file *file); /* NULL is fine */

#endif
