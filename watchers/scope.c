#include "watchers/scope.h"

#include <fnmatch.h>
#include <limits.h>
#include <string.h>

#include "lib/share/change.h"

static bool is_excluded(const struct scope *scope, const char *name)
{
    for (size_t i = 0; i < scope->exclude_count; i++) {
        const char *pattern = scope->excludes[i];
        /* Most end here, for every event: fnmatch() is slow. */
        if (*pattern != *name && !strchr("*?[\\", *pattern))
            continue;
        if (fnmatch(pattern, name, 0) == 0)
            return true;
    }
    return false;
}

static bool has_excluded(const struct scope *scope, const char *path)
{
    char name[NAME_MAX + 1];
    for (size_t n; *path; path += n + (path[n] == '/')) {
        n = strcspn(path, "/");
        if (n > NAME_MAX)
            return true; /* there is no such file */
        memcpy(name, path, n);
        name[n] = '\0';
        if (is_excluded(scope, name) || scope_is_silly(name))
            return true;
    }
    return false;
}

/* What follows prefix in path at a '/' boundary ("" if they are equal); NULL: another way. */
static const char *path_rest(const char *path, const char *prefix)
{
    size_t n = strlen(prefix);
    if (n == 0)
        return path;
    if (strncmp(path, prefix, n) != 0 || (path[n] != '/' && path[n] != '\0'))
        return NULL;
    return path[n] ? path + n + 1 : path + n;
}

static enum scope_verdict on_the_way(const struct scope *scope, const char *path)
{
    enum scope_verdict verdict = SCOPE_OUT;
    for (size_t i = 0; path && i < scope->path_count && verdict != SCOPE_INSIDE; i++) {
        const char *rest = path_rest(scope->paths[i], path);
        if (rest)
            verdict = *rest ? SCOPE_ON_THE_WAY : SCOPE_INSIDE;
    }
    return verdict;
}

enum scope_verdict scope_of(const struct scope *scope, const struct dir *dir, const char *name)
{
    char buffer[CHANGE_PATH_MAX + 1];
    if (is_excluded(scope, name))
        return SCOPE_OUT;
    return dir->inside ? SCOPE_INSIDE : on_the_way(scope, wd_table_path(dir, name, buffer));
}

enum scope_verdict scope_of_path(const struct scope *scope, bool inside, const char *path,
                                 const char *name)
{
    if (is_excluded(scope, name))
        return SCOPE_OUT;
    return inside ? SCOPE_INSIDE : on_the_way(scope, path);
}

enum scope_verdict scope_of_whole(const struct scope *scope, const char *path)
{
    if (has_excluded(scope, path))
        return SCOPE_OUT;
    for (size_t i = 0; i < scope->path_count; i++) {
        if (path_rest(path, scope->paths[i]))
            return SCOPE_INSIDE;
    }
    return scope->path_count > 0 ? on_the_way(scope, path) : SCOPE_INSIDE;
}

const char *scope_next(const struct scope *scope, size_t i, const char *path, char *buffer)
{
    const char *rest = path_rest(scope->paths[i], path);
    if (!rest || !*rest)
        return NULL;
    size_t n = strcspn(rest, "/");
    memcpy(buffer, rest, n);
    buffer[n] = '\0';
    return buffer;
}

bool scope_is_silly(const char *name)
{
    if (strncmp(name, ".nfs", 4) != 0)
        return false;
    size_t digits = strspn(name + 4, "0123456789abcdef");
    return digits >= 8 && name[4 + digits] == '\0';
}
