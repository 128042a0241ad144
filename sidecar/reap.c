#include "sidecar/reap.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "lib/cleanup.h"
#include "lib/fs.h"
#include "lib/fs_remove.h"
#include "lib/log.h"
#include "lib/share/layout.h"
#include "lib/test_hook.h"

static int make_unique(struct reap *reap, const struct owner *owner, char unique[REAP_UNIQUE_SIZE],
                       int *ret_fd)
{
    char path[sizeof(LAYOUT_ORPHANS) + REAP_UNIQUE_SIZE];
    uint64_t random;
    if (getrandom(&random, sizeof(random), 0) != sizeof(random))
        return -errno;
    snprintf(unique, REAP_UNIQUE_SIZE, "%u-%u-%016llx", owner->slot, owner->epoch,
             (unsigned long long)random);
    snprintf(path, sizeof(path), LAYOUT_ORPHANS "/%s", unique);
    return place_make_dir(reap->place, reap->tasks_fd, path, LAYOUT_DIR_MODE, ret_fd, &reap->err);
}

int reap_begin(struct reap *reap, const char *name, const struct owner *owner,
               char ret_unique[REAP_UNIQUE_SIZE])
{
    _cleanup_close_ int unique_fd = -1;
    test_hook_step("reap", 1);
    int r = make_unique(reap, owner, ret_unique, &unique_fd);
    if (r < 0)
        return r;
    test_hook_step("reap", 2);
    if (renameat(reap->tasks_fd, name, unique_fd, name) < 0)
        return error_set_errno(&reap->err, errno, "%s/%s/%s, whose task ended, cannot be moved",
                               reap->place->path, reap->place->settings->tasks_dir, name);
    test_hook_step("reap", 3);
    return 0;
}

/* ---- what lies in a UNIQUE ---- */

static int open_unique(struct reap *reap, const char *unique, int *ret_fd)
{
    struct statx now;
    char path[sizeof(LAYOUT_ORPHANS) + NAME_MAX + 1];
    snprintf(path, sizeof(path), LAYOUT_ORPHANS "/%s", unique);
    _cleanup_close_ int fd = -1;
    int r = fs_open_beneath(reap->tasks_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, &fd);
    if (r == 0 && statx(fd, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_CTIME, &now) < 0)
        r = -errno;
    if (r == 0)
        *ret_fd = take_fd(&fd);
    return r;
}

/* -ENODATA: nothing. */
static int find_child(int unique_fd, char child[NAME_MAX + 1])
{
    _cleanup_closedir_ DIR *dir = NULL;
    int opened = fs_opendir(unique_fd, &dir);
    if (opened < 0)
        return opened;
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        snprintf(child, NAME_MAX + 1, "%s", entry->d_name);
        return 0;
    }
    return -ENODATA;
}

