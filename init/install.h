/*
 * install: puts what applications use into a directory that the app's container mounts, too: the
 * efsctl that runs in any image (it needs no shared library), and libefscache.so for glibc and
 * musl.
 *
 *     r = install_tools("/opt/efs", what, sizeof(what), &err);   // 0: paths and sizes, in words
 *
 * They are taken from where `make install` puts them, relative to this program, or from beside it
 * (a build folder); the library for musl is left out where there is none. A file appears whole and
 * takes the place of one that is there. Nothing is run. Threads: one. Errors: -errno; the text
 * names the path.
 */
#ifndef INIT_INSTALL_H
#define INIT_INSTALL_H

#include <stddef.h>

#include "lib/error.h"

int install_tools(const char *directory, char *ret_what, size_t size, struct error *err);

#endif
