/*
 * claims: files of the queues of one mount that clients of this sidecar work on, each by one at a
 * time in the whole fleet (docs/protocols/claims.md).
 *
 *     claims_new(&(struct claims_options){...}, &claims);
 *     claims_set_ready(claims, &owner);            // a slot of the board is held
 *     claims_proven(claims, sent_ms);              // and again with each proof of it
 *     r = claims_request(claims, &request, &ops, arg, &claimer, &err);
 *         ops->claimed() for each file, up to request.batch at once; ops->valid() after each proof;
 *         ops->ended() is the last call
 *     r = claims_finish(claims, id, CLAIM_DONE, ended, arg, &err);     // the client's word
 *     claimer_abandon(claimer);        // it left without a word: no more calls of ops
 *     claims_drain(claims);            // the task is to stop: nothing new
 *     claims_stop(claims);  ... until claims_are_free(claims) or the time is up ...
 *     claims_free(claims);             // after its pool was closed
 *
 * What is claimed lies in a directory of this member's epoch and may be worked on until
 * valid_until_ms (clock_now_ms()), which each proof of the slot moves on. When the slot is lost, or
 * cannot be proven in time, all claims are, and their clients hear of it at once: the others give
 * back what lies there after the fence. What a client that just left had is kept until
 * PROMISE_MARGIN_MS after the last valid_until_ms that it was told, and counts as a failure then.
 *
 * Clients that ask for the same files of one directory share what was listed of it, first come
 * first served. Calls to the mount are namespace operations in the pool `names`.
 *
 * Ownership: a claimer ends with ended() or claimer_abandon(). Threads: the loop's; ops may be
 * called from within any function here but claims_request() and claims_finish(), and must not call
 * back.
 */
#ifndef SIDECAR_CLAIMS_H
#define SIDECAR_CLAIMS_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/error.h"
#include "lib/share/owner.h"
#include "lib/work_pool.h"
#include "sidecar/place.h"

enum {
    CLAIMS_BATCH_MAX = 64,
    CLAIMS_CLAIMERS_MAX = 1000, /* of a mount; with each its batch of claims */
    CLAIMS_QUEUES_MAX = 64,
    CLAIMS_ATTEMPTS_MAX = 1000,
};

enum claimer_end {
    CLAIMER_TIMEOUT,
    CLAIMER_FINISHED, /* it had as many as it wanted */
    CLAIMER_DRAINED,
    CLAIMER_LOST, /* err says why: what it had may go on until its last valid_until_ms */
    CLAIMER_ERROR,
};

/* What a client says of a file, and what became of it. */
enum claim_word { CLAIM_DONE, CLAIM_FAILED, CLAIM_RELEASED };
enum claim_fate { CLAIM_IS_DONE, CLAIM_IS_RETURNED, CLAIM_IS_DEAD };

struct claim_view {
    uint64_t id;
    const char *path; /* relative to the mount */
    const char *name, *queue;
    unsigned attempts;
    int64_t held_ms, valid_until_ms;
    bool abandoned; /* by its client */
};

struct claim_client_ops {
    void (*waiting)(void *arg); /* there is nothing to do just now */
    void (*claimed)(void *arg, const struct claim_view *claim);
    void (*valid)(void *arg, int64_t valid_until_ms);
    void (*draining)(void *arg); /* nothing more comes; what it has may be finished */
    void (*ended)(void *arg, enum claimer_end end, const struct error *err);
};

struct claim_request {
    const char *queue;     /* relative to the mount; "." */
    const char *match;     /* a pattern for names; "" */
    unsigned batch;        /* at once */
    unsigned limit;        /* in all; 0: no limit */
    int64_t wait_ms;       /* with nothing to do; -1: for ever */
    unsigned max_attempts; /* 0: as configured */
};

struct claims_options {
    struct event_base *base;
    const struct place *place;
    struct work_pool *names;
    int64_t fence_ms;
    void (*holding)(void *arg, bool any); /* the slot has to be proven often, or need not be */
    void (*died)(void *arg, const char *queue, const char *name, unsigned attempts);
    void *arg;
};

struct claim_counts {
    unsigned held, claimers;
    bool draining;
    uint64_t claimed, done, failed, dead; /* since start */
};

typedef void (*claim_finished_fn)(void *arg, int r, enum claim_fate fate, const struct error *err);

struct claims;
struct claimer;

int claims_new(const struct claims_options *options, struct claims **ret_claims);
void claims_free(struct claims *claims); /* NULL is fine */

void claims_set_ready(struct claims *claims, const struct owner *owner);
void claims_set_unready(struct claims *claims, const char *why, bool begins); /* see locks.h */
bool claims_are_ready_as(const struct claims *claims, const struct owner *owner);
void claims_proven(struct claims *claims, int64_t sent_ms);

/* Something happened to this path; "" for the whole mount. */
void claims_changed(struct claims *claims, const char *path);

/* -EINVAL, -EDQUOT (a budget is used up), -EAGAIN (not ready; err says why), -ESHUTDOWN. */
int claims_request(struct claims *claims, const struct claim_request *request,
                   const struct claim_client_ops *ops, void *arg, struct claimer **ret_claimer,
                   struct error *err);
void claimer_abandon(struct claimer *claimer);

/* On 0 finished() is called once, later, with 0 or what went wrong (it is tried again by itself
 * then, and -EIO: the claim was lost). -ENOENT: nobody holds that claim; -EALREADY. */
int claims_finish(struct claims *claims, uint64_t id, enum claim_word word,
                  claim_finished_fn finished, void *arg, struct error *err);

/* The i-th; false: there are fewer. */
bool claims_view(const struct claims *claims, size_t i, struct claim_view *ret_view);
void claims_count(const struct claims *claims, struct claim_counts *ret_counts);

void claims_drain(struct claims *claims);
void claims_stop(struct claims *claims);
bool claims_are_free(const struct claims *claims);

/* The timer does that; tests that move the clock do it too. */
void claims_step(struct claims *claims);

#endif
