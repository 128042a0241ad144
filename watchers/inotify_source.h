/*
 * inotify_source: libinotifytools, used only for what it does right.
 *
 * Measured of libinotifytools 3.22.6: its recursive watching loses directories, its table of
 * watches leaks an entry per removed directory and edits wrong paths on rename, next_events() with
 * more than one event spins, and next_event(0) blocks. What is left and used here: it opens the
 * instance and reads events one by one with next_events(0, 1), which returns NULL at once when
 * there is none. It hands out events of watches that it does not know unchanged, so watches are set
 * on its descriptor with inotify_add_watch(2) directly and its own table stays empty for ever.
 *
 *     inotify_source_open(&source, &err);
 *     poll source.fd for POLLIN;
 *     inotify_source_arm(&source, dir_fd, &wd);
 *     while ((r = inotify_source_next(&source, &event)) == 1) ...     // valid until the next call
 *
 * A barrier tells that everything which happened before it has been read: a watch is removed, and
 * the kernel queues IN_IGNORED for it behind all earlier events.
 *
 * One instance per process (the library's state is global). Threads: one.
 */
#ifndef WATCHERS_INOTIFY_SOURCE_H
#define WATCHERS_INOTIFY_SOURCE_H

#include <stdbool.h>
#include <sys/inotify.h>

#include "lib/error.h"

struct inotify_source {
    int fd;
    int barrier_fd; /* something to watch that nobody touches */
    int barrier_wd;
};

int inotify_source_open(struct inotify_source *source, struct error *err);

/* All watches and queued events go; a new, empty instance takes their place. */
int inotify_source_reset(struct inotify_source *source, struct error *err);
void inotify_source_close(struct inotify_source *source);

/* Watch the directory that dir_fd (O_PATH is enough) refers to, whatever its path is by now. */
int inotify_source_arm(struct inotify_source *source, int dir_fd, int *ret_wd);
void inotify_source_disarm(struct inotify_source *source, int wd);
bool inotify_source_has_room(struct inotify_source *source); /* for at least one watch more */

/* 1 an event, 0 none is waiting, -errno. */
int inotify_source_next(struct inotify_source *source, const struct inotify_event **ret_event);

/* 0, or -EBUSY: there is none (the limit on watches is used up) or it is still in the queue. */
int inotify_source_barrier(struct inotify_source *source);
bool inotify_source_is_barrier(struct inotify_source *source, const struct inotify_event *event);

#endif
