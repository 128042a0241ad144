/*
 * claim: the parts of claims.h: queues, claimers, claims. For claim_queue.c, claim_calls.c,
 * claim_held.c and claims.c only.
 *
 * A queue is a directory and a pattern. It lists what is there when somebody wants something and
 * nothing is known any more, and takes as many as are wanted, one call at a time:
 *
 *     (nothing known) -> listing -> (window) -> proof of the slot, if old -> taking -> claims
 *
 * A claim is held by a claimer, then by nobody (abandoned) until what worked on it is gone, and is
 * finished by a call that is tried until it succeeds.
 *
 * Threads: the loop's.
 */
#ifndef SIDECAR_CLAIM_H
#define SIDECAR_CLAIM_H

#include <limits.h>
#include <sys/queue.h>

#include "lib/backoff.h"
#include "sidecar/claim_list.h"
#include "sidecar/claims.h"

enum { CLAIM_TAKE_MAX = 32 }; /* in one call */

/* This member's directory of claims, shared by the calls that use it. */
struct claim_own {
    unsigned refs;
    struct owner owner;
    int fd; /* -1: not made yet; calls, of which one at a time is under way, make it */
};

struct claimer {
    TAILQ_ENTRY(claimer) link;
    struct claims *claims;
    struct claim_queue *queue;
    const struct claim_client_ops *ops;
    void *arg;
    unsigned batch, limit, max_attempts;
    unsigned out, had; /* claims now, and so far */
    int64_t wait_ms;
    int64_t idle_ms; /* with nothing since then */
    int64_t told_ms; /* valid_until_ms as it was told last */
    bool looked;     /* since then: there was nothing */
    bool told_waiting;
};
TAILQ_HEAD(claimer_list, claimer);

struct claim {
    TAILQ_ENTRY(claim) link;
    struct claim_queue *queue;
    struct claimer *claimer; /* NULL: abandoned */
    struct claim_part part;
    unsigned max_attempts;
    uint64_t id;
    int64_t since_ms, valid_until_ms; /* as its claimer was told */
    bool ending, in_flight;
    enum claim_word word;
    int64_t next_ms;            /* ending: not before */
    claim_finished_fn finished; /* NULL: nobody waits for it */
    void *arg;
    char name[NAME_MAX + 1];
};
TAILQ_HEAD(claim_list_head, claim);

struct claim_queue {
    LIST_ENTRY(claim_queue) link;
    struct claims *claims;
    struct claimer_list claimers;
    unsigned n_claims;
    bool busy; /* a call of it is under way: listing is the worker's */
    struct claim_listing listing;
    bool contended;
    bool skipped;     /* files with the name of one that is claimed here */
    uint64_t k;       /* of this epoch; 0: none yet */
    int64_t list_ms;  /* not before */
    int64_t pause_ms; /* nothing before: something failed */
    int64_t used_ms;
    struct backoff backoff;
    char *dir, *match;
};

/* A queue number that is used no more: what is left under it is given back. */
struct claim_retired {
    LIST_ENTRY(claim_retired) link;
    uint64_t k;
    int64_t next_ms;
};

struct claims {
    struct claims_options options;
    struct claim_own *own; /* NULL: not ready */
    char why[160];         /* not ready */
    bool begins, draining, stopping, closed, closing;
    bool holding, wants_proof;
    int64_t proven_ms;
    uint64_t last_k;
    unsigned n_queues, n_calls;
    int64_t close_ms; /* not before */
    LIST_HEAD(claim_queue_list, claim_queue) queues;
    LIST_HEAD(claim_retired_list, claim_retired) retired;
    struct claim_list_head held;
    struct claim_counts counts;
    struct event *timer;
    char path[PATH_MAX]; /* of the last view */
};

/* claim_queue.c */
int claim_queue_find(struct claims *claims, const char *dir, const char *match,
                     struct claim_queue **ret_queue);
void claim_queue_free(struct claim_queue *queue);
void claim_queue_step(struct claim_queue *queue, int64_t now_ms);
int64_t claim_queue_due_ms(const struct claim_queue *queue);
void claim_queue_retire(struct claim_queue *queue); /* its number */

/* What follows from the end of a call. */
void claim_queue_listed(struct claim_queue *queue, const struct error *err);
void claim_queue_took(struct claim_queue *queue, const struct claim_candidate *candidate);
void claim_queue_failed(struct claim_queue *queue, const struct error *err); /* NULL: heals */

/* claims.c */
void claims_view_of(const struct claim *claim, struct claim_view *ret_view);

/* claim_held.c */
bool claims_is_valid(const struct claims *claims, int64_t now_ms); /* and can be said so */
bool claims_holds(const struct claims *claims, const struct claim_queue *queue,
                  const struct claim_candidate *candidate);
void claims_end_claimer(struct claimer *claimer, enum claimer_end end, const struct error *err);
void claims_leave(struct claim *claim);       /* its claimer has nothing to do with it any more */
void claims_abandon(struct claimer *claimer); /* all of them: kept until nobody works on them */
void claims_tell_lost(struct claims *claims, const struct error *err);
void claims_drop_all(struct claims *claims, const struct error *err);
void claims_finished(struct claim *claim, int r, enum claim_fate fate, const struct error *err);

/* claim_calls.c: start a call. 0, or -errno: try again later. */
int claim_call_list(struct claim_queue *queue);
int claim_call_take(struct claim_queue *queue, struct claim_candidate *const candidates[],
                    unsigned n); /* which belong to the call then */
int claim_call_finish(struct claims *claims, struct claim *claim);
int claim_call_clean(struct claims *claims, struct claim_retired *retired);
int claim_call_close(struct claims *claims);
void claim_own_unref(struct claim_own *own);

#endif
