#include "sidecar/cache_store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/fs.h"
#include "lib/ofd.h"
#include "lib/own_dir.h"
#include "lib/test_hook.h"
#include "shim/cache_layout.h"

#define TMP_DIR ".tmp"
#define OLD_DIR ".old"

enum {
    BLOCK_BYTES = 4096,
    NAME_COST = 256, /* its part of the directory, and of what the file system keeps of it */
    DIR_MODE = 0755,
    PRIVATE_MODE = 0700,
};

struct cache_store {
    const struct settings *settings;
    char name[CACHE_NAME_MAX + 1];
    int dir_fd, control_fd, lock_fd, tmp_fd, old_fd;
    int tree_fds[CACHE_TREES];
    uint64_t used_bytes, reserved_bytes; /* the latter are part of the former */
    uint64_t swept_bytes, swept_files;
    bool has_left; /* the first tree is not new */
    bool swept;    /* nothing is left behind */
};

/* ---- open ---- */

static int make_cache_dir(const char *path, int *ret_fd, struct error *err)
{
    int fd = -1, r = fs_make_path(path, DIR_MODE, &fd);
    if (r < 0)
        return error_set_errno(err, -r,
                               "cache.dir: %s cannot be made. Mount a volume of the task there "
                               "that this container's user (uid %u) may write",
                               path, (unsigned)geteuid());
    _cleanup_close_ int dir_fd = fd;
    if (fs_is_nfs(path))
        return error_set(err, EINVAL,
                         "cache.dir: %s lies on NFS, where copies would be no faster. Mount a "
                         "volume of the task there",
                         path);
    if (own_dir_protect(fd) != 0)
        return error_set(err, EPERM,
                         "cache.dir: every user of this task may replace what is in %s, so nobody "
                         "could believe a copy. Give the directory to uid %u, or set its sticky "
                         "bit: chmod 1777",
                         path, (unsigned)geteuid());
    *ret_fd = take_fd(&dir_fd);
    return 0;
}

