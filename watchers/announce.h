/*
 * announce: tells the other members what happened here: the records of this member's journal, and
 * then its slot. A thread of its own does it, because every step may hang with the mount.
 *
 *     announce_open(&options, &announce, &err);
 *     announce_change(announce, &change);            // any number, then
 *     announce_flush(announce);                      // a batch is complete
 *     r = announce_record(announce, &record, ticket);      // for the sidecar, once ...
 *     announce_release(announce, ticket);            // ... all that happened before is announced
 *     poll announce_fd() for POLLIN, then
 *     while ((r = announce_collect(announce, &announced)) == 1) ... answer the sidecar ...
 *     r = announce_close(announce, timeout_ms);
 *
 * A batch: the attributes of each file are fetched from the server, which makes what its writer has
 * written so far visible there; the records are written and synced; the slot is written once.
 * Nothing to tell means no call at all.
 *
 * Nothing here waits. When the queue is full its changes are dropped, and one resync of everything
 * (reason slow_reader) takes their place. What the file system refuses for a while (no space,
 * quota) is tried again, slower each time; announce_status() says what it was. When the slot or the
 * journal is lost the member is fenced: announce_collect() returns -ESTALE, and nothing is
 * announced any more.
 *
 * Ownership: descriptors in options stay the caller's and outlive this, strings are copied.
 * Threads: one calls; if its own hangs at close, it is left behind with its memory.
 */
#ifndef WATCHERS_ANNOUNCE_H
#define WATCHERS_ANNOUNCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/error.h"
#include "lib/share/change.h"
#include "lib/share/watch_frames.h"
#include "watchers/member.h"

enum { ANNOUNCE_RECORDS_MAX = 64 }; /* of the sidecar, not answered yet */

struct announce_options {
    const char *state_dir; /* path of the state directory */
    struct member member;  /* not attached */
    size_t queue_bytes;
};

struct announce_status {
    uint64_t sequence; /* in the slot */
    uint32_t pending;  /* changes and records that are not */
    int error;         /* why it does not go on for now; 0 it does */
};

struct announce;

int announce_open(const struct announce_options *options, struct announce **ret_announce,
                  struct error *err);

/* 0 everything is announced; -ETIMEDOUT, -ESTALE or another error: it is not. NULL is fine. */
int announce_close(struct announce *announce, int64_t timeout_ms);

int announce_change(struct announce *announce, const struct change *change); /* 0 or -ENOMEM */
void announce_flush(struct announce *announce);

/* -ENOBUFS: too many wait; -EINVAL: not a record for a journal. */
int announce_record(struct announce *announce, const struct watch_announce *record,
                    uint64_t ticket);
void announce_release(struct announce *announce, uint64_t ticket);

int announce_fd(const struct announce *announce);
int announce_collect(struct announce *announce, struct watch_announced *ret_announced);
void announce_status(struct announce *announce, struct announce_status *ret_status);

#endif
