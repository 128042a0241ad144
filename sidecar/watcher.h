/*
 * watcher: one supervised efs-watch child, which fills the feed of its mount.
 *
 *     r = watcher_new(base, settings, "/data", feed, &conditions, &watcher);
 *     watcher_allow(watcher, true);                 // the mount answers: start it, and start it
 *                                                   // again when it dies
 *     watcher_tick(watcher);                        // about once a second
 *     watcher_stop(watcher);  ... until watcher_stopped(watcher) ...  watcher_free(watcher);
 *
 * A child that dies is started again with capped back-off. One that does not answer pings is
 * reported (FeedReady=False, WatcherStalled), and killed once the mount answers: before that it is
 * not its fault, and it would have to scan the whole mount again. A kill is never waited for; the
 * next child starts when the last one is gone and the mount is allowed. Readers of the feed get a
 * resync after each restart.
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
#include "sidecar/feed.h"
#include "sidecar/health.h"

enum watcher_state { WATCHER_OFF, WATCHER_STARTING, WATCHER_READY, WATCHER_RESTARTING };

extern const char *const watcher_state_names[]; /* "off" "starting" "ready" "restarting" */

struct watcher_status {
    enum watcher_state state;
    uint64_t restarts, changes; /* since the sidecar started */
    struct watch_status child;  /* what the child said last */
};

struct watcher;

int watcher_new(struct event_base *base, const struct settings *settings, const char *path,
                struct feed *feed, struct conditions *conditions, struct watcher **ret_watcher);
void watcher_free(struct watcher *watcher);

void watcher_allow(struct watcher *watcher, bool allowed);
void watcher_tick(struct watcher *watcher);
void watcher_status(const struct watcher *watcher, struct watcher_status *ret_status);

void watcher_stop(struct watcher *watcher);
bool watcher_stopped(const struct watcher *watcher);
void watcher_kill(struct watcher *watcher);

#endif
