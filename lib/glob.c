#include "lib/glob.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <string.h>

/* Behind the ']' of the set at p, which is behind its '['; NULL: it has none. */
static const char *set_end(const char *p)
{
    p += *p == '!' || *p == '^';
    for (const char *first = p; *p && (*p != ']' || p == first); p++)
        p += *p == '\\' && p[1];
    return *p ? p + 1 : NULL;
}

static unsigned char set_byte(const char **p)
{
    *p += **p == '\\';
    return (unsigned char)*(*p)++;
}

/* p is behind the '[' of a set that ends. */
static bool set_has(const char *p, unsigned char c)
{
    const char *end = set_end(p) - 1;
    bool none_of = *p == '!' || *p == '^', found = false;
    for (p += none_of; p < end;) {
        unsigned char low = set_byte(&p), high = low;
        if (*p == '-' && p + 1 < end) {
            p++;
            high = set_byte(&p);
        }
        found |= low <= c && c <= high;
    }
    return found != none_of;
}

/* Does the first element of *p take the byte c? Then *p is behind it. */
static bool takes(const char **p, char c)
{
    const char *element = *p;
    bool taken;
    switch (*element++) {
    case '\0':
        return false;
    case '?':
        taken = c != '/';
        break;
    case '[':
        taken = c != '/' && set_has(element, (unsigned char)c);
        element = set_end(element);
        break;
    case '\\':
        taken = *element++ == c;
        break;
    default:
        taken = element[-1] == c;
    }
    if (taken)
        *p = element;
    return taken;
}

/* The last "*" and the last "**" are enough to come back to: whatever an earlier one would take
 * more, the later one can take too, or stands behind a '/' that the earlier one cannot pass. */
bool glob_matches(const char *pattern, const char *path)
{
    const char *p = pattern, *s = path;
    const char *star = NULL, *star_at = NULL, *deep = NULL, *deep_at = NULL;
    bool by_component = false;
    while (*s) {
        if (p[0] == '*' && p[1] == '*') {
            bool starts = p == pattern || p[-1] == '/';
            p += strspn(p, "*");
            by_component = starts && *p == '/';
            p += by_component;
            deep = p;
            deep_at = s;
            star = NULL;
        } else if (*p == '*') {
            star = ++p;
            star_at = s;
        } else if (takes(&p, *s)) {
            s++;
        } else if (star && *star_at != '/') {
            p = star;
            s = ++star_at;
        } else if (deep) {
            const char *next = by_component ? strchr(deep_at, '/') : deep_at;
            if (!next)
                return false;
            star = NULL;
            p = deep;
            s = deep_at = next + 1;
        } else {
            return false;
        }
    }
    return p[strspn(p, "*")] == '\0';
}

bool glob_reaches(const char *pattern, const char *path)
{
    while (*path) {
        char component[GLOB_MAX + 1], name[NAME_MAX + 1];
        size_t length = strcspn(pattern, "/"), name_length = strcspn(path, "/");
        if (memmem(pattern, length, "**", 2))
            return true;
        if (length > GLOB_MAX || name_length > NAME_MAX)
            return false;
        *(char *)mempcpy(component, pattern, length) = '\0';
        *(char *)mempcpy(name, path, name_length) = '\0';
        if (!glob_matches(component, name))
            return false;
        pattern += length;
        path += name_length;
        if (*path && !*pattern)
            return false; /* it ends above */
        pattern += *pattern == '/';
        path += *path == '/';
    }
    return true;
}

static bool is_dots(const char *component, size_t length)
{
    return (length == 1 && component[0] == '.') ||
           (length == 2 && component[0] == '.' && component[1] == '.');
}

/* One element; *p is behind it. */
static const char *check_element(const char **p)
{
    const char *element = *p, *end = element + 1;
    if (*element == '\\') {
        if (!*end || *end == '/')
            return "has a \"\\\" with nothing behind it";
        end++;
    }
    if (*element == '[') {
        end = set_end(end);
        if (!end)
            return "has a \"[\" without \"]\"";
        if (memchr(element, '/', (size_t)(end - element)))
            return "has a \"/\" between \"[\" and \"]\"";
    }
    *p = end;
    return NULL;
}

int glob_check(const char *pattern, const char **ret_why)
{
    const char *why = strlen(pattern) > GLOB_MAX ? "is too long" : NULL;
    for (const char *p = pattern; !why; p++) {
        const char *start = p;
        while (!why && *p && *p != '/')
            why = check_element(&p);
        if (!why && p == start)
            why = *pattern ? "has a \"/\" at its begin or end, or two together" : "is empty";
        if (!why && is_dots(start, (size_t)(p - start)))
            why = "has a component \".\" or \"..\", which no path has";
        if (!*p)
            break;
    }
    if (!why)
        return 0;
    *ret_why = why;
    return -EINVAL;
}
