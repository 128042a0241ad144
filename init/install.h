/*
 * install: puts the efsctl that runs in any image (it needs no shared library) into a directory
 * that the app's container mounts, too.
 *
 *     r = install_tools("/opt/efs", path, sizeof(path), &err);   // 0: path and size, in words
 *
 * It is taken from where `make install` puts it, relative to this program, or from beside it (a
 * build folder). The file appears whole, with mode 0755; one that is there already is replaced.
 * Nothing is run. Threads: one. Errors: -errno; the text names the path.
 */
#ifndef INIT_INSTALL_H
#define INIT_INSTALL_H

#include <stddef.h>

#include "lib/error.h"

int install_tools(const char *directory, char *ret_what, size_t size, struct error *err);

#endif
