/*
 * locks: the advisory locks of one mount, on behalf of the clients of this sidecar.
 *
 *     locks_new(&(struct locks_options){...}, &locks);
 *     locks_set_ready(locks, generation, on_nfs);       // a slot of the board is held
 *     r = locks_request(locks, &request, &ops, arg, &hold, &err);
 *         ops->waiting() now and then, ops->granted(), ops->valid() after each proof, perhaps
 *         ops->lost(); ops->ended() is the last call
 *     lock_hold_release(hold, ...);    // the client's word: all that used the lock is gone
 *     lock_hold_abandon(hold);         // it left without a word: no more calls of ops
 *     locks_stop(locks);  ... until locks_are_free(locks) or the time is up ...
 *     locks_free(locks);               // after its pools were closed
 *
 * Who is granted a lock may use it until valid_until_ms (clock_now_ms()), which each proof moves
 * on; whoever takes a lock that was not given back waits out the promise of the one before, removes
 * what it staged, writes the next token, and grants only then. A hold that was abandoned is kept
 * until PROMISE_MARGIN_MS (see promise.h) after the last valid_until_ms that its client was told.
 *
 * Among the clients of this sidecar the order is first come, first served. A lock goes from one to
 * the next without being given back a few times at most, so that other hosts get their turn.
 *
 * Ownership: a hold ends with ended() or lock_hold_abandon(). Threads: the loop's; ops may be
 * called from within any function here but locks_request(), and must not call back.
 */
#ifndef SIDECAR_LOCKS_H
#define SIDECAR_LOCKS_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/error.h"
#include "lib/share/lock_record.h"
#include "lib/work_pool.h"
#include "sidecar/place.h"

enum {
    LOCKS_WAITERS_MAX = 4000,      /* in all */
    LOCKS_NAME_WAITERS_MAX = 1000, /* for one name */
};

enum lock_end {
    LOCK_END_RELEASED,
    LOCK_END_LOST, /* it could not be given back: who takes it next waits for the fence */
    LOCK_END_TIMEOUT,
    LOCK_END_DONE, /* `once`: it was done before */
    LOCK_END_ERROR,
};

struct lock_client_ops {
    /* holder: who has it as its record says; NULL: not known, or a client of this sidecar. */
    void (*waiting)(void *arg, unsigned position, const struct lock_record *holder);
    void (*granted)(void *arg, const struct lock_token *token, int64_t valid_until_ms);
    void (*valid)(void *arg, int64_t valid_until_ms);
    void (*lost)(void *arg, const char *why, int64_t valid_until_ms);
    void (*ended)(void *arg, enum lock_end end, uint32_t exit_status, const struct error *err);
};

struct lock_request {
    const char *name, *purpose;
    int64_t deadline_ms; /* CLOCK_NEVER: wait for ever */
    bool once;           /* not when it is marked as done */
};

struct locks_options {
    struct event_base *base;
    const struct place *place;
    struct work_pool *calls, *names, *proofs; /* names: for namespace operations */
    int64_t fence_ms, proof_interval_ms;
    unsigned max;                                              /* locks at once */
    const char *zone;                                          /* of this task, for people */
    void (*released)(void *arg, const char *name, uint64_t n); /* tell the peers */
    void (*holding)(void *arg, bool any);                      /* the first one, the last one */
    void *arg;
};

/* What is known of a lock that somebody here has or wants. */
struct lock_view {
    const char *name, *state;
    const struct lock_record *holder; /* the last that was read; NULL: none */
    bool held;                        /* by a client of this sidecar */
    int64_t held_ms, valid_until_ms;
    unsigned waiters;
};

struct lock_counts {
    unsigned held, waiting, names;
    uint64_t granted, lost, fence_waits; /* since start */
};

struct locks;
struct lock_hold;

/* Tell all that is wrong with the settings of locks. */
void locks_check(const struct settings *settings, struct config_report *report);

int locks_new(const struct locks_options *options, struct locks **ret_locks);
void locks_free(struct locks *locks); /* NULL is fine */

void locks_set_ready(struct locks *locks, uint64_t generation, bool on_nfs);

/* begins: the sidecar has just been started, and nothing speaks against it so far: requests wait
 * until they can be served, or until it turns out that they cannot. Later they are refused. */
void locks_set_unready(struct locks *locks, const char *why, bool begins);

/* -EINVAL (name), -EDQUOT (a budget is used up), -EAGAIN (not ready; err says why), -ESHUTDOWN. */
int locks_request(struct locks *locks, const struct lock_request *request,
                  const struct lock_client_ops *ops, void *arg, struct lock_hold **ret_hold,
                  struct error *err);
uint64_t lock_hold_id(const struct lock_hold *hold);
void *lock_hold_arg(const struct lock_hold *hold);        /* NULL: it was abandoned */
bool lock_hold_is_released(const struct lock_hold *hold); /* ended() comes */
bool lock_hold_is_lost(const struct lock_hold *hold);     /* for good: ended() comes with release */
struct lock_hold *locks_find_hold(struct locks *locks, uint64_t id);

/* done: nobody has to do it again, and exit_status is what the others are told. */
void lock_hold_release(struct lock_hold *hold, bool done, uint32_t exit_status);
void lock_hold_abandon(struct lock_hold *hold);

/*
 * A publish under a lock. The hold that has it by this token, or NULL. From begin to end its
 * outcome is unknown: a release until then leaves the record unclean, so that who takes the lock
 * next, here or elsewhere, waits and cleans the stage before it is granted.
 */
struct lock_hold *locks_find_token(struct locks *locks, const char *name,
                                   const struct lock_token *token);
const char *lock_hold_name(const struct lock_hold *hold);
const struct lock_token *lock_hold_token(const struct lock_hold *hold);
bool lock_hold_is_usable(const struct lock_hold *hold); /* it is held, and not given back */
int64_t lock_hold_valid_until_ms(const struct lock_hold *hold);
void lock_hold_publish_begin(struct lock_hold *hold);
void lock_hold_publish_end(struct lock_hold *hold);

/* A peer gave it back. */
void locks_wake(struct locks *locks, const char *name);

/* The i-th; false: there are fewer. */
bool locks_view(const struct locks *locks, size_t i, struct lock_view *ret_view);
void locks_count(const struct locks *locks, struct lock_counts *ret_counts);

/* What the file of a lock says, whoever has it. */
struct lock_sight {
    bool taken;      /* somebody has it locked just now */
    bool has_record; /* else it was never granted */
    struct lock_record record;
};
typedef void (*lock_looked_fn)(void *arg, int r, const struct lock_sight *sight,
                               const struct error *err);

/* On 0 looked() is called once, later; sight is NULL after -ETIMEDOUT. -EINVAL, -EDQUOT. */
int locks_look(struct locks *locks, const char *name, lock_looked_fn looked, void *arg,
               struct error *err);

void locks_stop(struct locks *locks);
bool locks_are_free(const struct locks *locks);

#endif
