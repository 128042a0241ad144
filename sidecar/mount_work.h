/*
 * mount_work: all that the sidecar does on one mount, and what it knows of it.
 *
 *     r = mount_work_open(&(struct mount_work_options){...}, &work);
 *     mount_work_relist(work, table);            // the kernel's list of mounts changed
 *     mount_work_tick(work);                     // about once a second
 *     mount_work_stop(work);  ... until mount_work_stopped(work) ...
 *     mount_work_close(work, timeout_ms);
 *
 * Calls to the mount are chores in a pool of two threads (see chores.h), and none is started while
 * another one is stuck. The lease has a pool of its own.
 *
 * Ownership: strings of a status are the work's, until the loop turns. Threads: the loop's.
 */
#ifndef SIDECAR_MOUNT_WORK_H
#define SIDECAR_MOUNT_WORK_H

#include <event2/event.h>

#include "lib/mountinfo.h"
#include "lib/settings.h"
#include "sidecar/feed.h"
#include "sidecar/health.h"
#include "sidecar/metrics.h"
#include "sidecar/mount_status.h"
#include "sidecar/task_list.h"

struct mount_work;
struct claims;
struct locks;
struct publisher;
struct mount_cache;

struct mount_work_options {
    struct event_base *base;
    const struct settings *settings;
    const struct mount_setting *mount;
    bool first_writable;
    struct metrics *metrics;
    void (*changed)(void *arg); /* a condition did */
    void *arg;
};

int mount_work_open(const struct mount_work_options *options, struct mount_work **ret_work,
                    struct error *err);

/* table NULL: the list could not be read. */
void mount_work_relist(struct mount_work *work, struct mountinfo *table);
void mount_work_tick(struct mount_work *work);

/* Into the metrics, as each tick does: once more before the last interval is sent. */
void mount_work_count(struct mount_work *work);

void mount_work_status(const struct mount_work *work, struct mount_status *ret_status);
struct locks *mount_work_locks(const struct mount_work *work);         /* NULL: there are none */
struct mount_cache *mount_work_cache(const struct mount_work *work);   /* NULL: there is none */
struct publisher *mount_work_publisher(const struct mount_work *work); /* NULL: read-only */
struct claims *mount_work_claims(const struct mount_work *work);
struct feed *mount_work_feed(const struct mount_work *work);
const struct conditions *mount_work_conditions(const struct mount_work *work);

/* As mount_tasks_list(). */
int mount_work_list_tasks(struct mount_work *work, task_listed_fn *listed, void *arg,
                          struct error *err);

void mount_work_stop(struct mount_work *work);
bool mount_work_stopped(const struct mount_work *work);
int mount_work_close(struct mount_work *work, int64_t timeout_ms);

#endif
