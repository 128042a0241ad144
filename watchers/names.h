/*
 * names: which files lie in the directories, where that has to be known.
 *
 * An NFS client that removes a file which somebody has open renames it to .nfs0000..., and inotify
 * tells the removal of that name only (measured: nothing at all for the file's own). What is gone
 * shows when the directory is read again and compared with the names kept here. On other file
 * systems nothing is kept.
 *
 *     names_add(&names, dir, "file");              // seen: by an event or in a scan
 *     names_remove(&names, dir, "file");
 *     names_begin_scan(&names, dir);               // then add what the scan finds, then
 *     while ((name = names_unseen(&names, dir)))   // what neither scan nor events have seen since
 *         ... names_remove(&names, dir, name) ...
 *
 * At most NAMES_MAX are kept. A directory that has to go without (dir->names_known is false) costs
 * its consumers a resync instead. Threads: one.
 */
#ifndef WATCHERS_NAMES_H
#define WATCHERS_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "watchers/wd_table.h"

enum { NAMES_MAX = 64 * 1024, NAMES_BUCKETS = 8192 };

struct name_entry {
    LIST_ENTRY(name_entry) in_dir;
    struct name_entry *hash_next;
    struct dir *dir;
    uint32_t hash;
    uint32_t scan; /* which scan of the directory saw it last */
    char name[];
};

struct names {
    struct name_entry **buckets; /* NULL: nothing is kept */
    size_t count, max;
};

int names_enable(struct names *names);
void names_release(struct names *names); /* after every directory was forgotten */

void names_add(struct names *names, struct dir *dir, const char *name);
void names_remove(struct names *names, struct dir *dir, const char *name);
void names_forget(struct names *names, struct dir *dir);

void names_begin_scan(struct names *names, struct dir *dir);
const char *names_unseen(const struct names *names, const struct dir *dir);

#endif
