#include "cli/property.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/cleanup.h"

const char *const verdict_names[] = {"holds", "FAILS", "measured", "unknown"};

static void fill(struct finding *found, enum verdict verdict, const char *format, va_list args)
{
    found->verdict = verdict;
    vsnprintf(found->observed, sizeof(found->observed), format, args);
}

int property_holds(struct finding *found, bool holds, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fill(found, holds ? VERDICT_HOLDS : VERDICT_FAILS, format, args);
    va_end(args);
    return 0;
}

int property_measured(struct finding *found, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fill(found, VERDICT_MEASURED, format, args);
    va_end(args);
    return 0;
}

int property_write(const struct property_scene *scene, const char *name, const char *text)
{
    _cleanup_close_ int fd =
        openat(scene->dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0660);
    if (fd < 0)
        return -errno;
    ssize_t n = write(fd, text, strlen(text));
    if (n < 0 || fsync(fd) < 0)
        return -errno;
    return (size_t)n == strlen(text) ? 0 : -EIO;
}

int property_read(const struct property_scene *scene, const char *name, char *buf, size_t size)
{
    _cleanup_close_ int fd = openat(scene->dir_fd, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t n = read(fd, buf, size - 1);
    if (n < 0)
        return -errno;
    buf[n] = '\0';
    return 0;
}

int property_look(int at_fd, const char *name, struct statx *ret_statx)
{
    const int flags = AT_SYMLINK_NOFOLLOW | AT_STATX_FORCE_SYNC | (*name ? 0 : AT_EMPTY_PATH);
    return statx(at_fd, name, flags, STATX_BASIC_STATS, ret_statx) < 0 ? -errno : 0;
}

static void remove_below(int at_fd, const char *name, unsigned levels)
{
    int fd = openat(at_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    _cleanup_closedir_ DIR *list = fd < 0 ? NULL : fdopendir(fd);
    if (!list) {
        if (fd >= 0)
            close(fd);
        return;
    }
    for (struct dirent *entry; (entry = readdir(list));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            unlinkat(fd, entry->d_name, 0) < 0 && levels > 0)
            remove_below(fd, entry->d_name, levels - 1);
    unlinkat(at_fd, name, AT_REMOVEDIR);
}

void property_remove(int at_fd, const char *name)
{
    remove_below(at_fd, name, 4);
}
