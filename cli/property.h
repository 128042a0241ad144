/*
 * property: one thing that the design relies on, and how it is tried. For conformance.c, which has
 * the directory, and for the tables of properties.
 *
 *     static int replaces(const struct property_scene *scene, struct finding *found)
 *     {
 *         if (renameat(scene->dir_fd, "a", scene->dir_fd, "b") < 0)
 *             return -errno;          // conformance says which property, and the errno
 *         return property_holds(found, true, "inode %llu", inode);
 *     }
 *
 * A trial starts in an empty directory of its own and may leave things there. It returns 0 with a
 * finding, or -errno, which is one as well: it does not hold. Threads: none.
 */
#ifndef CLI_PROPERTY_H
#define CLI_PROPERTY_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

enum verdict { VERDICT_HOLDS, VERDICT_FAILS, VERDICT_MEASURED, VERDICT_UNKNOWN };
extern const char *const verdict_names[]; /* "holds" "FAILS" "measured" "unknown" */

struct finding {
    enum verdict verdict;
    char observed[200];
};

struct peer;

struct property_scene {
    const char *path; /* of the directory that was given */
    int dir_fd;       /* empty, below it */
    bool on_nfs;
    struct peer *peer; /* NULL: alone */
};

struct property {
    const char *id, *what;
    int (*try)(const struct property_scene *scene, struct finding *found);
};

extern const struct property properties_alone[], properties_peer[]; /* end with id NULL */

/* Fill in a finding; return 0. */
int property_holds(struct finding *found, bool holds, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
int property_measured(struct finding *found, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* What trials are made of; 0 or -errno. */
int property_write(const struct property_scene *scene, const char *name, const char *text);
int property_read(const struct property_scene *scene, const char *name, char *buf, size_t size);
int property_look(int at_fd, const char *name, struct statx *ret_statx); /* asks the server */

/* A directory with all that is in it, a few levels deep. What cannot be removed stays. */
void property_remove(int at_fd, const char *name);

#endif
