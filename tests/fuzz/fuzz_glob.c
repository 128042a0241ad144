/* A pattern and, in the lines behind it, paths: whatever matches is reached from every directory
 * above it. Refused is what is no pattern, or matches none of the paths. */
#include <limits.h>
#include <string.h>

#include "lib/glob.h"
#include "tests/fuzz/driver.h"

enum { PATH_MAX_BYTES = 4096 };

/* Longer names than a directory can have are reached by nothing. */
static bool has_long_name(const char *path)
{
    size_t length = strcspn(path, "/");
    return length > NAME_MAX || (path[length] && has_long_name(path + length + 1));
}

static int try_path(const char *pattern, char *path)
{
    if (strlen(path) > PATH_MAX_BYTES || has_long_name(path) || !glob_matches(pattern, path))
        return -1;
    const char *why;
    if (glob_check(path, &why) < 0) /* no path that the feed would tell */
        return 0;
    for (char *slash = path; (slash = strchr(slash, '/')); *slash++ = '/') {
        *slash = '\0';
        MUST(glob_reaches(pattern, path));
    }
    return 0;
}

int fuzz_parse(const char *text, size_t length)
{
    char *copy = strndup(text, length), *rest = copy;
    const char *pattern, *why;
    int r = -1;
    MUST(copy);
    pattern = strsep(&rest, "\n");
    if (glob_check(pattern, &why) == 0)
        for (char *path; (path = strsep(&rest, "\n"));)
            r = try_path(pattern, path) == 0 ? 0 : r;
    free(copy);
    return r;
}
