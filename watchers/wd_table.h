/*
 * wd_table: the directories that are watched, as a tree of names, found by inotify's watch
 * descriptor or by parent and name.
 *
 * A directory knows its parent and its own name only, so a rename is one re-link whatever lies
 * below, and no other name can be confused with a prefix. Paths are put together when they are
 * needed.
 *
 *     wd_table_init(&table, &root);
 *     wd_table_add(&table, parent, "name", &dir);
 *     wd_table_bind(&table, dir, wd);                     // the kernel's watch belongs to dir now
 *     dir = wd_table_by_wd(&table, event->wd);            // NULL: unknown
 *     path = wd_table_path(dir, "file", buffer);
 *     wd_table_drop(&table, dir);                         // with all below; at once out of sight
 *     while ((dir = wd_table_reap(&table))) ...           // freed in slices, wd's to be disarmed
 *
 * Between drop and reap a directory is not live: events for it are to be ignored.
 * Ownership: the table owns the directories. Threads: one.
 */
#ifndef WATCHERS_WD_TABLE_H
#define WATCHERS_WD_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

struct dir;
LIST_HEAD(dir_list, dir);
TAILQ_HEAD(dir_queue, dir);
LIST_HEAD(pending_dir_list, pending_entry);
LIST_HEAD(name_list_of_dir, name_entry);

struct dir {
    struct dir *parent;       /* NULL: the root, or dropped */
    struct dir_list children; /* live ones */
    LIST_ENTRY(dir) sibling;
    struct dir *name_next, *wd_next; /* hash chains */
    uint32_t hash;
    int wd; /* -1: not watched */

    /* The scanner's: */
    TAILQ_ENTRY(dir) scan;
    bool inside : 1;  /* in the watched part; else only on the way to it */
    bool queued : 1;  /* on the scan queue */
    bool waiting : 1; /* on the queue of those that were not found */
    bool fresh : 1;   /* what a scan finds in it is reported */
    bool deep : 1;    /* known directories in it are to be scanned again too */
    bool check : 1;   /* its watch went away: if it is gone too, say so */
    bool lost : 1;    /* events may have been missed: resync it */
    bool blind : 1;   /* it, or a directory in it, could not be watched or read */
    bool retry : 1;   /* scan it for directories that are not watched yet */
    bool rearm : 1;   /* perhaps another directory has its name now: see to the watch */
    uint8_t source;   /* enum scan_source: why what is found in it is reported */

    int64_t told_ms;                 /* when something of this host was told in it last; 0: never */
    int64_t missed_ms;               /* when a member told of something in it that was not there */
    struct pending_dir_list pending; /* the coalescer's notes in this directory */
    struct name_list_of_dir names;   /* see names.h */
    uint32_t names_scan;
    bool names_known;
    char *name;
};

struct wd_table {
    struct dir *root;
    struct dir **by_name, **by_wd; /* `buckets` chains each */
    size_t buckets;
    size_t count;   /* live directories and dropped ones that are not reaped yet */
    size_t watched; /* bound to a wd */
    struct dir_list dropped;
};

int wd_table_init(struct wd_table *table, struct dir **ret_root);
void wd_table_release(struct wd_table *table);

/* -EEXIST when the parent has such a child, -ENOMEM. */
int wd_table_add(struct wd_table *table, struct dir *parent, const char *name,
                 struct dir **ret_dir);
struct dir *wd_table_child(const struct wd_table *table, const struct dir *parent,
                           const char *name);
struct dir *wd_table_by_wd(const struct wd_table *table, int wd);

/* The wd belongs to dir from now on. A directory that had it before loses it and is returned. */
struct dir *wd_table_bind(struct wd_table *table, struct dir *dir, int wd);
void wd_table_unbind(struct wd_table *table, struct dir *dir);

/* Rename; the new place must be free and not below dir. -ENOMEM leaves everything as it was. */
int wd_table_move(struct wd_table *table, struct dir *dir, struct dir *parent, const char *name);

void wd_table_drop(struct wd_table *table, struct dir *dir);
void wd_table_drop_all(
    struct wd_table *table); /* with the root: only reap and release may follow */
/* The next dropped directory, out of the table but for its wd; hand it to wd_table_free(). NULL:
 * none left. */
struct dir *wd_table_reap(struct wd_table *table);
void wd_table_free(struct wd_table *table, struct dir *dir);

bool wd_table_is_live(const struct wd_table *table, const struct dir *dir);
bool wd_table_is_under(const struct dir *dir, const struct dir *top); /* or the same */

/*
 * The path of name in dir ("" for dir itself) relative to the root, within buffer, which has
 * CHANGE_PATH_MAX + 1 bytes. NULL: longer than that.
 */
const char *wd_table_path(const struct dir *dir, const char *name, char *buffer);

/* For tables of names in directories, here and in the coalescer. */
uint32_t name_hash(const struct dir *dir, const char *name);

#endif