int reap_owner(struct reap *reap, const char *unique, struct owner *ret_owner)
{
    char child[NAME_MAX + 1];
    _cleanup_close_ int unique_fd = -1;
    int r = open_unique(reap, unique, &unique_fd);
    if (r == 0)
        r = find_child(unique_fd, child);
    if (r < 0)
        return r == -ENOENT ? -ENODATA : r;
    _cleanup_close_ int fd =
        openat(unique_fd, child, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    r = fd < 0 ? -errno : owner_read(fd, LAYOUT_OWNER, ret_owner);
    return r == -EBADMSG || r == -ENOTDIR || r == -ELOOP ? -ENOENT : r;
}

/* ---- where it goes ---- */

struct orphan {
    const char *unique, *name;
    int unique_fd;
};

/* Into this directory, relative to fd, under a name that is used once. */
static int move_into(struct reap *reap, const struct orphan *orphan, int fd, const char *path,
                     const char *what)
{
    char name[NAME_MAX + 1];
    _cleanup_close_ int into_fd = -1;
    int r = place_make_dir(reap->place, fd, path, LAYOUT_DIR_MODE, &into_fd, &reap->err);
    if (r < 0)
        return r;
    snprintf(name, sizeof(name), "%.200s.%s", orphan->name, orphan->unique);
    if (renameat(orphan->unique_fd, orphan->name, into_fd, name) < 0)
        return error_set_errno(&reap->err, errno,
                               "the write directory of %s, which ended, cannot be moved to %s/%s",
                               orphan->name, path, name);
    log_info("task %s on %s ended: its write directory is %s/%s now (%s)", orphan->name,
             reap->place->path, path, name, what);
    return 1;
}

static int adopt_for(struct reap *reap, const struct orphan *orphan, const char *task)
{
    char path[PATH_MAX];
    _cleanup_close_ int root_fd = -1;
    int r = place_open_root(reap->place, &root_fd, &reap->err);
    snprintf(path, sizeof(path), "%s/%s/" LAYOUT_ADOPTED, reap->place->settings->tasks_dir, task);
    return r < 0 ? r : move_into(reap, orphan, root_fd, path, "adopted");
}

static int adopt(struct reap *reap, const struct orphan *orphan)
{
    return adopt_for(reap, orphan, reap->place->settings->task_name);
}

static int archive(struct reap *reap, const struct orphan *orphan)
{
    _cleanup_close_ int root_fd = -1;
    int r = place_open_root(reap->place, &root_fd, &reap->err);
    return r < 0 ? r
                 : move_into(reap, orphan, root_fd, reap->place->settings->orphans_archive,
                             "archived");
}

static int delete_it(struct reap *reap, const struct orphan *orphan)
{
    int r = fs_remove(orphan->unique_fd, orphan->name, &reap->budget);
    if (r < 0)
        return error_set_errno(&reap->err, -r,
                               "the write directory of %s, which ended, cannot be removed",
                               orphan->name);
    if (r == 1)
        log_info("task %s on %s ended: its write directory is removed", orphan->name,
                 reap->place->path);
    return r;
}

/* Its owner lives, or it shall be kept. A new one of this name may be there by now. */
static int put_back(struct reap *reap, const struct orphan *orphan)
{
    if (renameat(orphan->unique_fd, orphan->name, reap->tasks_fd, orphan->name) == 0) {
        log_info("task %s on %s has its write directory back", orphan->name, reap->place->path);
        return 1;
    }
    if (errno == ENOTEMPTY || errno == EEXIST)
        return adopt_for(reap, orphan, orphan->name);
    return error_set_errno(&reap->err, errno, "the write directory of %s cannot be put back",
                           orphan->name);
}

static int (*const policies[])(struct reap *reap, const struct orphan *orphan) = {
    [ORPHANS_KEEP] = put_back,
    [ORPHANS_ADOPT] = adopt,
    [ORPHANS_ARCHIVE] = archive,
    [ORPHANS_DELETE] = delete_it,
};

static int remove_unique(struct reap *reap, const char *unique)
{
    char path[sizeof(LAYOUT_ORPHANS) + NAME_MAX + 1];
    snprintf(path, sizeof(path), LAYOUT_ORPHANS "/%s", unique);
    if (unlinkat(reap->tasks_fd, path, AT_REMOVEDIR) < 0 && errno != ENOENT)
        return errno == ENOTEMPTY || errno == EEXIST ? 0 : -errno;
    test_hook_step("reap", 5);
    unlinkat(reap->tasks_fd, LAYOUT_ORPHANS, AT_REMOVEDIR); /* unless another one is in it */
    return 1;
}

int reap_settle(struct reap *reap, const char *unique, bool over)
{
    char child[NAME_MAX + 1];
    _cleanup_close_ int unique_fd = -1;
    int r = open_unique(reap, unique, &unique_fd);
    if (r == 0)
        r = find_child(unique_fd, child);
    if (r == 0) {
        const struct orphan orphan = {.unique = unique, .name = child, .unique_fd = unique_fd};
        r = over ? policies[reap->policy](reap, &orphan) : put_back(reap, &orphan);
        if (r <= 0)
            return r;
        test_hook_step("reap", 4);
    }
    return r < 0 && r != -ENODATA && r != -ENOENT ? r : remove_unique(reap, unique);
}
