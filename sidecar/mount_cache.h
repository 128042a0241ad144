/*
 * mount_cache: the cache of a mount (cache.h) as part of the work on the mount. For mount_work.c
 * and, as far as a client of the API is concerned, api_cache.c.
 *
 *     r = mount_cache_open(work);                        // in the profile cache
 *     mount_cache_follow(work);                          // with every turn of the work
 *     mount_cache_view(cache, &view);
 *     r = mount_cache_command(cache, &command);          // of a client
 *     r = mount_cache_close(work, timeout_ms);           // -EBUSY: a call hangs, all must stay
 *
 * The cache belongs to one worker that waits for the disk, turn by turn; what asks EFS are other
 * workers. The loop only carries between them, and waits for neither.
 *
 * Threads: the loop's.
 */
#ifndef SIDECAR_MOUNT_CACHE_H
#define SIDECAR_MOUNT_CACHE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "sidecar/cache.h"
#include "sidecar/own_calls.h"

struct mount_work;
struct mount_cache;

struct mount_cache_view {
    const char *name; /* below cache.dir */
    bool is_open;
    const struct cache_rules *rules;
    const struct cache_stats *stats;
    int64_t open_ms;             /* for how long */
    const struct own_calls *own; /* what it asked EFS since the sidecar started */
};

enum cache_command_kind {
    CACHE_COMMAND_EVICT,
    CACHE_COMMAND_WARM,
    CACHE_COMMAND_PIN,
    CACHE_COMMAND_REPORT,
};

/* Something to do for each path. done() is called once, in the loop; the command is the caller's
 * again then. */
struct cache_command {
    enum cache_command_kind kind;
    size_t n_paths;
    const char *const *paths;
    uint64_t copies, refused; /* what came of it */
    struct cache_pins_report report;
    void (*done)(struct cache_command *command);
    STAILQ_ENTRY(cache_command) link;
};

enum { CACHE_COMMANDS_MAX = 16 };

int mount_cache_open(struct mount_work *work);
void mount_cache_follow(struct mount_work *work);
void mount_cache_count(struct mount_work *work); /* into the metrics */
int mount_cache_close(struct mount_work *work, int64_t timeout_ms);

/* Is what is pinned and warmed still to come for the first time? */
bool mount_cache_is_warming(const struct mount_cache *own);

void mount_cache_view(const struct mount_cache *own, struct mount_cache_view *ret_view);

/* -EAGAIN: not open, or too many at once. */
int mount_cache_command(struct mount_cache *own, struct cache_command *command);

#endif
