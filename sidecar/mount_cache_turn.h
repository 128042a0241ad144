/*
 * mount_cache_turn: what mount_cache.c and mount_cache_turn.c share: the state of the cache of a
 * mount as the loop has it, and its turns. For these two only.
 *
 * A turn goes to the keeper with what came up since the last one: changes, jobs that workers have
 * ended, commands. It comes back with jobs for workers and says when the next one is due. Threads:
 * the loop's; a turn runs on the keeper, which has all that it was given until it ends.
 */
#ifndef SIDECAR_MOUNT_CACHE_TURN_H
#define SIDECAR_MOUNT_CACHE_TURN_H

#include "sidecar/mount_cache.h"
#include "sidecar/mount_chores.h"

enum { CACHE_FETCHES_MAX = 64 }; /* with workers or queued for them */

STAILQ_HEAD(command_list, cache_command);
TAILQ_HEAD(job_list, cache_job);

struct mount_cache {
    struct mount_work *work;
    struct work_pool *keeper, *fetchers;
    struct event *keeper_event, *fetchers_event, *timer;
    struct feed_reader reader;
    struct feed_subscriber subscriber;

    struct cache_rules rules;
    bool is_open;
    struct cache *cache; /* the keeper's while it is busy */
    bool keeper_busy;    /* or asking for the root */
    bool again;          /* something came up while it was */
    bool changes_lost;
    bool reads_last; /* what there is to count at the end */
    bool hears;      /* the feed has told of changes since efs-watch was ready first */
    bool begins_to;  /* and the cache does not know that yet */
    bool moved;      /* the mount is another one */
    int64_t open_at_ms;
    struct error err; /* why it is not open */

    unsigned fetching;
    struct job_list finished;
    struct command_list commands;
    unsigned n_commands;
    struct cache_stats stats;
    struct own_calls own;
    int64_t opened_ms;
    bool has_warmed; /* what is pinned and warmed was all there once */
    uint64_t counted_looks, counted_fetches, counted_bytes, counted_reads;
};

/* CacheReady, as things are. */
void mount_cache_judge(struct mount_work *work);

/* Something came up: a turn as soon as may be. */
void mount_cache_kick(struct mount_cache *own);
void mount_cache_on_timer(evutil_socket_t fd, short what, void *arg);

/* Does the mount answer, and is it still the one that was opened? */
bool mount_cache_may_ask(const struct mount_cache *own);

#endif