static int lock(struct cache_store *store, struct error *err)
{
    char name[CACHE_NAME_MAX + 8];
    snprintf(name, sizeof(name), "%s.lock", store->name);
    store->lock_fd =
        openat(store->control_fd, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    int r = store->lock_fd < 0 ? -errno : ofd_lock(store->lock_fd, F_WRLCK, 0, 0);
    if (r == -EAGAIN)
        return error_set(err, EBUSY,
                         "cache.dir: another efs-sidecar uses %s for %s. Give each task a "
                         "directory of its own",
                         store->settings->cache_dir, store->name);
    if (r < 0)
        return error_set_errno(err, -r, "cache.dir: %s/" CACHE_CONTROL "/%s cannot be locked",
                               store->settings->cache_dir, name);
    return 0;
}

/* What is there is put aside under a new name. */
static int put_aside(struct cache_store *store, int at_fd, const char *path)
{
    uint32_t random;
    char aside[CACHE_NAME_MAX + 16];
    if (getrandom(&random, sizeof(random), 0) != sizeof(random))
        return -EIO;
    snprintf(aside, sizeof(aside), "%s.%08x", store->name, random);
    if (renameat(at_fd, path, store->old_fd, aside) < 0 && errno != ENOENT)
        return -errno;
    return 0;
}

static int make_new(struct cache_store *store, const char *parent, mode_t mode, int *ret_fd)
{
    char path[CACHE_NAME_MAX + 16];
    snprintf(path, sizeof(path), "%s%s", parent, store->name);
    int r = put_aside(store, store->dir_fd, path);
    return r == 0 ? own_dir_make(store->dir_fd, path, mode, ret_fd, NULL) : r;
}

bool cache_store_is_own_dir(const struct stat *st)
{
    return S_ISDIR(st->st_mode) && st->st_uid == geteuid() && !(st->st_mode & (S_IWGRP | S_IWOTH));
}

/* What is pinned may be there still. */
static int open_paths(struct cache_store *store)
{
    struct stat st;
    int *fd = &store->tree_fds[CACHE_TREE_PATHS];
    if (store->settings->cache_pin.n > 0)
        *fd = openat(store->dir_fd, store->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    store->has_left = *fd >= 0 && fstat(*fd, &st) == 0 && cache_store_is_own_dir(&st);
    if (store->has_left)
        return 0;
    cleanup_close_p(fd);
    return make_new(store, "", DIR_MODE, fd);
}

static int open_trees(struct cache_store *store)
{
    int r = make_new(store, TMP_DIR "/", PRIVATE_MODE, &store->tmp_fd);
    if (r == 0)
        r = open_paths(store);
    if (r == 0)
        r = make_new(store, CACHE_VALIDATE_DIR "/", DIR_MODE,
                     &store->tree_fds[CACHE_TREE_VALIDATE]);
    return r;
}

/* Those that the mounts share. */
static int open_dirs(struct cache_store *store, struct error *err)
{
    _cleanup_close_ int validate_fd = -1, tmp_fd = -1;
    int at_fd = store->dir_fd;
    int r = own_dir_make(at_fd, CACHE_CONTROL, DIR_MODE, &store->control_fd, err);
    if (r == 0)
        r = own_dir_make(at_fd, OLD_DIR, PRIVATE_MODE, &store->old_fd, err);
    if (r == 0)
        r = own_dir_make(at_fd, CACHE_VALIDATE_DIR, DIR_MODE, &validate_fd, err);
    if (r == 0)
        r = own_dir_make(at_fd, TMP_DIR, PRIVATE_MODE, &tmp_fd, err);
    if (r < 0)
        error_prefix(err, "cache.dir: in %s", store->settings->cache_dir);
    return r;
}

static int open_all(struct cache_store *store, struct error *err)
{
    const char *dir = store->settings->cache_dir;
    int r = make_cache_dir(dir, &store->dir_fd, err);
    if (r < 0)
        return r;
    r = open_dirs(store, err);
    if (r == 0)
        r = lock(store, err);
    if (r < 0)
        return r;
    r = open_trees(store);
    if (r < 0)
        return error_set_errno(err, -r,
                               "cache.dir: what is in %s cannot be replaced; remove what another "
                               "user has made there",
                               dir);
    return 0;
}

int cache_store_open(const struct cache_store_options *options, struct cache_store **ret_store,
                     struct error *err)
{
    struct cache_store *store = calloc(1, sizeof(*store));
    if (!store)
        return error_set(err, ENOMEM, "no memory for the cache");
    *store = (struct cache_store){
        .settings = options->settings,
        .dir_fd = -1,
        .control_fd = -1,
        .lock_fd = -1,
        .tmp_fd = -1,
        .old_fd = -1,
        .tree_fds = {-1, -1},
    };
    int n = snprintf(store->name, sizeof(store->name), "%s", options->name);
    int r = n < 0 || (size_t)n >= sizeof(store->name)
                ? error_set(err, ENAMETOOLONG, "mounts: %s is too long a name for the cache",
                            options->name)
                : open_all(store, err);
    if (r < 0) {
        cache_store_close(store);
        return r;
    }
    *ret_store = store;
    return 0;
}

void cache_store_close(struct cache_store *store)
{
    if (!store)
        return;
    const int fds[] = {store->tree_fds[0], store->tree_fds[1], store->old_fd, store->tmp_fd,
                       store->lock_fd,     store->control_fd,  store->dir_fd};
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        if (fds[i] >= 0)
            close(fds[i]);
    free(store);
}

int cache_store_control(const struct cache_store *store)
{
    return store->control_fd;
}

int cache_store_tmp(const struct cache_store *store)
{
    return store->tmp_fd;
}

int cache_store_dir(const struct cache_store *store)
{
    return store->dir_fd;
}

int cache_store_tree(const struct cache_store *store, enum cache_tree tree)
{
    return store->tree_fds[tree];
}

/* ---- room ---- */

uint64_t cache_store_cost(uint64_t size)
{
    return (size + BLOCK_BYTES - 1) / BLOCK_BYTES * BLOCK_BYTES + NAME_COST;
}

static uint64_t allowance(const struct cache_store *store)
{
    uint64_t size = (uint64_t)store->settings->cache_size_bytes;
    return store->swept || store->swept_bytes > size ? size : store->swept_bytes;
}

/* More than others are to have, by so much; negative: less. */
static int64_t spare_bytes(const struct cache_store *store)
{
    struct statvfs volume;
    if (fstatvfs(store->dir_fd, &volume) < 0)
        return 0;
    uint64_t wanted = volume.f_blocks / 100 * (uint64_t)store->settings->cache_min_free_percent;
    return ((int64_t)volume.f_bavail - (int64_t)wanted) * (int64_t)volume.f_frsize;
}

int cache_store_reserve(struct cache_store *store, uint64_t bytes)
{
    uint64_t allowed = allowance(store);
    if (bytes > (uint64_t)store->settings->cache_size_bytes)
        return -EFBIG;
    if (store->used_bytes + bytes > allowed)
        return store->swept ? -ENOSPC : -EAGAIN;
    if (spare_bytes(store) < (int64_t)(store->reserved_bytes + bytes))
        return -EDQUOT;
    store->used_bytes += bytes;
    store->reserved_bytes += bytes;
    return 0;
}

void cache_store_settle(struct cache_store *store, uint64_t reserved_bytes, uint64_t filled_bytes)
{
    store->reserved_bytes -= reserved_bytes;
    store->used_bytes -= reserved_bytes - filled_bytes;
}

void cache_store_give_back(struct cache_store *store, uint64_t bytes)
{
    store->used_bytes -= bytes;
}

uint64_t cache_store_used(const struct cache_store *store)
{
    return store->used_bytes;
}

uint64_t cache_store_shortage(const struct cache_store *store)
{
    int64_t spare = spare_bytes(store);
    return spare < 0 ? (uint64_t)-spare : 0;
}

/* ---- files ---- */

static int make_parent(struct cache_store *store, enum cache_tree tree, const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return 0;
    char dir[PATH_MAX];
    _cleanup_close_ int fd = -1;
    snprintf(dir, sizeof(dir), "%.*s", (int)(slash - path), path);
    return fs_mkdir_beneath(store->tree_fds[tree], dir, DIR_MODE, &fd);
}

int cache_store_place(struct cache_store *store, const char *tmp_name, enum cache_tree tree,
                      const char *path)
{
    int r = make_parent(store, tree, path);
    if (r < 0)
        return r;
    test_hook_step("fill", 7);
    return renameat(store->tmp_fd, tmp_name, store->tree_fds[tree], path) < 0 ? -errno : 0;
}

int cache_store_place_link(struct cache_store *store, const char *tmp_name, enum cache_tree tree,
                           const char *path)
{
    char link_name[NAME_MAX + 1];
    snprintf(link_name, sizeof(link_name), "%s.link", tmp_name);
    if (linkat(store->tmp_fd, tmp_name, store->tmp_fd, link_name, 0) < 0)
        return -errno;
    int r = cache_store_place(store, link_name, tree, path);
    if (r < 0)
        cache_store_remove_tmp(store, link_name);
    return r;
}

int cache_store_link(struct cache_store *store, const char *path)
{
    int r = make_parent(store, CACHE_TREE_VALIDATE, path);
    if (r == 0 && linkat(store->tree_fds[CACHE_TREE_PATHS], path,
                         store->tree_fds[CACHE_TREE_VALIDATE], path, 0) < 0)
        r = -errno;
    return r;
}

void cache_store_remove(struct cache_store *store, enum cache_tree tree, const char *path)
{
    unlinkat(store->tree_fds[tree], path, 0);
}

void cache_store_remove_tmp(struct cache_store *store, const char *tmp_name)
{
    unlinkat(store->tmp_fd, tmp_name, 0);
}

void cache_store_remove_dir(struct cache_store *store, const char *path)
{
    for (size_t i = 0; i < CACHE_TREES; i++)
        unlinkat(store->tree_fds[i], path, AT_REMOVEDIR);
}

/* ---- what was left behind ---- */

bool cache_store_has_left(const struct cache_store *store)
{
    return store->has_left;
}

int cache_store_keep(struct cache_store *store, uint64_t bytes)
{
    if (store->used_bytes + bytes > (uint64_t)store->settings->cache_size_bytes)
        return -ENOSPC;
    store->used_bytes += bytes;
    store->swept_bytes += bytes;
    return 0;
}

static void remove_file(struct cache_store *store, int at_fd, const char *name,
                        const struct stat *st)
{
    if (unlinkat(at_fd, name, 0) < 0)
        return;
    if (st->st_nlink == 1) /* what has another name fills what it filled */
        store->swept_bytes += (uint64_t)st->st_blocks * 512;
    store->swept_files++;
}

void cache_store_remove_left(struct cache_store *store, int at_fd, const char *name,
                             const struct stat *st)
{
    if (S_ISDIR(st->st_mode))
        put_aside(store, at_fd, name);
    else
        remove_file(store, at_fd, name, st);
}

static bool sweep_dir(struct cache_store *store, int at_fd, const char *name, int64_t until_ms);

/* false: the time is up. */
static bool sweep_one(struct cache_store *store, int at_fd, const char *name, int64_t until_ms)
{
    struct stat now;
    if (fstatat(at_fd, name, &now, AT_SYMLINK_NOFOLLOW) < 0)
        return true;
    if (S_ISDIR(now.st_mode))
        return sweep_dir(store, at_fd, name, until_ms);
    remove_file(store, at_fd, name, &now);
    return clock_now_ms() < until_ms;
}

/* What an earlier call removed is gone, so every call begins at the top. */
static bool sweep_dir(struct cache_store *store, int at_fd, const char *name, int64_t until_ms)
{
    int fd = openat(at_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    _cleanup_closedir_ DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        cleanup_close_p(&fd);
        return true;
    }
    for (const struct dirent *entry; (entry = readdir(dir));) {
        const char *dot = entry->d_name;
        if (strcmp(dot, ".") == 0 || strcmp(dot, "..") == 0)
            continue;
        if (!sweep_one(store, dirfd(dir), entry->d_name, until_ms))
            return false;
    }
    unlinkat(at_fd, name, AT_REMOVEDIR);
    return clock_now_ms() < until_ms;
}

static bool is_ours(const struct cache_store *store, const char *aside)
{
    const char *dot = strrchr(aside, '.');
    size_t length = strlen(store->name);
    return dot && (size_t)(dot - aside) == length && memcmp(aside, store->name, length) == 0;
}

bool cache_store_sweep(struct cache_store *store, int64_t budget_ms)
{
    int64_t until_ms = clock_now_ms() + budget_ms;
    if (store->swept)
        return false;
    int fd = openat(store->old_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_closedir_ DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        cleanup_close_p(&fd);
        return true;
    }
    for (const struct dirent *entry; (entry = readdir(dir));)
        if (is_ours(store, entry->d_name) &&
            !sweep_one(store, store->old_fd, entry->d_name, until_ms))
            return true;
    store->swept = true;
    return false;
}

uint64_t cache_store_swept_files(const struct cache_store *store)
{
    return store->swept_files;
}
