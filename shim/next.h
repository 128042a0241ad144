/*
 * next: the functions of libc, or of whoever comes behind this library, that preload.c stands
 * before.
 *
 *     next_find();                                // from the constructor
 *     return NEXT(rename)(from, to);
 *
 * They are found in the constructor, while nothing else runs. Constructors of other libraries may
 * come earlier: openat is then the system call itself, as a memory allocator may be what is
 * opening; the others are looked for when they are called. Threads: any, once the constructor has
 * ended.
 */
#ifndef SHIM_NEXT_H
#define SHIM_NEXT_H

#include <stdio.h>
#include <sys/stat.h>
#include <sys/types.h>

struct statx;

struct next {
    int (*openat)(int, const char *, int, ...);
    FILE *(*fopen)(const char *, const char *);
    FILE *(*freopen)(const char *, const char *, FILE *);
    int (*rename)(const char *, const char *);
    int (*renameat)(int, const char *, int, const char *);
    int (*renameat2)(int, const char *, int, const char *, unsigned); /* NULL: libc has none */
    int (*unlink)(const char *);
    int (*unlinkat)(int, const char *, int);
    int (*remove)(const char *);
    int (*truncate)(const char *, off_t);
    int (*fstat)(int, struct stat *);
    int (*fstatat)(int, const char *, struct stat *, int);
    int (*__fxstat)(int, int, struct stat *); /* what older ones have in their place */
    int (*__fxstatat)(int, int, const char *, struct stat *, int);
    int (*statx)(int, const char *, int, unsigned, struct statx *);
    ssize_t (*flistxattr)(int, char *, size_t);
};

extern struct next next;

void next_find(void);

#define NEXT(name) (next.name ? next.name : (next_find(), next.name))

#endif
