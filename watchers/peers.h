/*
 * peers: reads what the other members of the domain announce. A thread of its own does it, because
 * every step may hang with the mount.
 *
 *     r = peers_open(&options, &peers, &err);
 *     poll peers_fd(peers) for POLLIN, then
 *     total = peers_look(peers);                     // and when local events of before are noted
 *     while (taken < total && peers_next(peers, &item)) ... tell it ...
 *     peers_status(peers, &status);
 *     peers_close(peers, timeout_ms);
 *
 * A poll asks the server for the board's attributes. When they have moved the board is read, and
 * again on each poll until one was sent two seconds after, because two writes may share a time
 * stamp. A slot whose word has changed is a hint to read that member's journal (peer.h). Before a
 * change is handed over the directories of its paths are synced with the server, so that an open by
 * name finds what it tells of. Polls come every poll_ms, and every idle_poll_ms when nothing has
 * moved for idle_after_ms.
 *
 * What is on the board when it is opened counts as known. When the board is another one later, or
 * something of a journal is lost, an item says resync (reason journal_gap).
 *
 * Bounded: when nobody takes the items, nothing more is read. The journals keep it, and what they
 * do not keep becomes a resync. Everything read is untrusted.
 *
 * Ownership: descriptors and strings in options are the caller's and outlive this. Threads: one
 * calls. peers_close() returns -EBUSY when the thread hangs: it is left behind with its memory.
 */
#ifndef WATCHERS_PEERS_H
#define WATCHERS_PEERS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/error.h"
#include "lib/share/watch_frames.h"
#include "watchers/scope.h"

enum { PEERS_QUEUE_BYTES = 1024 * 1024, PEERS_BATCH_RECORDS = 256 };

/* Words of our own slot: what it held when the last write of it was over, and when the last one
 * began. Anything else on the board means that the slot is not ours any more. */
struct peers_own {
    _Atomic uint64_t written, writing;
};

struct peers_options {
    int root_fd;  /* of the tree, O_PATH */
    int state_fd; /* the state directory */
    bool on_nfs;  /* it is */
    struct scope scope;
    int64_t poll_ms, idle_poll_ms, idle_after_ms;
    int slot;              /* our own; -1: a listener */
    struct peers_own *own; /* NULL: not compared */
};

enum peers_kind { PEERS_CHANGE, PEERS_NOTICE };

/* What a member says; strings and payload are valid until the next call. */
struct peers_item {
    enum peers_kind kind;
    uint16_t slot;
    uint32_t epoch;
    const char *observer;
    const uint8_t *payload; /* a change is one that change_decode() takes */
    size_t length;
};

struct peers_status {
    struct watch_feed_status feed; /* but what is announced */
    int error;                     /* why the last poll or reading failed; 0: it did not */
    bool fenced;
};

struct peers;

/* Reads the board for the first time, and may hang with the mount in that. A board that does not
 * exist yet is waited for. */
int peers_open(const struct peers_options *options, struct peers **ret_peers, struct error *err);
int peers_close(struct peers *peers, int64_t timeout_ms); /* NULL is fine */

int peers_fd(const struct peers *peers);  /* readable: there are items, or the status has changed */
uint64_t peers_look(struct peers *peers); /* items that there were to take, ever; unsets fd */
bool peers_next(struct peers *peers, struct peers_item *ret_item);
void peers_status(struct peers *peers, struct peers_status *ret_status);

#endif
