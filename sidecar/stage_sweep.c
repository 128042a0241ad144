#include "sidecar/stage_sweep.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/fs.h"
#include "lib/share/change.h"
#include "lib/share/layout.h"

enum { LATE_MS = 2000, LATE_PART = 8 }; /* of the age: a look that comes so much later is late */

struct stage_seen {
    char *name;
    uint64_t inode, size;
    int64_t mtime_ns, ctime_ns;
    int64_t since_ms;
};

static void free_all(struct stage_seen *seen, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(seen[i].name);
    free(seen);
}

void stage_sweep_release(struct stage_sweep *sweep)
{
    free_all(sweep->seen, sweep->n);
    *sweep = (struct stage_sweep){0};
}

static bool is_same(const struct stage_seen *a, const struct stage_seen *b)
{
    return strcmp(a->name, b->name) == 0 && a->inode == b->inode && a->size == b->size &&
           a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns;
}

static const struct stage_seen *find_same(const struct stage_sweep *sweep,
                                          const struct stage_seen *now)
{
    for (size_t i = 0; i < sweep->n; i++)
        if (is_same(&sweep->seen[i], now))
            return &sweep->seen[i];
    return NULL;
}

/* -ENOENT: there is none. As the server has it now. */
static int open_stage(int task_fd, DIR **ret_dir)
{
    struct statx now;
    _cleanup_close_ int fd = -1;
    int r = fs_open_beneath(task_fd, LAYOUT_STAGED, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, &fd);
    if (r == 0 && statx(fd, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_CTIME, &now) < 0)
        r = -errno;
    DIR *dir = r < 0 ? NULL : fdopendir(fd);
    if (!dir)
        return r < 0 ? r : -errno;
    take_fd(&fd);
    *ret_dir = dir;
    return 0;
}

/* FORCE_SYNC sends what this host's writers have not sent yet. 0: it is nothing to look after. */
static int look_at(int dir_fd, const char *name, struct stage_seen *seen)
{
    struct statx now;
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return 0;
    if (statx(dir_fd, name, AT_SYMLINK_NOFOLLOW | AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &now) < 0)
        return errno == ENOENT ? 0 : -errno;
    if (S_ISDIR(now.stx_mode))
        return 0;
    seen->inode = now.stx_ino;
    seen->size = now.stx_size;
    seen->mtime_ns = change_time_ns(&now.stx_mtime);
    seen->ctime_ns = change_time_ns(&now.stx_ctime);
    return 1;
}

struct look {
    const struct stage_sweep *before;
    int64_t now_ms, age_ms;
    struct stage_seen *seen;
    size_t n;
    struct stage_swept swept;
};

/* Removed, or remembered. */
static int judge(struct look *look, int dir_fd, const char *name)
{
    struct stage_seen now = {.name = strdup(name), .since_ms = look->now_ms};
    if (!now.name)
        return -ENOMEM;
    int r = look_at(dir_fd, name, &now);
    const struct stage_seen *same = r == 1 ? find_same(look->before, &now) : NULL;
    if (same)
        now.since_ms = same->since_ms;
    bool is_left = same && look->now_ms - same->since_ms >= look->age_ms;
    if (is_left && unlinkat(dir_fd, name, 0) == 0) {
        look->swept.files++;
        look->swept.bytes += now.size;
    } else if (is_left)
        r = errno == ENOENT || errno == EBUSY ? 0 : -errno; /* .nfs...: a program has it open */
    else if (r == 1) {
        look->seen[look->n++] = now;
        return 0;
    }
    free(now.name);
    return r < 0 ? r : 0;
}

static int look_at_all(struct look *look, DIR *dir)
{
    int r = 0;
    while (r == 0 && look->n < STAGE_SEEN_MAX) {
        errno = 0;
        const struct dirent *entry = readdir(dir);
        if (!entry)
            return -errno;
        r = judge(look, dirfd(dir), entry->d_name);
    }
    return r;
}

int stage_sweep_look(struct stage_sweep *sweep, int task_fd, int64_t now_ms, int64_t age_ms,
                     struct stage_swept *ret_swept, struct error *err)
{
    _cleanup_closedir_ DIR *dir = NULL;
    if (now_ms - sweep->looked_ms > age_ms + age_ms / LATE_PART + LATE_MS)
        stage_sweep_release(sweep);
    sweep->looked_ms = now_ms;
    int r = open_stage(task_fd, &dir);
    *ret_swept = (struct stage_swept){0};
    if (r == -ENOENT) {
        stage_sweep_release(sweep);
        return 0;
    }
    struct look look = {.before = sweep, .now_ms = now_ms, .age_ms = age_ms};
    look.seen = r < 0 ? NULL : calloc(STAGE_SEEN_MAX, sizeof(*look.seen));
    if (r == 0)
        r = look.seen ? look_at_all(&look, dir) : -ENOMEM;
    *ret_swept = look.swept;
    free_all(sweep->seen, sweep->n);
    sweep->seen = look.n > 0 ? look.seen : NULL;
    sweep->n = look.n;
    if (look.n == 0)
        free(look.seen);
    return r < 0 ? error_set_errno(err, -r,
                                   "what was left in " LAYOUT_STAGED " of this task's write "
                                   "directory cannot be looked through and removed")
                 : 0;
}
