/*
 * parents: sees that this client knows what the server has in the directories of some paths. An
 * open by name then finds what is there now, even if a file that was replaced is still open
 * somewhere.
 *
 *     struct parents parents = {.root_fd = fd};     // one for each batch
 *     parents_sync(&parents, "a/f");                // one GETATTR, the first time for "a"
 *
 * What is gone needs no syncing. For at most PARENTS_MAX paths. Threads: one; may hang with the
 * mount.
 */
#ifndef WATCHERS_PARENTS_H
#define WATCHERS_PARENTS_H

#include <stdint.h>

enum { PARENTS_MAX = 512 };

struct parents {
    int root_fd;
    uint64_t seen[2 * PARENTS_MAX]; /* hashes; 0: free */
};

void parents_sync(struct parents *parents, const char *path);

#endif
