/*
 * snapshot: what the reconcile scanner saw last of a whole tree, compact: about 30 bytes an entry.
 *
 * A directory's entries lie sorted by name in chunks (entries.h). Of a file the snapshot keeps the
 * low bits of its inode number and a stamp made of its attributes; 0 in either means "not known
 * yet", which no difference can be found against. Directories are nodes, and all of them are on one
 * list, in the order in which they were found: a walk along it also comes to those that are added
 * during the walk.
 *
 *     snapshot_new(max_entries, &snapshot);
 *     snapshot_put(snapshot, snapshot_root(snapshot), &(struct snapshot_entry){...}, &dir);
 *     snapshot_begin_read(dir);                     // then put or keep what is there, then
 *     while (snapshot_unseen(dir, name, &entry))    // the next behind name that is gone
 *         snapshot_remove(snapshot, dir, strcpy(name, entry.name));
 *
 * Ownership: the snapshot owns its nodes; an entry's name is a copy. Threads: one at a time.
 * Errors: -ENOMEM, -EDQUOT (max_entries are kept already), -ENAMETOOLONG.
 */
#ifndef WATCHERS_SNAPSHOT_H
#define WATCHERS_SNAPSHOT_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "watchers/entries.h"

struct snapshot;

struct snapshot_dir {
    struct snapshot_dir *parent; /* NULL: the root */
    TAILQ_ENTRY(snapshot_dir) order;
    char *name;
    struct entries entries;
    bool parity; /* of the entries that the read under way has seen */

    /* The scanner's: */
    bool inside;  /* in the watched part; else only on the way to it */
    bool settled; /* read long enough after its stamp was first seen to trust that */
    bool ended;   /* another file system begins here, or it cannot be read */
    uint64_t stamp;
    int64_t stamp_ms; /* when it was first seen */
};
TAILQ_HEAD(snapshot_order, snapshot_dir);

struct snapshot_entry {
    char name[NAME_MAX + 1];
    uint32_t inode, stamp;    /* of a file */
    struct snapshot_dir *dir; /* NULL: not a directory */
};

int snapshot_new(size_t max_entries, struct snapshot **ret_snapshot);
void snapshot_free(struct snapshot *snapshot);

struct snapshot_dir *snapshot_root(struct snapshot *snapshot);
size_t snapshot_count(const struct snapshot *snapshot); /* entries */
size_t snapshot_bytes(const struct snapshot *snapshot); /* of memory that was asked for */
struct snapshot_order *snapshot_order(struct snapshot *snapshot);

/* The directory at a relative path, "" is the root; NULL: there is none. */
struct snapshot_dir *snapshot_walk(struct snapshot *snapshot, const char *path);
bool snapshot_find(const struct snapshot_dir *dir, const char *name,
                   struct snapshot_entry *ret_entry);

/* The first entry behind that name, "" for the first of all: a walk that survives any change. */
bool snapshot_after(const struct snapshot_dir *dir, const char *name,
                    struct snapshot_entry *ret_entry);

/* Add a file, or set what is known of one that is there; an entry of the other type goes first,
 * with all below. It counts as seen. */
int snapshot_put_file(struct snapshot *snapshot, struct snapshot_dir *dir, const char *name,
                      uint32_t inode, uint32_t stamp);
/* Add a directory unless it is there. */
int snapshot_put_dir(struct snapshot *snapshot, struct snapshot_dir *dir, const char *name,
                     struct snapshot_dir **ret_dir);

/* With all below; nothing when there is no such entry. removing() is told each node before it is
 * freed. */
void snapshot_remove(struct snapshot *snapshot, struct snapshot_dir *dir, const char *name);
void snapshot_on_remove(struct snapshot *snapshot,
                        void (*removing)(void *arg, struct snapshot_dir *dir), void *arg);

/* A rename over whatever is there; -ENOENT when from has no such entry, -EINVAL into itself. */
int snapshot_move(struct snapshot *snapshot, struct snapshot_dir *from_dir, const char *from,
                  struct snapshot_dir *dir, const char *name);

/* Entries that are put from now on are seen; unseen ones come in the order of their names, behind
 * `after` ("": from the first). */
void snapshot_begin_read(struct snapshot_dir *dir);
bool snapshot_unseen(const struct snapshot_dir *dir, const char *after,
                     struct snapshot_entry *ret_entry);

/* The path of name in dir ("" for dir itself) in buffer of size bytes; NULL: it is longer. */
const char *snapshot_path(const struct snapshot_dir *dir, const char *name, char *buffer,
                          size_t size);

#endif
