#include "sidecar/cache_restore.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/fs.h"
#include "lib/test_hook.h"
#include "shim/cache_layout.h"
#include "sidecar/cache_record.h"

enum { NS_PER_S = 1000000000 };

struct left_dir {
    TAILQ_ENTRY(left_dir) link;
    char path[];
};

TAILQ_HEAD(left_dirs, left_dir);

struct cache_restore {
    struct cache_store *store;
    const struct cache_source *source;
    struct left_dirs to_read, read; /* the latter with the innermost first */
    size_t n_dirs, max_dirs;
    DIR *dir; /* the first one of to_read; NULL: not opened yet */
};

/* ---- directories ---- */

/* false: it is not gone through. */
static bool add_dir(struct cache_restore *restore, const char *path)
{
    size_t length = strlen(path);
    struct left_dir *dir =
        restore->n_dirs < restore->max_dirs ? malloc(sizeof(*dir) + length + 1) : NULL;
    if (!dir)
        return false;
    memcpy(dir->path, path, length + 1);
    TAILQ_INSERT_TAIL(&restore->to_read, dir, link);
    restore->n_dirs++;
    return true;
}

static void close_dir(struct cache_restore *restore, struct left_dir *dir)
{
    if (restore->dir)
        closedir(restore->dir);
    restore->dir = NULL;
    TAILQ_REMOVE(&restore->to_read, dir, link);
    TAILQ_INSERT_HEAD(&restore->read, dir, link);
}

/* It stays if there is something in it. */
static void leave_dir(struct cache_restore *restore, struct left_dir *dir)
{
    int tree_fd = cache_store_tree(restore->store, CACHE_TREE_PATHS);
    if (*dir->path)
        unlinkat(tree_fd, dir->path, AT_REMOVEDIR);
    TAILQ_REMOVE(&restore->read, dir, link);
    free(dir);
}

static int open_dir(struct cache_restore *restore, const struct left_dir *dir)
{
    int tree_fd = cache_store_tree(restore->store, CACHE_TREE_PATHS);
    _cleanup_close_ int fd = -1;
    int r = fs_open_beneath(tree_fd, *dir->path ? dir->path : ".",
                            O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, &fd);
    return r == 0 ? fs_opendir(fd, &restore->dir) : r;
}

/* ---- files ---- */

static int64_t mtime_ns(const struct stat *st)
{
    return (int64_t)st->st_mtim.tv_sec * NS_PER_S + st->st_mtim.tv_nsec;
}

/* Who may read it, by what it was given (cache_rights_give()). */
static int readers_of(const struct cache_restore *restore, const struct stat *st,
                      enum cache_readers *ret_readers)
{
    const struct ids_setting *as = &restore->source->as;
    mode_t mode = st->st_mode & 07777;
    if (mode == 0444)
        *ret_readers = CACHE_EVERYBODY;
    else if (mode == 0440 && as->set && st->st_gid == as->gid)
        *ret_readers = CACHE_GROUP;
    else if (mode == 0400 && as->set && st->st_uid == as->uid)
        *ret_readers = CACHE_OWNER;
    else
        return -EACCES;
    return 0;
}

static bool is_whole(const struct cache_restore *restore, int fd, const char *path,
                     struct cache_identity *ret_identity, enum cache_readers *ret_readers)
{
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() &&
           readers_of(restore, &st, ret_readers) == 0 &&
           cache_record_get(fd, restore->source, path, ret_identity) == 0 &&
           ret_identity->size == (uint64_t)st.st_size && ret_identity->mtime_ns == mtime_ns(&st);
}

static bool is_kept(struct cache_restore *restore, const char *name, const char *path,
                    cache_restore_keep *keep, void *arg)
{
    struct cache_identity identity;
    enum cache_readers readers;
    _cleanup_close_ int fd = openat(dirfd(restore->dir), name,
                                    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    return fd >= 0 && is_whole(restore, fd, path, &identity, &readers) &&
           keep(arg, path, &identity, readers);
}

static void visit(struct cache_restore *restore, const char *name, cache_restore_keep *keep,
                  void *arg)
{
    struct stat st;
    char path[CACHE_PATH_MAX + 1];
    int at_fd = dirfd(restore->dir);
    const char *dir = TAILQ_FIRST(&restore->to_read)->path;
    size_t dir_length = strlen(dir), length = strlen(name);
    if (fstatat(at_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return;
    bool fits = dir_length + 1 + length <= CACHE_PATH_MAX, stays = false;
    if (fits) {
        char *end = mempcpy(path, dir, dir_length);
        if (dir_length > 0)
            *end++ = '/';
        memcpy(end, name, length + 1);
    }
    test_hook_step("restore", 1);
    if (S_ISDIR(st.st_mode))
        stays = fits && cache_store_is_own_dir(&st) && add_dir(restore, path);
    else if (S_ISREG(st.st_mode))
        stays = fits && is_kept(restore, name, path, keep, arg);
    if (!stays)
        cache_store_remove_left(restore->store, at_fd, name, &st);
    test_hook_step("restore", 2);
}

/* ---- a slice ---- */

/* false: all is done. */
static bool step(struct cache_restore *restore, cache_restore_keep *keep, void *arg)
{
    struct left_dir *dir = TAILQ_FIRST(&restore->to_read);
    if (!dir) {
        test_hook_step("restore", 3);
        if ((dir = TAILQ_FIRST(&restore->read)))
            leave_dir(restore, dir);
        return dir;
    }
    const struct dirent *entry = NULL;
    if (!restore->dir && open_dir(restore, dir) < 0) {
        close_dir(restore, dir);
        return true;
    }
    entry = readdir(restore->dir);
    if (!entry)
        close_dir(restore, dir);
    else if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
        visit(restore, entry->d_name, keep, arg);
    return true;
}

bool cache_restore_turn(struct cache_restore *restore, int64_t budget_ms, cache_restore_keep *keep,
                        void *arg)
{
    int64_t until_ms = clock_now_ms() + budget_ms;
    bool more = true;
    while (more && clock_now_ms() < until_ms)
        more = step(restore, keep, arg);
    return more;
}

int cache_restore_new(struct cache_store *store, const struct cache_source *source, size_t max_dirs,
                      struct cache_restore **ret_restore)
{
    struct cache_restore *restore = calloc(1, sizeof(*restore));
    if (!restore)
        return -ENOMEM;
    *restore = (struct cache_restore){.store = store, .source = source, .max_dirs = max_dirs + 1};
    TAILQ_INIT(&restore->to_read);
    TAILQ_INIT(&restore->read);
    if (!add_dir(restore, "")) {
        free(restore);
        return -ENOMEM;
    }
    *ret_restore = restore;
    return 0;
}

void cache_restore_free(struct cache_restore *restore)
{
    if (!restore)
        return;
    struct left_dir *dir;
    if (restore->dir)
        closedir(restore->dir);
    TAILQ_CONCAT(&restore->read, &restore->to_read, link);
    while ((dir = TAILQ_FIRST(&restore->read))) {
        TAILQ_REMOVE(&restore->read, dir, link);
        free(dir);
    }
    free(restore);
}
