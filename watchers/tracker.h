/*
 * tracker: the local source of changes: keeps every directory watched, turns inotify's events into
 * pending changes, and tells them.
 *
 * No loss, by these rules:
 *   - A directory is watched first and read then; what is found is reported, so nothing falls
 *     between (scan.c). Reading goes in slices; nothing that happens to an entry stops it.
 *   - When the kernel's queue overflows everything is thrown away: a new inotify instance, an empty
 *     table, a resync of the root, and a scan that reports what exists.
 *   - What cannot be watched is blind: a resync with that reason, counted and named in the status.
 *   - When the sink takes nothing, reading events stops; the kernel's queue is the bounded buffer,
 *     and its overflow the cut.
 *
 *     tracker_open(&tracker, &options, &sink, &err);
 *     for (;;) {
 *         poll tracker.source.fd (if tracker_wants_events()) and the sink until
 *         tracker_deadline_ms();
 *         r = tracker_step(&tracker, &err);           // never long: TRACKER_SLICE_MS
 *     }
 *
 * tracker_step() returns -errno when it cannot go on; err says why: the root is gone (-ESTALE), no
 * memory, inotify failed. Symbolic links are never followed, other mounts never entered.
 * Threads: one. Calls on a hung mount hang with it: efs-watch is a process of its own for that.
 */
#ifndef WATCHERS_TRACKER_H
#define WATCHERS_TRACKER_H

#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/error.h"
#include "lib/share/watch_frames.h"
#include "watchers/grace.h"
#include "watchers/inotify_source.h"
#include "watchers/moves.h"
#include "watchers/names.h"
#include "watchers/owed.h"
#include "watchers/pending.h"
#include "watchers/renames.h"
#include "watchers/scope.h"
#include "watchers/sink.h"
#include "watchers/wd_table.h"

enum { TRACKER_SLICE_MS = 5 };

/* What is not watched. */
struct blind {
    uint32_t total;
    uint32_t retryable; /* of those: it may go better later */
    bool stale;         /* some of it may be gone: count again */
    uint32_t listed;
    int codes[WATCH_BLIND_LISTED];
    char paths[WATCH_BLIND_LISTED][WATCH_BLIND_PATH_MAX + 1];
};

struct tracker_options {
    const char *root;
    struct scope scope;
    size_t max_dirs;
    int64_t batch_ms;
    bool existing;   /* start with a resync and report what exists */
    bool keep_names; /* the file system is NFS, see names.h */

    struct announce *announce; /* the caller's; NULL: a listener */
    int64_t found_grace_ms;    /* see grace.h */
    struct scanner *scanner;   /* the caller's; NULL: there is no reconcile scan */
    enum change_reason owed; /* not 0: the others are told of a resync of everything, see owed.h */
};

struct tracker {
    const struct tracker_options *options;
    struct sink *sink;
    struct inotify_source source;
    struct wd_table dirs;
    struct pending pending;
    struct moves moves;
    struct move last_move; /* of dir and name to moved_to and moved_name: */
    const struct dir *moved_to;
    char moved_name[NAME_MAX + 1];
    struct names names;
    uint32_t epoch;
    uint64_t sequence;

    int root_fd; /* O_PATH */
    uint64_t root_mount;
    int64_t root_check_ms;

    /* scan.c */
    struct dir_queue scan_queue;
    struct dir_queue scan_waiting; /* not found under the name that we know */
    size_t scan_queued;
    struct dir *scanning; /* being read: */
    DIR *stream;
    struct dir *opened; /* the directory that was opened last: */
    int opened_fd;
    int64_t retry_ms; /* when blind places were tried last */
    bool ready;
    bool remote; /* other members have told something: events here may not be all of it */

    int64_t flush_ms;      /* when what is pending is told */
    int64_t rest_until_ms; /* when events are read again; 0: as soon as there are some */
    bool stuck;            /* the sink had no room */
    bool fell_behind;      /* events had to wait for the sink */

    uint64_t tickets, reached; /* given out; of which everything that happened before is noted */
    uint64_t barrier;          /* tickets that had been given out when it was queued; 0: none is */
    struct ping {
        uint64_t ticket, nonce; /* ticket 0: none */
    } pings[2];

    uint64_t wanted, marked, told; /* tickets: to be told of; on their way; see tracker_mark() */
    struct owed owed;
    struct grace grace;
    struct renames renames; /* of directories */

    struct blind blind;
    unsigned blind_logged;
    uint64_t events, changes, overflows, resyncs;
};

int tracker_open(struct tracker *tracker, const struct tracker_options *options, struct sink *sink,
                 struct error *err);
void tracker_close(struct tracker *tracker);

bool tracker_wants_events(const struct tracker *tracker);
int64_t tracker_deadline_ms(const struct tracker *tracker); /* when to step without events */
int tracker_step(struct tracker *tracker, struct error *err);

/* A ticket is reached (tracker->reached) when every change that happened before it was given out
 * has been noted as pending. That takes a walk through the kernel's queue, not a pause in it. */
uint64_t tracker_ticket(struct tracker *tracker);

/* The same, and tracker->told reaches the ticket when all those changes were handed to the sink and
 * to announce. */
uint64_t tracker_mark(struct tracker *tracker);

/* Answer with a pong behind every change that happened before. Two wait at most: a newer ping
 * replaces the second. */
void tracker_ping(struct tracker *tracker, uint64_t nonce);

/* Tell everything that is pending now, as far as the sink takes it, and what is owed. */
int tracker_drain(struct tracker *tracker);

uint32_t tracker_scanning(const struct tracker *tracker); /* directories still to be read */
void tracker_status(const struct tracker *tracker, struct watch_status *ret_status);

/* For events.c, scan.c and tell.c: note what happened, and see that it is told within the batch
 * window. */
void tracker_tell_soon(struct tracker *tracker);
void tracker_tell_now(struct tracker *tracker); /* what is pending, without the window */
int tracker_note(struct tracker *tracker, struct dir *dir, const char *name, enum change_op op,
                 unsigned flags);
int tracker_resync(struct tracker *tracker, const struct dir *dir, const char *name,
                   enum change_reason reason);
void tracker_reap(struct tracker *tracker, size_t most); /* free that many dropped directories */

#endif
