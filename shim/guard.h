/*
 * guard: a control file that becomes shorter while it is mapped is no cache any more, and no
 * SIGBUS.
 *
 *     guard_install();                        // from the constructor
 *     guard_add(base, map_at, bytes);         // of an area that view.c has mapped
 *
 * Any application of the task may write, and so shorten, the .app file. A fault in an area puts
 * zeros, private to this process, in the place of both files, and a map that is retired. Any other
 * SIGBUS ends the process as it would without. The handler is there only where the application has
 * none of its own when it starts; one that it sets later takes its place, and SIGBUS is then its
 * business.
 *
 * Threads, signals, vfork: safe; guard_install() before threads start.
 */
#ifndef SHIM_GUARD_H
#define SHIM_GUARD_H

#include <stddef.h>

void guard_install(void);
void guard_add(char *base, size_t map_at, size_t bytes);

#endif
