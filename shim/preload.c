/*
 * preload: the functions that libefscache.so puts before libc's, for LD_PRELOAD.
 *
 * What opens for reading gets the copy of a hot file when there is a good one (shim/hit.h); what
 * may change a file leaves a mark (shim/mark.h). Everything else, and everything that is in doubt,
 * is the call that the application made. File offsets have 64 bits here, so that the functions with
 * and without 64 in their names are the same.
 *
 *     EFS_CACHE=off           switches the library off
 *     EFS_CACHE_DIR           instead of /var/cache/efs-sidecar
 *     EFS_CACHE_REPORT        a file: what became of the process's opens, in a line at its end
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shim/count.h"
#include "shim/guard.h"
#include "shim/hit.h"
#include "shim/mark.h"
#include "shim/next.h"
#include "shim/sys.h"

_Static_assert(sizeof(off_t) == 8, "open and open64 are one");

/* musl's headers make them macros */
#undef open64
#undef openat64
#undef creat64
#undef fopen64
#undef freopen64
#undef truncate64

#define DEFAULT_DIR "/var/cache/efs-sidecar"
#define EXPORT      __attribute__((visibility("default")))

/* libc's headers have other names for arguments, and some of the functions only by other settings.
 * NOLINTBEGIN(readability-redundant-declaration,readability-inconsistent-declaration-parameter-name)
 */

/* Programs that wait for the file to grow in the descriptor that they have, and programs that
 * compare or keep what fstat says (cp refuses to go on, tar archives owner and mode): where it is
 * that of the copy, for want of the source's, they do without. What they write leaves its marks. */
static const struct {
    const char *name;
    enum hit_policy policy;
} programs[] = {
    {"bsdtar", HIT_WITH_ORIGIN},  {"cp", HIT_WITH_ORIGIN},  {"cpio", HIT_WITH_ORIGIN},
    {"install", HIT_WITH_ORIGIN}, {"less", HIT_NEVER},      {"mv", HIT_WITH_ORIGIN},
    {"rsync", HIT_WITH_ORIGIN},   {"sed", HIT_WITH_ORIGIN}, {"tail", HIT_NEVER},
    {"tar", HIT_WITH_ORIGIN},     {"zip", HIT_WITH_ORIGIN},
};

static enum hit_policy policy_of_program(void)
{
    for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++)
        if (strcmp(program_invocation_short_name, programs[i].name) == 0)
            return programs[i].policy;
    return HIT_ALWAYS;
}

__attribute__((constructor)) static void start(void)
{
    _keep_errno_;
    next_find();
    const char *dir = secure_getenv("EFS_CACHE_DIR"), *to = secure_getenv("EFS_CACHE_REPORT");
    const char *off = secure_getenv("EFS_CACHE");
    if (off && (strcmp(off, "off") == 0 || strcmp(off, "0") == 0))
        return;
    guard_install();
    hit_configure(policy_of_program());
    view_configure(dir && *dir ? dir : DEFAULT_DIR);
    if (to)
        count_configure(to);
}

__attribute__((destructor)) static void end(void)
{
    _keep_errno_;
    count_report();
}

/* ---- open ---- */

static int next_openat(int dir_fd, const char *path, int flags, mode_t mode)
{
    return next.openat ? next.openat(dir_fd, path, flags, mode)
                       : sys_openat(dir_fd, path, flags, mode);
}

