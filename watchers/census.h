/*
 * census: compares the tree with what the snapshot has of it, in small steps.
 *
 *     census_open(&census, &options);
 *     census_begin(&census);
 *     while ((calls = census_step(&census)) > 0)        // 0: the pass is over
 *         ... pay for the calls; census_note() what others told; tell what is due ...
 *     census_close(&census);
 *
 * A pass asks each directory for its attributes and reads those that changed; then it asks for the
 * attributes of regular files, one by one, because a change in place shows nowhere else. The first
 * pass only takes down what there is. Differences go to census.findings.
 *
 * A directory is read again on the passes after it changed until a read was sent two seconds or
 * more after its new time stamp was first seen: two changes within one tick of the server's clock
 * have one stamp. What a member announces (census_note) is put into the snapshot and is no finding;
 * the directory it lies in is read again, so an announcement that comes late hides nothing.
 *
 * Symbolic links are never followed, other file systems never entered; entries that vanish or
 * cannot be read stop nothing. Threads: one; every step may hang with the mount. Errors: -ENOMEM.
 */
#ifndef WATCHERS_CENSUS_H
#define WATCHERS_CENSUS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/share/change.h"
#include "watchers/findings.h"
#include "watchers/scope.h"
#include "watchers/snapshot.h"

struct census_options {
    int root_fd; /* of the tree, O_PATH; the caller's */
    const struct scope *scope;
    int64_t grace_ms; /* how long a finding waits for the writer's own word */
    size_t max_entries;
};

struct census {
    const struct census_options *options;
    struct snapshot *snapshot;
    struct findings findings;
    uint64_t device;
    bool has_baseline;
    struct snapshot_dir *next_dir;  /* of the pass; NULL: all are done */
    struct snapshot_dir *files_dir; /* where the files' turn has come to */
    char files_after[NAME_MAX + 1]; /* and behind which name */
    bool files_done;
    uint64_t passed, unreadable; /* directories of this pass */
    uint64_t files;              /* of this pass */
    uint64_t left_out;           /* entries for which the snapshot had no room */
};

int census_open(struct census *census, const struct census_options *options);
void census_close(struct census *census);

void census_begin(struct census *census);

/* How many calls to the file system it took, about; 0: the pass is over. */
int census_step(struct census *census);

/* A change that a member told. */
int census_note(struct census *census, const struct change *change);

/* The finding as a change with the attributes that it has now; false: there is nothing to tell any
 * more. The finding is gone then; path of PATH_MAX bytes is what the change's path points into. */
bool census_take(struct census *census, struct finding *finding, char *path,
                 struct change *ret_change);

#endif
