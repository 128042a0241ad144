#include "shim/next.h"

#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

/* Before 2.34, glibc had dlsym in libdl.so.2, with this version; newer ones still know it. */
#if defined(__GLIBC__) && defined(__x86_64__)
__asm__(".symver dlsym,dlsym@GLIBC_2.2.5");
#elif defined(__GLIBC__) && defined(__aarch64__)
__asm__(".symver dlsym,dlsym@GLIBC_2.17");
#endif

struct next next;

static const struct {
    const char *name;
    size_t at;
} functions[] = {
    {"openat", offsetof(struct next, openat)},
    {"fopen", offsetof(struct next, fopen)},
    {"freopen", offsetof(struct next, freopen)},
    {"rename", offsetof(struct next, rename)},
    {"renameat", offsetof(struct next, renameat)},
    {"renameat2", offsetof(struct next, renameat2)},
    {"unlink", offsetof(struct next, unlink)},
    {"unlinkat", offsetof(struct next, unlinkat)},
    {"remove", offsetof(struct next, remove)},
    {"truncate", offsetof(struct next, truncate)},
    {"fstat", offsetof(struct next, fstat)},
    {"fstatat", offsetof(struct next, fstatat)},
    {"__fxstat", offsetof(struct next, __fxstat)},
    {"__fxstatat", offsetof(struct next, __fxstatat)},
    {"statx", offsetof(struct next, statx)},
    {"flistxattr", offsetof(struct next, flistxattr)},
};

void next_find(void)
{
    int saved = errno;
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
        void *function = dlsym(RTLD_NEXT, functions[i].name);
        memcpy((char *)&next + functions[i].at, &function, sizeof(function));
    }
    errno = saved;
}
