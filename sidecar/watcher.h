/*
 * watcher: one supervised efs-watch child, which fills the feed of its mount and, where this task
 * has a slot on the board, says to the peers what changes here.
 *
 *     r = watcher_new(&(struct watcher_options){...}, &watcher);
 *     watcher_set_state(watcher, "/data/.efs-sidecar");
 *     watcher_allow(watcher, true);                 // the mount answers: start it, and start it
 *                                                   // again when it dies
 *     watcher_join(watcher, &membership);           // the lease took a slot
 *     watcher_listen(watcher);                      // ... or cannot get one for now
 *     r = watcher_announce(watcher, JOURNAL_NOTICE, payload, length, done, arg);
 *     watcher_part(watcher);                        // the slot is lost; then until the child is
 *                                                   // gone: watcher_has_slot(watcher)
 *     watcher_tick(watcher);                        // about once a second
 *     watcher_stop(watcher);  ... until watcher_stopped(watcher) ...  watcher_free(watcher);
 *
 * Where a slot is expected, the first child waits for it, but no longer than mount.stall_after:
 * then it starts as a listener, and is replaced when the slot is there.
 *
 * A child that dies is started again with capped back-off. After WATCH_ENDS_FAILING ends in a row
 * FeedReady stays False, WatcherFailing, until a child has lived for a while. One that does not
 * answer pings is reported (FeedReady=False, WatcherStalled), and killed once the mount answers:
 * before that it is not its fault, and it would have to scan the whole mount again. A kill is never
 * waited for; the next child starts when the last one is gone and the mount is allowed. Readers of
 * the feed get a resync after each restart, and so do the peers.
 *
 * Ownership: the strings of a status are the watcher's, until the loop turns. Threads: the loop's.
 */
#ifndef SIDECAR_WATCHER_H
#define SIDECAR_WATCHER_H

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/settings.h"
#include "lib/share/watch_frames.h"
#include "sidecar/announcements.h"
#include "sidecar/feed.h"
#include "sidecar/health.h"
#include "sidecar/membership.h"

/* Off: there is none. Readers of changes wait while it starts. */
enum watcher_state { WATCHER_OFF, WATCHER_STARTING, WATCHER_READY, WATCHER_RESTARTING };

extern const char *const watcher_state_names[]; /* "off" "starting" "ready" "restarting" */

struct watcher_status {
    enum watcher_state state;
    bool member; /* the child announces, as */
    unsigned slot;
    uint32_t epoch;
    uint64_t restarts, changes; /* since the sidecar started */
    struct watch_status child;  /* what the child said last */
};

struct watcher;

struct watcher_options {
    struct event_base *base;
    const struct settings *settings;
    const char *path;
    struct feed *feed;
    struct conditions *conditions;
    bool wants_slot;           /* one is expected */
    void (*fenced)(void *arg); /* the child found that the slot is not ours any more */
    void (*notice)(void *arg, const struct watch_notice *notice); /* a peer's sidecar says */
    void *arg;
};

int watcher_new(const struct watcher_options *options, struct watcher **ret_watcher);
void watcher_free(struct watcher *watcher);

/* Where the state directory lies, for children that start from now on. -ENOMEM. */
int watcher_set_state(struct watcher *watcher, const char *path);

void watcher_allow(struct watcher *watcher, bool allowed);
void watcher_join(struct watcher *watcher, const struct membership *member);
void watcher_listen(struct watcher *watcher);
void watcher_part(struct watcher *watcher);
bool watcher_has_slot(const struct watcher *watcher);

/* Say a record to the peers, behind every local change that happened before. -ENOTCONN: nobody is
 * there to do it; -ENOBUFS: too much waits; -EMSGSIZE. done() is called only after a 0. */
int watcher_announce(struct watcher *watcher, uint16_t type, const void *payload, size_t length,
                     announce_done *done, void *arg);

void watcher_tick(struct watcher *watcher);
void watcher_status(const struct watcher *watcher, struct watcher_status *ret_status);

/* How long what the other tasks announced may have gone unreported, also while there is no child;
 * -1: nobody is heard. */
int64_t watcher_staleness_ms(const struct watcher_status *status);

void watcher_stop(struct watcher *watcher);
bool watcher_stopped(const struct watcher *watcher);

/* Has everything that happened under the slot been announced? Once it is stopped. */
bool watcher_told_all(const struct watcher *watcher);

#endif
