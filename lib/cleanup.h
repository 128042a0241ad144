/*
 * cleanup: release what a scope owns when it is left.
 *
 *     _cleanup_close_ int fd = open(...);
 *     _cleanup_free_ char *text = NULL;
 *     ...
 *     *ret_fd = take_fd(&fd);        // ownership goes to the caller
 *
 * Destructors accept -1 and NULL and keep errno. Types of other libraries have theirs beside their
 * own header. Threads: safe.
 */
#ifndef LIB_CLEANUP_H
#define LIB_CLEANUP_H

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(f) __attribute__((cleanup(f)))

static inline void cleanup_free_p(void *p)
{
    free(*(void **)p);
}

static inline void cleanup_close_p(int *fd)
{
    if (*fd >= 0) {
        int saved = errno;
        close(*fd);
        errno = saved;
    }
}

static inline void cleanup_closedir_p(DIR **dir)
{
    if (*dir)
        closedir(*dir);
}

static inline int take_fd(int *fd)
{
    int taken = *fd;
    *fd = -1;
    return taken;
}

#define take_ptr(p)                                                                                \
    ({                                                                                             \
        typeof(p) taken_ = (p);                                                                    \
        (p) = NULL;                                                                                \
        taken_;                                                                                    \
    })

#define _cleanup_free_     _cleanup_(cleanup_free_p)
#define _cleanup_close_    _cleanup_(cleanup_close_p)
#define _cleanup_closedir_ _cleanup_(cleanup_closedir_p)

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#endif
