/*
 * origin: the source of a copy, as fstat tells it.
 *
 *     if (fstat(fd, &st) == 0)
 *         origin_tell(fd, &st);                   // the source's, if fd is of a copy that has it
 *     if (origin_is_known(fd)) ...
 *
 * It is read from the copy each time (shim/cache_origin.h): nothing is known of descriptors here,
 * so close, dup, fork, exec and passing them on change nothing. Only files of the cache's device
 * and owner without a bit for writing are asked, and those that belong to who asks: nobody else can
 * say who owns them. Threads, signals, vfork: safe. errno is kept.
 */
#ifndef SHIM_ORIGIN_H
#define SHIM_ORIGIN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

struct sys_raw_statx;

bool origin_is_known(int fd);
void origin_tell(int fd, struct stat *st);
void origin_tell_statx(int fd, struct sys_raw_statx *st);

/* The names of the attributes without the one that is the cache's; the new length. */
ssize_t origin_hide(char *names, size_t length);

#endif
