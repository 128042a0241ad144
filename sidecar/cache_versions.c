#include "sidecar/cache_versions.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/fs.h"
#include "lib/own_dir.h"
#include "lib/test_hook.h"
#include "shim/cache_layout.h"
#include "sidecar/cache_store.h"

enum { DIR_MODE = 0755 };

struct cache_versions {
    struct cache_store *store;
    char name[CACHE_NAME_MAX + 1];
    int all_fd, current_fd; /* .versions/NAME and .current */
    int fd;                 /* of the one that is being made; -1: none */
    int failed;
    unsigned long long number, before; /* the last one and the one before; 0: none */
    uint64_t held_bytes, held_before_bytes;
};

/* ---- what is there ---- */

static void remove_tree(int at_fd, const char *name)
{
    int fd = openat(at_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    _cleanup_closedir_ DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        cleanup_close_p(&fd);
        return;
    }
    for (const struct dirent *entry; (entry = readdir(dir));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (unlinkat(dirfd(dir), entry->d_name, 0) < 0)
            remove_tree(dirfd(dir), entry->d_name);
    }
    unlinkat(at_fd, name, AT_REMOVEDIR);
}

/* All but the last and the one before. */
static void remove_older(struct cache_versions *versions)
{
    _cleanup_closedir_ DIR *dir = NULL;
    int fd = openat(versions->all_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0 && !(dir = fdopendir(fd)))
        close(fd);
    for (const struct dirent *entry; dir && (entry = readdir(dir));) {
        unsigned long long number = strtoull(entry->d_name, NULL, 10);
        if (number > 0 && number != versions->number && number != versions->before)
            remove_tree(versions->all_fd, entry->d_name);
    }
}

/* The one that a sidecar before this one has switched to. */
static void find_last(struct cache_versions *versions)
{
    char target[PATH_MAX];
    ssize_t n = readlinkat(versions->current_fd, versions->name, target, sizeof(target) - 1);
    if (n <= 0)
        return;
    target[n] = '\0';
    const char *slash = strrchr(target, '/');
    versions->number = slash ? strtoull(slash + 1, NULL, 10) : 0;
}

int cache_versions_new(struct cache_store *store, const char *name,
                       struct cache_versions **ret_versions)
{
    char path[sizeof(CACHE_VERSIONS "/") + CACHE_NAME_MAX];
    struct cache_versions *versions = calloc(1, sizeof(*versions));
    if (!versions)
        return -ENOMEM;
    *versions = (struct cache_versions){.store = store, .all_fd = -1, .current_fd = -1, .fd = -1};
    snprintf(versions->name, sizeof(versions->name), "%s", name);
    snprintf(path, sizeof(path), CACHE_VERSIONS "/%s", versions->name);
    int dir_fd = cache_store_dir(store);
    int r = own_dir_make(dir_fd, path, DIR_MODE, &versions->all_fd, NULL);
    if (r == 0)
        r = own_dir_make(dir_fd, CACHE_CURRENT, DIR_MODE, &versions->current_fd, NULL);
    if (r < 0) {
        cache_versions_free(versions);
        return r;
    }
    find_last(versions);
    *ret_versions = versions;
    return 0;
}

void cache_versions_free(struct cache_versions *versions)
{
    if (!versions)
        return;
    const int fds[] = {versions->fd, versions->all_fd, versions->current_fd};
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        if (fds[i] >= 0)
            close(fds[i]);
    free(versions);
}

void cache_versions_hold(struct cache_versions *versions, uint64_t bytes)
{
    versions->held_bytes += bytes;
}

/* ---- a new one ---- */

static void number_text(unsigned long long number, char *text, size_t size)
{
    snprintf(text, size, "%llu", number);
}

int cache_versions_begin(struct cache_versions *versions)
{
    char text[32];
    number_text(versions->number + 1, text, sizeof(text));
    remove_tree(versions->all_fd, text); /* of a sidecar that was killed */
    versions->failed = fs_mkdir_beneath(versions->all_fd, text, DIR_MODE, &versions->fd);
    test_hook_step("version", 1);
    return versions->failed;
}

int cache_versions_add(struct cache_versions *versions, const char *path)
{
    char dir[PATH_MAX];
    _cleanup_close_ int fd = -1;
    const char *slash = strrchr(path, '/');
    int r = versions->failed;
    if (r == 0 && slash) {
        *(char *)mempcpy(dir, path, (size_t)(slash - path)) = '\0';
        r = fs_mkdir_beneath(versions->fd, dir, DIR_MODE, &fd);
    }
    if (r == 0 && linkat(cache_store_tree(versions->store, CACHE_TREE_PATHS), path, versions->fd,
                         path, 0) < 0)
        r = -errno;
    versions->failed = r;
    test_hook_step("version", 2);
    return r;
}

static int point(struct cache_versions *versions, unsigned long long number)
{
    char target[sizeof("../" CACHE_VERSIONS "//") + CACHE_NAME_MAX + 24],
        next[CACHE_NAME_MAX + sizeof(".next.")];
    snprintf(target, sizeof(target), "../" CACHE_VERSIONS "/%s/%llu", versions->name, number);
    snprintf(next, sizeof(next), ".next.%s", versions->name);
    unlinkat(versions->current_fd, next, 0);
    if (symlinkat(target, versions->current_fd, next) < 0)
        return -errno;
    test_hook_step("version", 3);
    int r = renameat(versions->current_fd, next, versions->current_fd, versions->name);
    test_hook_step("version", 4);
    return r < 0 ? -errno : 0;
}

int cache_versions_switch(struct cache_versions *versions)
{
    char text[32];
    number_text(versions->number + 1, text, sizeof(text));
    cleanup_close_p(&versions->fd);
    versions->fd = -1;
    int r = versions->failed ? versions->failed : point(versions, versions->number + 1);
    if (r < 0) {
        remove_tree(versions->all_fd, text);
        return r;
    }
    versions->before = versions->number++;
    remove_older(versions);
    cache_store_give_back(versions->store, versions->held_before_bytes);
    versions->held_before_bytes = versions->held_bytes;
    versions->held_bytes = 0;
    return 0;
}
