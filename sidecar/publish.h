/*
 * publish: finished files put in their place on one mount, whole, on behalf of the clients of this
 * sidecar, and told to the peers.
 *
 *     publisher_new(&(struct publisher_options){...}, &publisher);
 *     r = publisher_submit(publisher, &request, ended, arg, &err);
 *         ... ended() once, later ...
 *     publisher_tick(publisher);              // about once a second
 *     publisher_stop(publisher);  ... until publisher_is_idle(publisher) or the time is up ...
 *     publisher_free(publisher);              // after its pools were closed
 *
 * Preparing a file (sync, digest) is done by a few workers at once, putting it in its place one
 * after the other. The end of a publish is known, or said to be unknown: then it may still happen.
 * Under a lock this counts on the hold (locks.h), so that nobody has the lock before it is settled.
 *
 * Ownership: `arg` has to stay until ended(). Threads: the loop's; ended() is never called from
 * within publisher_submit(), and may submit.
 */
#ifndef SIDECAR_PUBLISH_H
#define SIDECAR_PUBLISH_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/error.h"
#include "lib/share/change.h"
#include "lib/work_pool.h"
#include "sidecar/announcements.h"
#include "sidecar/publish_file.h"

enum { PUBLISHES_MAX = 256 }; /* at once, on one mount */

struct locks;
struct publisher;
struct publish;

enum publish_end { PUBLISH_DONE, PUBLISH_FAILED, PUBLISH_UNKNOWN };

/* file is what is known of it, err what to tell people; after PUBLISH_DONE it may have a warning,
 * or code 0. */
typedef void publish_ended(void *arg, enum publish_end end, const struct publish_file *file,
                           const struct error *err);

struct publish_request {
    const char *from, *to; /* relative to the mount */
    bool replace, mkdir, digest;
    mode_t mode;      /* 0: as configured */
    uint64_t hold_id; /* of locks.h; 0: under no lock */
    int64_t deadline_ms;
};

struct publisher_options {
    const struct place *place;
    struct work_pool *files, *names; /* names: for namespace operations */
    struct locks *locks;             /* NULL: there are none */
    /* Say a record to the peers, as watcher_announce(). */
    int (*announce)(void *arg, const uint8_t *payload, size_t length, announce_done *done,
                    void *done_arg);
    void (*published)(void *arg, int64_t took_ms); /* -1: it failed, or nobody knows */
    void *arg;
};

int publisher_new(const struct publisher_options *options, struct publisher **ret_publisher);
void publisher_free(struct publisher *publisher); /* NULL is fine */

/* -EINVAL (paths), -ENOBUFS (too many), -ESHUTDOWN, -ESTALE (the hold is over). */
int publisher_submit(struct publisher *publisher, const struct publish_request *request,
                     publish_ended *ended, void *arg, struct error *err);

/* Where it works, and who else may do something there. */
const struct publisher_options *publisher_options(const struct publisher *publisher);

void publisher_tick(struct publisher *publisher);
void publisher_stop(struct publisher *publisher);
bool publisher_is_idle(const struct publisher *publisher);

#endif
