/*
 * janitor: clears up after members that died: their slots, member files and journals.
 *
 *     janitor_init(&janitor, &place, retention_ms);
 *     r = janitor_round(&janitor, &err);      // again at janitor.due_ms
 *     if (janitor_has_dead(&janitor)) {
 *         // tell the peers that what janitor.dead.task saw last may be lost; once they can read it
 *         janitor.told = true;                // and not if that failed
 *         r = janitor_round(&janitor, &err);
 *     }
 *     janitor_release(&janitor);
 *
 * A slot whose owner did not leave and whose lock is free is watched for its fence_ms, on one's own
 * clock; then it is locked on a descriptor of its own, so a member that comes back takes another,
 * and of several who see it one gets it. It stays joined until the peers know, so a member that
 * dies meanwhile loses nothing. A server that does not answer tells nothing, and nothing is done.
 *
 * Each member asks once a minute about the lock of the next member on the board, and past those
 * that are free to the first that is held. So a death is noticed within a minute and told fence_ms
 * later, and nobody's questions grow with the number of members. One member per domain is elected,
 * by the lock of LAYOUT_JANITOR: it asks about one more in turn, whatever the others do, and
 * removes journals of epochs that are over when they have been seen for retention_ms.
 *
 * An idle board costs a round nothing but these questions: it is read when its attributes moved.
 * Threads: every function but init and has_dead may hang with the mount: for one worker at a time.
 * Errors: -errno and words; the next round begins anew. The place is the caller's.
 */
#ifndef SIDECAR_JANITOR_H
#define SIDECAR_JANITOR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "lib/share/board.h"
#include "sidecar/place.h"

enum {
    JANITOR_INTERVAL_MS = 60 * 1000,
    JANITOR_JOURNALS = 512, /* that are waited for at once */
    JANITOR_UNLINKS = 64,   /* in a round */
    JANITOR_ASKS = 8,       /* about members that nobody was in doubt about, in a round */
    JANITOR_TASK_MAX = 256,
};

/* A slot that is ours now, of a member that died. */
struct janitor_dead {
    int fd; /* -1: none */
    unsigned slot;
    struct slot was;
    char task[JANITOR_TASK_MAX]; /* "" where its file does not say */
};

struct janitor_journal {
    uint16_t slot;
    uint32_t epoch;
    int64_t since_ms; /* it has been over, as far as we saw */
};

struct janitor {
    const struct place *place;
    unsigned own_slot; /* the caller's, and */
    bool on_nfs;       /* what the state lies on: to be set before a round */
    int64_t retention_ms;

    int state_fd; /* kept, as all of them are: a round costs what it asks */
    int lock_fd;  /* the lock's file; -1: not opened yet */
    bool elected;
    int board_fd;     /* -1: not opened yet */
    int64_t due_ms;   /* the next round */
    int64_t swept_ms; /* when the journals were last looked at */
    struct statx_timestamp board_mtime, board_ctime;
    bool read_again; /* the board moved a round ago: its times are coarse */
    struct slot slots[BOARD_SLOTS];
    int64_t
        free_ms[BOARD_SLOTS]; /* since when a joined slot has been seen unlocked; 0: it is not */
    uint32_t epochs[BOARD_SLOTS]; /* whose */
    unsigned next_slot;           /* whose turn it is to be asked about, when elected */
    unsigned asked;               /* questions about locks, so far */
    size_t n_journals;
    struct janitor_journal journals[JANITOR_JOURNALS];
    struct janitor_dead dead;
    bool told;                /* the caller: the peers know of it */
    unsigned buried, removed; /* members and journals, so far */
};

void janitor_init(struct janitor *janitor, const struct place *place, int64_t retention_ms);

/* At most one slot is taken in a round, and given back in the next: as left if the peers were told,
 * else as it was. */
int janitor_round(struct janitor *janitor, struct error *err);
bool janitor_is_elected(const struct janitor *janitor);
bool janitor_has_dead(const struct janitor *janitor);

/* Let go of everything. */
void janitor_release(struct janitor *janitor);

#endif
