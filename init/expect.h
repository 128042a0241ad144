/*
 * expect: what the user says must be true inside the mounts: the settings marker, create, require
 * and access_points.
 *
 *     struct expectations expect = {0};
 *     r = expect_load(&settings, &expect, &errors);     // every error is in errors
 *     for (size_t i = 0; i < expect.n; i++)
 *         ... expect.items[i] ...
 *     expect_release(&expect);
 *
 * Paths are absolute and lie in one of the mounts: the one with the longest path that fits. A path
 * has no ':', a marker's path no '='. Ownership: it owns its texts, the ids of access points are
 * the settings'. Threads: one. Errors: -EINVAL.
 */
#ifndef INIT_EXPECT_H
#define INIT_EXPECT_H

#include "lib/settings.h"

/* In the order in which they are done. */
enum expect_kind { EXPECT_MARKER, EXPECT_CREATE, EXPECT_REQUIRE };

enum { EXPECT_MAX = 3 * CONFIG_NAMES_MAX, EXPECT_CREATE_MODE = 0755 };

struct expectation {
    enum expect_kind kind;
    size_t mount;         /* index in the list of mounts */
    char *path;           /* as the user wrote it */
    const char *relative; /* its end, beneath the mount; "." for the mount itself */
    char *content;        /* of a marker, without the last line feed; NULL: any */
    struct ids_setting owner;
    bool mode_set;
    mode_t mode;
};

struct expectations {
    size_t n;
    struct expectation items[EXPECT_MAX];
    const char *access_points[CONFIG_MOUNTS_MAX]; /* by mount; NULL: not said */
};

int expect_load(const struct settings *settings, struct expectations *ret_expect,
                struct config_report *errors);
void expect_release(struct expectations *expect);

#endif
