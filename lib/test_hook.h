/*
 * test_hook: leaves out one safeguard, so that a test can show that it would notice; or kills the
 * program between two steps, so that a test can show that the next one goes on from there, or stops
 * it there, so that the world can change before the next step.
 *
 *     if (!test_hook_omits("fsync"))
 *         r = fdatasync(fd);
 *     test_hook_step("publish", 3);
 *
 * Only a build with HOOKS=1 can do that: there EFS_SIDECAR_OMIT=NAME,NAME in the environment says
 * which safeguards, and EFS_SIDECAR_KILL_AT=publish.3 where SIGKILL comes, EFS_SIDECAR_STOP_AT
 * where SIGSTOP does. In every other build the answer is a constant and the names are not even in
 * the program. Threads: safe.
 */
#ifndef LIB_TEST_HOOK_H
#define LIB_TEST_HOOK_H

#include <stdbool.h>

#ifdef TEST_HOOKS
#include <signal.h>
#include <stdio.h>
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

static inline void test_hook_signal(const char *variable, const char *here, int number)
{
    const char *wanted = getenv(variable);
    if (wanted && strcmp(wanted, here) == 0)
        raise(number); /* of all signals only one's own come before the next step */
}

static inline void test_hook_step(const char *work, unsigned step)
{
    char here[64];
    snprintf(here, sizeof(here), "%s.%u", work, step);
    test_hook_signal("EFS_SIDECAR_KILL_AT", here, SIGKILL);
    test_hook_signal("EFS_SIDECAR_STOP_AT", here, SIGSTOP);
}

/* The variables are no settings. */
static inline bool test_hook_is_variable(const char *name)
{
    return strcmp(name, "EFS_SIDECAR_OMIT") == 0 || strcmp(name, "EFS_SIDECAR_KILL_AT") == 0 ||
           strcmp(name, "EFS_SIDECAR_STOP_AT") == 0;
}
#else
#define test_hook_omits(safeguard)  false
#define test_hook_step(work, step)  ((void)0)
#define test_hook_is_variable(name) false
#endif

#endif