static bool needs_mode(int flags)
{
    return (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE;
}

static bool may_change(int flags)
{
    return (flags & O_PATH) == 0 &&
           ((flags & O_ACCMODE) != O_RDONLY || (flags & (O_CREAT | O_TRUNC)) != 0);
}

static int open_copy(struct hit *hit, int flags)
{
    _keep_errno_;
    int fd = sys_openat(AT_FDCWD, hit->copy, flags, 0);
    if (hit_end(hit, fd))
        return fd;
    if (fd >= 0)
        sys_close(fd);
    return -1;
}

/* Not inlined: what libc's headers say about arguments that are never NULL is not so here. */
__attribute__((noinline)) static int open_at(int dir_fd, const char *path, int flags, mode_t mode)
{
    struct hit hit;
    int fd = -1;
    if (!path)
        return next_openat(dir_fd, path, flags, mode);
    if (may_change(flags)) {
        mark_name(dir_fd, path);
        fd = next_openat(dir_fd, path, flags, mode);
        if (fd >= 0)
            mark_opened(fd);
        return fd;
    }
    if (hit_begin(&hit, dir_fd, path, flags))
        fd = open_copy(&hit, flags);
    if (fd < 0) {
        fd = next_openat(dir_fd, path, flags, mode);
        hit_missed(&hit, fd >= 0);
    }
    return fd;
}

#define MODE_ARGUMENT(flags, mode)                                                                 \
    mode_t mode = 0;                                                                               \
    if (needs_mode(flags)) {                                                                       \
        va_list arguments;                                                                         \
        va_start(arguments, flags);                                                                \
        (mode) = va_arg(arguments, mode_t);                                                        \
        va_end(arguments);                                                                         \
    }

EXPORT int open(const char *path, int flags, ...)
{
    MODE_ARGUMENT(flags, mode)
    return open_at(AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...);
EXPORT int open64(const char *path, int flags, ...)
{
    MODE_ARGUMENT(flags, mode)
    return open_at(AT_FDCWD, path, flags, mode);
}

EXPORT int openat(int dir_fd, const char *path, int flags, ...)
{
    MODE_ARGUMENT(flags, mode)
    return open_at(dir_fd, path, flags, mode);
}

int openat64(int dir_fd, const char *path, int flags, ...);
EXPORT int openat64(int dir_fd, const char *path, int flags, ...)
{
    MODE_ARGUMENT(flags, mode)
    return open_at(dir_fd, path, flags, mode);
}

/* What programs call that were compiled with _FORTIFY_SOURCE: there is no mode. */
static int open_at_fortified(int dir_fd, const char *path, int flags)
{
    if (needs_mode(flags))
        abort(); /* as glibc does */
    return open_at(dir_fd, path, flags, 0);
}

int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int dir_fd, const char *path, int flags);
int __openat64_2(int dir_fd, const char *path, int flags);

EXPORT int __open_2(const char *path, int flags)
{
    return open_at_fortified(AT_FDCWD, path, flags);
}

EXPORT int __open64_2(const char *path, int flags)
{
    return open_at_fortified(AT_FDCWD, path, flags);
}

EXPORT int __openat_2(int dir_fd, const char *path, int flags)
{
    return open_at_fortified(dir_fd, path, flags);
}

EXPORT int __openat64_2(int dir_fd, const char *path, int flags)
{
    return open_at_fortified(dir_fd, path, flags);
}

EXPORT int creat(const char *path, mode_t mode)
{
    return open_at(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

int creat64(const char *path, mode_t mode);
EXPORT int creat64(const char *path, mode_t mode)
{
    return open_at(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

/* ---- streams ---- */

static FILE *fopen_copy(struct hit *hit, const char *mode)
{
    _keep_errno_;
    FILE *stream = NEXT(fopen)(hit->copy, mode);
    if (hit_end(hit, stream ? fileno(stream) : -1))
        return stream;
    if (stream)
        fclose(stream);
    return NULL;
}

static bool mode_reads(const char *mode)
{
    return mode[0] == 'r' && !strchr(mode, '+');
}

static void mark_stream(FILE *stream)
{
    if (stream)
        mark_opened(fileno(stream));
}

__attribute__((noinline)) static FILE *open_stream(const char *path, const char *mode)
{
    struct hit hit;
    FILE *stream = NULL;
    if (!path || !mode)
        return NEXT(fopen)(path, mode);
    if (!mode_reads(mode)) {
        mark_name(AT_FDCWD, path);
        stream = NEXT(fopen)(path, mode);
        mark_stream(stream);
        return stream;
    }
    if (hit_begin(&hit, AT_FDCWD, path, O_RDONLY))
        stream = fopen_copy(&hit, mode);
    if (!stream) {
        stream = NEXT(fopen)(path, mode);
        hit_missed(&hit, stream != NULL);
    }
    return stream;
}

EXPORT FILE *fopen(const char *path, const char *mode)
{
    return open_stream(path, mode);
}

FILE *fopen64(const char *path, const char *mode);
EXPORT FILE *fopen64(const char *path, const char *mode)
{
    return open_stream(path, mode);
}

/* Never from the cache: a freopen that fails has closed the stream, so there is no second try. */
__attribute__((noinline)) static FILE *reopen_stream(const char *path, const char *mode,
                                                     FILE *stream)
{
    if (!path || !mode || mode_reads(mode))
        return NEXT(freopen)(path, mode, stream);
    mark_name(AT_FDCWD, path);
    stream = NEXT(freopen)(path, mode, stream);
    mark_stream(stream);
    return stream;
}

EXPORT FILE *freopen(const char *path, const char *mode, FILE *stream)
{
    return reopen_stream(path, mode, stream);
}

FILE *freopen64(const char *path, const char *mode, FILE *stream);
EXPORT FILE *freopen64(const char *path, const char *mode, FILE *stream)
{
    return reopen_stream(path, mode, stream);
}

/* ---- names ---- */

static void before_names(int from_fd, const char *from, int to_fd, const char *to)
{
    if (!from || !to)
        return;
    mark_name(from_fd, from);
    mark_name(to_fd, to);
}

/* RENAME_EXCHANGE leaves something under both names. */
static int after_names(int r, int from_fd, const char *from, int to_fd, const char *to)
{
    if (!from || !to)
        return r;
    mark_entry(from_fd, from);
    mark_entry(to_fd, to);
    mark_if_directory(from_fd, from);
    mark_if_directory(to_fd, to);
    return r;
}

EXPORT int rename(const char *from, const char *to)
{
    before_names(AT_FDCWD, from, AT_FDCWD, to);
    return after_names(NEXT(rename)(from, to), AT_FDCWD, from, AT_FDCWD, to);
}

EXPORT int renameat(int from_fd, const char *from, int to_fd, const char *to)
{
    before_names(from_fd, from, to_fd, to);
    return after_names(NEXT(renameat)(from_fd, from, to_fd, to), from_fd, from, to_fd, to);
}

int renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags);
EXPORT int renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags)
{
    before_names(from_fd, from, to_fd, to);
    int r = next.renameat2 ? next.renameat2(from_fd, from, to_fd, to, flags)
                           : (int)syscall(SYS_renameat2, from_fd, from, to_fd, to, flags);
    return after_names(r, from_fd, from, to_fd, to);
}

static void before_name(int dir_fd, const char *path)
{
    if (path)
        mark_name(dir_fd, path);
}

static int after_name(int r, int dir_fd, const char *path)
{
    if (path)
        mark_entry(dir_fd, path);
    return r;
}

EXPORT int unlink(const char *path)
{
    before_name(AT_FDCWD, path);
    return after_name(NEXT(unlink)(path), AT_FDCWD, path);
}

EXPORT int unlinkat(int dir_fd, const char *path, int flags)
{
    before_name(dir_fd, path);
    return after_name(NEXT(unlinkat)(dir_fd, path, flags), dir_fd, path);
}

/* libc's own calls unlink without passing by here. */
EXPORT int remove(const char *path)
{
    before_name(AT_FDCWD, path);
    return after_name(NEXT(remove)(path), AT_FDCWD, path);
}

__attribute__((noinline)) static int cut(const char *path, off_t length)
{
    before_name(AT_FDCWD, path);
    int r = NEXT(truncate)(path, length);
    if (path)
        mark_content(path);
    return r;
}

EXPORT int truncate(const char *path, off_t length)
{
    return cut(path, length);
}

int truncate64(const char *path, off_t length);
EXPORT int truncate64(const char *path, off_t length)
{
    return cut(path, length);
}

/* NOLINTEND(readability-redundant-declaration,readability-inconsistent-declaration-parameter-name)
 */
