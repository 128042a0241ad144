/*
 * content: what the child of a probe does about the expectations inside a mount: looks at marker
 * files, makes directories, looks at required paths, looks for databases that do not work on a
 * share. What it finds goes into a log in memory shared with the parent; check_content.c judges it.
 *
 *     content_look_at(dir, EXPECT_MARKER, wish, log);
 *     content_find_databases(dir, log);
 *
 * dir: the directory, open with O_PATH. Threads: one. Errors: those of the file system are in the
 * log, by expectation; content_look_at() is true when all of the kind are met.
 */
#ifndef INIT_CONTENT_H
#define INIT_CONTENT_H

#include <stdbool.h>
#include <sys/types.h>

#include "init/expect.h"

enum {
    CONTENT_DATABASES_MAX = 4, /* named; more are counted as more */
    CONTENT_MARKER_MAX_BYTES = 4096,
};

struct content_wish {
    const struct expectations *expect;
    size_t mount; /* whose expectations are this child's */
};

struct content_result {
    bool done;
    int error;    /* positive; 0 none */
    bool made;    /* a directory that was missing */
    bool differs; /* a marker's content */
    uid_t uid;    /* of what is there: */
    gid_t gid;
    mode_t mode;
};

enum database_kind { DATABASE_SQLITE_WAL, DATABASE_LMDB };

struct content_database {
    enum database_kind kind;
    char path[512]; /* beneath the directory, perhaps cut */
};

struct content_log {
    struct content_result results[EXPECT_MAX]; /* as in the expectations */
    int n_databases;                           /* up to CONTENT_DATABASES_MAX are kept */
    struct content_database databases[CONTENT_DATABASES_MAX];
};

bool content_look_at(int dir, enum expect_kind kind, const struct content_wish *wish,
                     struct content_log *log);
void content_find_databases(int dir, struct content_log *log);

#endif
