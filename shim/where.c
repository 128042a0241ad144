#include "shim/where.h"

#include "shim/sys.h"

#define DELETED " (deleted)"

/* Whoever has such a name for himself does without the cache. */
static bool is_deleted(const char *text, size_t length)
{
    const size_t n = sizeof(DELETED) - 1;
    return length >= n && memcmp(text + length - n, DELETED, n) == 0;
}

/* Where the descriptor was opened, into text; its length or 0. */
static size_t fd_path(int fd, char text[WHERE_TEXT_MAX])
{
    char name[40] = "/proc/thread-self/fd/", digits[12];
    size_t at = sizeof("/proc/thread-self/fd/") - 1, n = 0;
    if (fd < 0)
        return 0;
    do
        digits[n++] = (char)('0' + fd % 10);
    while ((fd /= 10) > 0);
    while (n > 0)
        name[at++] = digits[--n];
    name[at] = '\0';
    ssize_t length = syscall(SYS_readlinkat, AT_FDCWD, name, text, WHERE_TEXT_MAX);
    if (length <= 0 || length >= WHERE_TEXT_MAX || text[0] != '/')
        return 0;
    text[length] = '\0';
    return is_deleted(text, (size_t)length) ? 0 : (size_t)length;
}

/* The directory that a relative path starts from, into text; its length or 0. */
static size_t base_path(int dir_fd, char text[WHERE_TEXT_MAX])
{
    if (dir_fd == AT_FDCWD) {
        long n = syscall(SYS_getcwd, text, WHERE_TEXT_MAX);
        return n > 1 && text[0] == '/' ? (size_t)n - 1 : 0; /* n has the end; "(unreachable)..." */
    }
    return fd_path(dir_fd, text);
}

static bool is_below(const struct shim_mount *mount, const char *text, size_t length)
{
    const size_t n = mount->is.path_length;
    return length >= n && memcmp(text, mount->is.path, n) == 0 && (length == n || text[n] == '/');
}

/* The innermost mount that this path is on or below. */
static struct shim_mount *find_mount(struct shim_view *view, const char *text, size_t length)
{
    struct shim_mount *found = NULL;
    for (int i = 0; i < view->n; i++) {
        struct shim_mount *mount = &view->mounts[i];
        if (is_below(mount, text, length) &&
            (!found || mount->is.path_length > found->is.path_length))
            found = mount;
    }
    return found;
}

bool where_below(struct where *where, struct shim_mount *mount, size_t length)
{
    const size_t head = mount->is.path_length + 1;
    if (length <= head || !is_below(mount, where->text, length) || length - head > CACHE_PATH_MAX)
        return false;
    where->mount = mount;
    where->path = where->text + head;
    where->length = length - head;
    where->hash = cache_hash(where->path, where->length);
    return true;
}

bool where_named(struct shim_view *view, int dir_fd, const char *path, bool at_once,
                 struct where *ret_where)
{
    size_t length = 0;
    if (path[0] != '/') {
        length = base_path(dir_fd, ret_where->text);
        if (length == 0)
            return false;
    }
    length = cache_path_join(ret_where->text, length, sizeof(ret_where->text), path);
    struct shim_mount *mount = length ? find_mount(view, ret_where->text, length) : NULL;
    if (!mount || !where_below(ret_where, mount, length))
        return false;
    ret_where->mapping = view_map(view, mount, at_once);
    return ret_where->mapping != NULL;
}

size_t where_fd_path(int fd, const char *last, char text[WHERE_TEXT_MAX])
{
    size_t length = fd_path(fd, text);
    if (length > 0 && last)
        length = cache_path_join(text, length, WHERE_TEXT_MAX, last);
    return length;
}
