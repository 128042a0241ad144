#include "shim/mark.h"

#include "shim/count.h"
#include "shim/sys.h"
#include "shim/where.h"

/* A sidecar that started meanwhile reads other marks: they are left there too. */
enum { TRIES = 3 };

static bool is_retired(struct shim_view *view, const struct shim_mapping *mapping)
{
    if (cache_load(&mapping->view.map->retired) == 0)
        return false;
    view_retire(view);
    return true;
}

void mark_name(int dir_fd, const char *path)
{
    _keep_errno_;
    struct where where;
    for (int i = 0; i < TRIES; i++) {
        struct shim_view *view = view_get(true);
        if (!view || !where_named(view, dir_fd, path, true, &where))
            return;
        cache_mark(where.mapping->view.app, where.hash);
        if (!is_retired(view, where.mapping))
            return;
    }
}

static bool is_inside(const struct shim_mount *mount, const struct shim_mount *other)
{
    return !other || mount->is.path_length > other->is.path_length;
}

/* Marks what `length` bytes of where->text name on every mount that is on this device; all of the
 * mount where that is nothing. */
static bool mark_on_device(struct shim_view *view, uint64_t dev, struct where *where, size_t length)
{
    bool retired = false;
    const struct shim_mount *below = NULL; /* the innermost that the words name */
    struct shim_mapping *counted = NULL;   /* it has that; else the first one that is marked */
    for (int i = 0; i < view->n; i++) {
        struct shim_mapping *mapping = view_map(view, &view->mounts[i], true);
        if (!mapping || mapping->dev != dev)
            continue;
        if (length > 0 && where_below(where, &view->mounts[i], length)) {
            cache_mark(mapping->view.app, where->hash);
            counted = is_inside(&view->mounts[i], below) ? mapping : counted;
            below = is_inside(&view->mounts[i], below) ? &view->mounts[i] : below;
        } else if (mapping->own_device || length == 0) {
            cache_mark_all(mapping->view.app);
            counted = counted ? counted : mapping;
        } else
            continue;
        retired = is_retired(view, mapping) || retired;
    }
    if (counted)
        count(counted, CACHE_WRITES_COUNT);
    return !retired;
}

static bool has_device(struct shim_view *view, uint64_t dev)
{
    for (int i = 0; i < view->n; i++) {
        struct shim_mapping *mapping = view_map(view, &view->mounts[i], true);
        if (mapping && mapping->dev == dev)
            return true;
    }
    return false;
}

/* fd, or the name `last` in the directory fd. */
static void mark_fd(int fd, const char *last)
{
    struct where where;
    struct sys_stat st;
    for (int i = 0; i < TRIES; i++) {
        struct shim_view *view = view_get(true);
        if (!view || sys_statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, &st) != 0 ||
            !has_device(view, st.dev))
            return;
        if (mark_on_device(view, st.dev, &where, where_fd_path(fd, last, where.text)))
            return;
    }
}

static void mark_device(uint64_t dev)
{
    struct where where;
    for (int i = 0; i < TRIES; i++) {
        struct shim_view *view = view_get(true);
        if (!view || mark_on_device(view, dev, &where, 0))
            return;
    }
}

void mark_opened(int fd)
{
    _keep_errno_;
    mark_fd(fd, NULL);
}

/* The directory part of path into parent, and what is behind it; NULL: not to be had. */
static const char *split(const char *path, char parent[WHERE_TEXT_MAX])
{
    const char *slash = strrchr(path, '/');
    if (!slash) {
        parent[0] = '.';
        parent[1] = '\0';
        return path;
    }
    size_t n = (size_t)(slash - path) + 1; /* with the slash, so that "/x" is in "/" */
    if (n >= WHERE_TEXT_MAX)
        return NULL;
    memcpy(parent, path, n);
    parent[n] = '\0';
    return slash + 1;
}

void mark_entry(int dir_fd, const char *path)
{
    _keep_errno_;
    char parent[WHERE_TEXT_MAX];
    struct sys_stat st;
    struct shim_view *view = view_get(true);
    const char *last = split(path, parent);
    if (!view || !last || sys_statx(dir_fd, parent, AT_STATX_DONT_SYNC, &st) != 0 ||
        !has_device(view, st.dev))
        return;
    int fd = sys_openat(dir_fd, parent, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
    if (fd < 0) {
        mark_device(st.dev);
        return;
    }
    mark_fd(fd, last);
    sys_close(fd);
}

void mark_content(const char *path)
{
    _keep_errno_;
    int fd = view_get(true) ? sys_openat(AT_FDCWD, path, O_PATH | O_CLOEXEC, 0) : -1;
    if (fd < 0)
        return;
    mark_fd(fd, NULL);
    sys_close(fd);
}

void mark_if_directory(int dir_fd, const char *path)
{
    _keep_errno_;
    struct sys_stat st;
    if (view_get(true) &&
        sys_statx(dir_fd, path, AT_SYMLINK_NOFOLLOW | AT_STATX_DONT_SYNC, &st) == 0 &&
        S_ISDIR(st.mode))
        mark_device(st.dev);
}
