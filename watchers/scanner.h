/*
 * scanner: finds what no member announced, because its writer has no sidecar or lost its say, by
 * comparing the tree with a snapshot now and then (census.h). A thread of its own.
 *
 *     scanner_open(&options, &scanner, &err);
 *     poll scanner_fd(scanner) for POLLIN, then
 *     while (scanner_collect(scanner, buffer, &change)) ... tell and announce it ...
 *     scanner_note(scanner, &change);             // every change that others told
 *     scanner_look_now(scanner);                  // something was lost
 *     scanner_close(scanner, timeout_ms);
 *
 * In a domain with a state directory one scanner works, whoever holds the lock on "scanner" there;
 * the others only wait for it. So `rate` is the budget of the whole fleet. A scanner that takes
 * over does not know what its predecessor had seen: after its first pass it tells a resync of
 * everything (reason scan). Without a state directory each works for its own task.
 *
 * Nothing waits: what does not fit into the queue of notes is dropped, which at worst makes a
 * change be told twice; findings wait in the scanner when nobody collects them.
 *
 * Ownership: what options point to is the caller's and outlives the scanner, unless close returns
 * -EBUSY: then its thread hangs in the file system and all must stay. Threads: the caller's one.
 */
#ifndef WATCHERS_SCANNER_H
#define WATCHERS_SCANNER_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/error.h"
#include "lib/share/change.h"
#include "watchers/scope.h"

enum scanner_state {
    SCANNER_WAITING,  /* another one has the lock */
    SCANNER_BASELINE, /* the first pass */
    SCANNER_SCANNING,
    SCANNER_RESTING, /* until the next pass is due */
};

struct scanner_options {
    int root_fd;       /* of the tree, O_PATH */
    int state_fd;      /* the state directory; -1: there is none */
    bool on_nfs;       /* the state directory is */
    int64_t state_gid; /* group of what is made there; -1: as it comes */
    struct scope scope;
    int64_t interval_ms; /* from the start of a pass to the next */
    unsigned rate;       /* calls a second, at most */
    int64_t grace_ms;    /* see census.h */
    size_t max_entries;
};

struct scanner_status {
    enum scanner_state state;
    uint64_t entries, bytes; /* of the snapshot */
    uint64_t found;          /* changes told */
    uint64_t passes;         /* completed */
    uint64_t directories;    /* looked at in this pass */
    uint64_t unreadable;     /* of them, and */
    uint64_t left_out;       /* entries for which max_entries is too small */
    uint32_t permille;       /* of the pass, as far as that can be said */
    int64_t complete_ms;     /* when the last complete pass began; -1: there was none yet */
};

struct scanner;

int scanner_open(const struct scanner_options *options, struct scanner **ret_scanner,
                 struct error *err);
int scanner_fd(const struct scanner *scanner);
bool scanner_collect(struct scanner *scanner, uint8_t buffer[CHANGE_ENCODED_MAX],
                     struct change *ret_change);
void scanner_note(struct scanner *scanner, const struct change *change);
void scanner_look_now(struct scanner *scanner);
void scanner_status(struct scanner *scanner, struct scanner_status *ret_status);
int scanner_close(struct scanner *scanner, int64_t timeout_ms); /* NULL is fine */

#endif
