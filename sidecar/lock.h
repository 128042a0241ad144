/*
 * lock: one lock of locks.h and its state machine. For locks.c and the lock_*.c only: lock.c has
 * the states, lock_waiters.c who waits, lock_hold.c what a client does with a hold, lock_calls.c
 * and lock_look.c what workers do.
 *
 *     FREE -> WAITING -> (FENCING) -> GRANTING -> HELD -> GIVING_BACK -> FREE
 *
 * WAITING tries to take the lock again and again; FENCING has it, and waits until the one before is
 * gone for sure; GRANTING writes the token. From HELD the next client here may come by GRANTING
 * again. CLOSING comes after a loss, from any state: the descriptor goes before anything else.
 *
 * One call at a time is under way for a lock. Threads: the loop's.
 */
#ifndef SIDECAR_LOCK_H
#define SIDECAR_LOCK_H

#include <sys/queue.h>

#include "lib/share/lock_name.h"
#include "sidecar/locks.h"

enum lock_state {
    LOCK_FREE,
    LOCK_WAITING,
    LOCK_FENCING,
    LOCK_GRANTING,
    LOCK_HELD,
    LOCK_GIVING_BACK,
    LOCK_CLOSING,
};

struct lock_hold {
    TAILQ_ENTRY(lock_hold) link; /* in waiters or in locks->lost */
    struct lock *lock;           /* NULL: it was lost */
    struct locks *locks;
    const struct lock_client_ops *ops; /* NULL: abandoned */
    void *arg;
    uint64_t id;
    int64_t deadline_ms, granted_ms;
    int64_t told_ms; /* not before; what it was told last: */
    uint64_t told_serial;
    unsigned told_position;
    int64_t valid_until_ms; /* as the client was told last */
    bool once, tried, lost, released, done;
    unsigned publishes; /* whose outcome is not known */
    uint32_t exit_status;
    char purpose[LOCK_TEXT_MAX + 1];
};
TAILQ_HEAD(lock_queue, lock_hold);

struct lock {
    LIST_ENTRY(lock) link;
    struct locks *locks;
    char name[LOCK_NAME_MAX + 1];
    enum lock_state state;
    int fd; /* -1: not open */
    bool in_flight;
    bool has_record, write_back; /* GIVING_BACK: with a clean record */
    bool must_clean;             /* the stage: the one before did not give it back */
    struct lock_record record;   /* the last that was read or written */
    struct lock_queue waiters;
    unsigned n_waiters;
    struct lock_hold *holder;
    int64_t next_ms;   /* WAITING: when to try; FENCING: when the one before is gone */
    int64_t proven_ms; /* the last proof was sent then */
    int64_t asked_ms;  /* and the last try of one */
    int64_t since_ms;  /* held here without a break */
    int64_t looked_ms; /* when the holder's record was read */
    int64_t used_ms;
    int64_t pause_ms; /* a call found no place in its queue: not before */
    unsigned in_a_row;
};

struct locks {
    struct locks_options options;
    bool ready, begins, on_nfs, stopping;
    uint64_t generation;
    char why[160]; /* not ready */
    struct event *timer;
    LIST_HEAD(lock_list, lock) all;
    struct lock_queue lost; /* holds whose lock is gone, until their clients leave */
    struct lock_counts counts;
    unsigned n_name_calls, n_looks; /* under way or queued */
};

/* lock.c */
void lock_step(struct lock *lock);
int64_t lock_due_ms(const struct lock *lock); /* when to step without an event */
void lock_end_hold(struct lock_hold *hold, enum lock_end end, const struct error *err);

/* What follows from the end of a call. */
void lock_taken(struct lock *lock, bool has_record, int64_t sent_ms);
void lock_not_taken(struct lock *lock);
void lock_granted(struct lock *lock, const struct lock_record *record, int64_t sent_ms);
void lock_proven(struct lock *lock, int64_t sent_ms);
void lock_given_back(struct lock *lock);
void lock_closed(struct lock *lock);
void lock_not_granted(struct lock *lock, const struct error *err);
void lock_lost(struct lock *lock, const char *why);

/* lock_waiters.c */
void lock_expire_waiters(struct lock *lock, int64_t now_ms);
void lock_tell_waiters(struct lock *lock, int64_t now_ms);
void lock_failed(struct lock *lock, const struct error *err); /* for everybody who waits */
void lock_end_those_who_want_it_once(struct lock *lock);

/* lock_calls.c: start a call in its pool. */
void lock_call_take(struct lock *lock);
void lock_call_grant(struct lock *lock);
void lock_call_prove(struct lock *lock);
void lock_call_give_back(struct lock *lock);
void lock_call_close(struct lock *lock);

/* locks.c */
void locks_arm(struct locks *locks);

#endif
