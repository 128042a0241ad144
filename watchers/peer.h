/*
 * peer: where we stand in the journals of the members that had one slot after the other.
 *
 *     peer_note(&peer, &slot);               // what is there now counts as known
 *     r = peer_read(&peer, &journals, &slot, now_ms, take, arg);   // up to what the slot says now
 *     peer_release(&peer);
 *
 * peer_read() hands over each record behind our place, in order, until take() returns 1 (enough for
 * now). When the slot has another epoch, the journal of the old one is finished as far as it can be
 * read, with what was written and never announced, and then the new one is read from its first
 * record. What cannot be read any more is a gap: take() gets one CHANGE_RESYNC of the root (reason
 * journal_gap) for it, and we stand where the slot is.
 *
 * Returns 0 everything that the slot says was handed over, 1 take() had enough, -EAGAIN a record is
 * announced but not whole yet: ask again. Other errors of the file system are -EAGAIN, too; both
 * become a gap when they last for PEER_PATIENCE_MS.
 *
 * The slot and the journals are untrusted: see slot.h and journal_reader.h. Records are handed over
 * as they are, a change's payload is for the taker to decode. Threads: one; may hang with the
 * mount.
 */
#ifndef WATCHERS_PEER_H
#define WATCHERS_PEER_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/share/journal_reader.h"
#include "lib/share/slot.h"

enum { PEER_PATIENCE_MS = 10 * 1000, PEER_EPOCHS_MAX = 64 };

struct peer {
    uint32_t epoch; /* 0: the slot was never used */
    uint64_t sequence;
    uint32_t segment;
    bool left; /* its owner left, and nothing more can come from this epoch */
    struct journal_reader *reader;
    int64_t stuck_since_ms; /* 0: it is not */
    uint64_t gaps;
};

/* Where journals lie. */
struct peer_journals {
    int feed_fd;
    unsigned slot;
    bool direct;
};

/* What is handed over; valid during the call. */
struct peer_record {
    unsigned slot;
    uint32_t epoch;
    const char *observer;
    bool gap; /* nothing could be read: record is empty */
    struct journal_record record;
};

typedef int (*peer_take)(void *arg, const struct peer_record *record); /* 0 go on, 1 enough */

void peer_note(struct peer *peer, const struct slot *slot);
void peer_release(struct peer *peer);

bool peer_is_behind(const struct peer *peer, const struct slot *slot);
int peer_read(struct peer *peer, const struct peer_journals *journals, const struct slot *slot,
              int64_t now_ms, peer_take take, void *arg);

#endif
