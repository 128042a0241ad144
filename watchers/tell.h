/*
 * tell: hands pending changes to the sink, with the attributes that the file has now.
 *
 * One statx per change; a file that is gone by then is told without attributes, and its delete or
 * rename follows: by an event, or else by tell_gone_later(). Part of the tracker (see tracker.h).
 * Threads: one.
 */
#ifndef WATCHERS_TELL_H
#define WATCHERS_TELL_H

#include <stdbool.h>
#include <stdint.h>

#include "watchers/tracker.h"

/* Until nothing is pending, the sink is full (tracker->stuck) or the time is up. -errno: the sink
 * is gone, or no memory. */
int tell_step(struct tracker *tracker, int64_t until_ms);

/* Add what name in dir_fd has now to change, CHANGE_IS_DIR too; sync: ask the server for it.
 * -errno: it has nothing, change is as it was. */
int tell_attributes(struct change *change, int dir_fd, const char *name, bool sync);

/* path is gone, and no event has said why so far: if none does, say so. */
void tell_gone_later(struct tracker *tracker, const char *path, bool is_dir);

#endif
