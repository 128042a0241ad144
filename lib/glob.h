/*
 * glob: shell patterns for whole relative paths.
 *
 *     ?       one byte, but no '/'
 *     *       any number of them
 *     **      any bytes, '/' too; as a whole component any number of directories, also none
 *     [a-z]   one of these, but no '/'; [!a-z] none of these
 *     \x      x itself
 *
 *     if (glob_check("conf.d/app-*.yaml", &why) < 0) ...   // before anything else
 *     glob_matches("conf.d/app-*.yaml", "conf.d/app-1.yaml")
 *     glob_reaches("conf.d/app-*.yaml", "conf.d")          // could it match that or what is below?
 *
 * A leading dot is a byte like any other. Patterns and paths are bytes, of any encoding.
 * Threads: safe.
 */
#ifndef LIB_GLOB_H
#define LIB_GLOB_H

#include <stdbool.h>

enum { GLOB_MAX = 1024 }; /* bytes of a pattern */

/* 0, or -EINVAL with what is wrong, to follow "the pattern ". */
int glob_check(const char *pattern, const char **ret_why);

bool glob_matches(const char *pattern, const char *path);

/* path "" is where all paths begin. In doubt, which is only behind "**", true. */
bool glob_reaches(const char *pattern, const char *path);

#endif
