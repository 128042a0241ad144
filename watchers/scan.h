/*
 * scan: gets directories watched, then reads them.
 *
 * The watch comes first, so what changes during the read shows up as an event, and what was there
 * before shows up in the read. Directories wait in a queue and are read in slices between events.
 * Entries that vanish, or cannot be watched or read, never stop the rest.
 *
 * Part of the tracker (see tracker.h). All return 0 or -errno, where an errno means that the
 * tracker cannot go on. Threads: one.
 */
#ifndef WATCHERS_SCAN_H
#define WATCHERS_SCAN_H

#include <stdbool.h>
#include <stdint.h>

#include "watchers/tracker.h"

/* Why the contents of a directory are reported; the first counts when there are several. */
enum scan_source {
    SCAN_NEW_HERE,     /* it was made on this host */
    SCAN_NEW_REMOTE,   /* another member told that it was made */
    SCAN_AGAIN,        /* after a resync of our own; what is below may be new to us too */
    SCAN_AGAIN_REMOTE, /* after another member's resync; directories new to us: SCAN_NEW_REMOTE */
};

/* There is a directory `name` in parent. fresh: report what is in it. */
int scan_found(struct tracker *tracker, struct dir *parent, const char *name, bool fresh,
               enum scan_source source);

void scan_enqueue(struct tracker *tracker, struct dir *dir);

/* Read dir (again) and report what is in it; deep: and in all below it. */
void scan_report(struct tracker *tracker, struct dir *dir, bool deep, enum scan_source source);

/* A directory of that name was made, although one is known: see which it is. */
void scan_rearm(struct tracker *tracker, struct dir *dir, enum scan_source source);

/* moved has another path now: what could not be found below it may be found now. */
void scan_moved(struct tracker *tracker, const struct dir *moved);

/* Work until the queue is empty, pending is full or the time is up. */
int scan_step(struct tracker *tracker, int64_t until_ms);
bool scan_is_idle(const struct tracker *tracker);

/* scan_blind.c */

/* What lies at name in dir is not watched: say so in the log, in the status and in the feed. */
int scan_note_blind(struct tracker *tracker, struct dir *dir, const char *name, int code);

/* Try again what was blind, when it is time and there is hope. */
void scan_retry(struct tracker *tracker, int64_t now_ms);
int64_t scan_retry_ms(const struct tracker *tracker); /* when it is time */

/* dir is about to be freed. */
void scan_forget(struct tracker *tracker, struct dir *dir);

/* Why a directory cannot be watched, and what to change, for an errno of scanning. */
const char *scan_cause(int code);

/* An O_PATH descriptor of dir; stays open until the next call or scan_close(). */
int scan_open(struct tracker *tracker, struct dir *dir, int *ret_fd);
void scan_close(struct tracker *tracker);

#endif
