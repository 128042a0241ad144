/*
 * events: what inotify's events about names mean for the table, the scan and the changes to tell.
 *
 * Part of the tracker (see tracker.h). All return 0 or -ENOMEM. Threads: one.
 */
#ifndef WATCHERS_EVENTS_H
#define WATCHERS_EVENTS_H

#include <stdint.h>
#include <sys/inotify.h>

#include "watchers/tracker.h"

/* An event with a name, in a directory that is live. */
int events_name(struct tracker *tracker, struct dir *dir, const struct inotify_event *event);

/* Renames whose second half has not come by then: the name is gone. */
int events_moves_gone(struct tracker *tracker, int64_t until_ms);

#endif
