/*
 * mounts: the configured mounts and what the sidecar does on each: probe, canary, task directory,
 * slot on the board, watcher.
 *
 *     r = mounts_open(base, &settings, &health, metrics, &mounts, &err);
 *     for (size_t i = 0; i < mounts_count(mounts); i++) {
 *         struct mount_status status;
 *         mounts_status(mounts, i, &status);
 *         ...
 *     }
 *     mounts_stop(mounts);  ... until mounts_stopped(mounts) or the time is up ...
 *     mounts_close(mounts);
 *
 * Nothing here touches a mount on the loop thread: all of it goes through the mounts' work pools.
 * Ownership: the strings of a status are the mounts', until the loop turns. Threads: the loop's.
 */
#ifndef SIDECAR_MOUNTS_H
#define SIDECAR_MOUNTS_H

#include <event2/event.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/error.h"
#include "lib/settings.h"
#include "sidecar/feed.h"
#include "sidecar/health.h"
#include "sidecar/mount_status.h"
#include "sidecar/task_list.h"

struct metrics;
struct mounts;
struct publisher;
struct mount_cache;

int mounts_open(struct event_base *base, const struct settings *settings, struct health *health,
                struct metrics *metrics, struct mounts **ret_mounts, struct error *err);

size_t mounts_count(const struct mounts *mounts);
void mounts_status(const struct mounts *mounts, size_t i, struct mount_status *ret_status);
const char *mounts_path(const struct mounts *mounts, size_t i);
struct locks *mounts_locks(const struct mounts *mounts, size_t i);         /* NULL: it has none */
struct mount_cache *mounts_cache(const struct mounts *mounts, size_t i);   /* NULL: it has none */
struct publisher *mounts_publisher(const struct mounts *mounts, size_t i); /* NULL: it has none */
struct claims *mounts_claims(const struct mounts *mounts, size_t i);       /* NULL: it has none */
struct feed *mounts_feed(const struct mounts *mounts, size_t i);
int mounts_list_tasks(struct mounts *mounts, size_t i, task_listed_fn *listed, void *arg,
                      struct error *err);

/* Give back what is held and remove what would be left behind. */
void mounts_stop(struct mounts *mounts);
bool mounts_stopped(const struct mounts *mounts);

/* Release everything. -EBUSY: a call is stuck and memory was left to it; the process can only exit.
 */
int mounts_close(struct mounts *mounts, int64_t timeout_ms);

#endif
