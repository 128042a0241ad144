/*
 * test_hook: leaves out one safeguard, so that a test can show that it would notice.
 *
 *     if (!test_hook_omits("fsync"))
 *         r = fdatasync(fd);
 *
 * Only a build with HOOKS=1 can do that: there EFS_SIDECAR_OMIT=NAME,NAME in the environment says
 * which. In every other build the answer is a constant and the name is not even in the program.
 * Threads: safe.
 */
#ifndef LIB_TEST_HOOK_H
#define LIB_TEST_HOOK_H

#include <stdbool.h>

#ifdef TEST_HOOKS
#include <stdlib.h>
#include <string.h>

static inline bool test_hook_omits(const char *safeguard)
{
    const char *list = getenv("EFS_SIDECAR_OMIT");
    size_t length = strlen(safeguard);
    for (; list && *list; list = strchr(list, ',') ? strchr(list, ',') + 1 : "")
        if (strncmp(list, safeguard, length) == 0 && (!list[length] || list[length] == ','))
            return true;
    return false;
}

/* The variable is no setting. */
static inline bool test_hook_is_variable(const char *name)
{
    return strcmp(name, "EFS_SIDECAR_OMIT") == 0;
}
#else
#define test_hook_omits(safeguard)  false
#define test_hook_is_variable(name) false
#endif

#endif
