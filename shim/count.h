/*
 * count: what happened to the opens of this process, and of all processes on a mount.
 *
 *     count_configure(path);                  // from the constructor, when it is wanted
 *     count(mapping, CACHE_HITS);
 *     count_report();                         // one line at the end of the process
 *
 * Both are sharded by where the stack is, which differs between threads: no line of memory is
 * shared by threads that hit at the same time.
 */
#ifndef SHIM_COUNT_H
#define SHIM_COUNT_H

#include "shim/view.h"

void count_configure(const char *path);
void count(struct shim_mapping *mapping, enum cache_count what);

/* Appends "efscache: PID NAME hits=N absent=N ..." to the file. */
void count_report(void);

#endif
