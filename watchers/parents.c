#include "watchers/parents.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/cleanup.h"
#include "lib/fs.h"
#include "lib/share/change.h"

/* Was this path not there before? Two of one hash are one in 2^64. */
static bool is_first(struct parents *p, const char *path)
{
    uint64_t hash = 0xcbf29ce484222325;
    for (; *path; path++)
        hash = (hash ^ (uint8_t)*path) * 0x100000001b3;
    hash |= 1; /* 0 is free */
    size_t i = (hash >> 8) % ARRAY_LEN(p->seen);
    while (p->seen[i] != 0 && p->seen[i] != hash)
        i = (i + 1) % ARRAY_LEN(p->seen);
    bool first = p->seen[i] == 0;
    p->seen[i] = hash;
    return first;
}

void parents_sync(struct parents *p, const char *path)
{
    char parent[CHANGE_PATH_MAX + 1] = ".";
    const char *slash = strrchr(path, '/');
    struct statx now;
    _cleanup_close_ int fd = -1;
    if (slash)
        snprintf(parent, sizeof(parent), "%.*s", (int)(slash - path), path);
    if (is_first(p, parent) &&
        fs_open_beneath(p->root_fd, parent, O_PATH | O_DIRECTORY, 0, &fd) == 0)
        statx(fd, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_CTIME, &now);
}
