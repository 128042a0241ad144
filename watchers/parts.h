/*
 * parts: what an efs-watch has beside its tracker, each with a thread of its own: announce, peers
 * and scanner, those that the settings and the sidecar ask for.
 *
 *     r = parts_open(&parts, &options, &err);     // before the tracker looks at anything: what
 *                                                 // happens elsewhere from now on is told
 *     parts_add_status(&parts, &status);          // what the tracker cannot know
 *     r = parts_close(&parts);                                   // also after it failed
 *
 * A member, who has a slot of the board, has all three; a listener announces nothing; where there
 * is no state directory only the scanner is left, which then works for this efs-watch alone.
 *
 * Ownership: what options point to is the caller's and outlives the parts. Threads: the caller's
 * one. Errors: -errno and words. One that hangs with the mount is left behind at the end, so
 * struct parts, PARTS_NONE before it is opened, has to be static.
 */
#ifndef WATCHERS_PARTS_H
#define WATCHERS_PARTS_H

#include "lib/error.h"
#include "lib/settings.h"
#include "lib/share/watch_frames.h"
#include "watchers/announce.h"
#include "watchers/own_options.h"
#include "watchers/peers.h"
#include "watchers/scanner.h"
#include "watchers/scope.h"

struct parts_options {
    const struct settings *settings;
    const struct own_options *own;
    const char *root;
    const struct scope *scope;
};

struct parts {
    struct announce *announce; /* NULL: a listener */
    struct peers *peers;       /* NULL: there is no state directory */
    struct scanner *scanner;   /* NULL: scan.interval is 0 */
    struct peers_own own_slot; /* what announce writes and peers read */
    int root_fd, state_fd;     /* for all; -1: there is no state directory */
};

#define PARTS_NONE ((struct parts){.root_fd = -1, .state_fd = -1})

int parts_open(struct parts *parts, const struct parts_options *options, struct error *err);
void parts_add_status(const struct parts *parts, struct watch_status *status);

/* 0, or why not everything was announced. */
int parts_close(struct parts *parts);

#endif
