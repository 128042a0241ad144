/* What is held of claims.h: how claims end, how they are lost, and what is due when. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/test_hook.h"
#include "sidecar/claim.h"
#include "sidecar/promise.h"

enum {
    CALLS_MAX = 16,      /* of ours in the queue of namespace operations */
    AGAIN_MS = 5 * 1000, /* what could not be given back */
    FULL_PAUSE_MS = 50,
};

bool claims_is_valid(const struct claims *claims, int64_t now_ms)
{
    return claims->own && now_ms < promise_lost_ms(claims->proven_ms, claims->options.fence_ms);
}

bool claims_holds(const struct claims *claims, const struct claim_queue *queue,
                  const struct claim_candidate *candidate)
{
    const struct claim *claim;
    const char *name = claim_candidate_name(candidate);
    TAILQ_FOREACH(claim, &claims->held, link)
    {
        if (claim->queue == queue && claim->part.attempts == candidate->attempts &&
            strcmp(claim->name, name) == 0)
            return true;
    }
    return false;
}

/* ---- ends ---- */

void claims_end_claimer(struct claimer *claimer, enum claimer_end end, const struct error *err)
{
    TAILQ_REMOVE(&claimer->queue->claimers, claimer, link);
    claimer->claims->counts.claimers--;
    claimer->ops->ended(claimer->arg, end, err);
    free(claimer);
}

/* The claimer, if there is one, has nothing to do with this claim any more. */
void claims_leave(struct claim *claim)
{
    struct claimer *claimer = claim->claimer;
    claim->claimer = NULL;
    if (!claimer)
        return;
    claimer->out--;
    claimer->idle_ms = clock_now_ms();
    claimer->looked = false;
}

static void drop(struct claim *claim)
{
    struct claims *claims = claim->queue->claims;
    claims_leave(claim);
    TAILQ_REMOVE(&claims->held, claim, link);
    claim->queue->n_claims--;
    claims->counts.held--;
    free(claim);
}

static void answer(struct claim *claim, int r, enum claim_fate fate, const struct error *err)
{
    claim_finished_fn finished = claim->finished;
    claim->finished = NULL;
    if (finished)
        finished(claim->arg, r, fate, err);
}

static void count_end(struct claim *claim, enum claim_fate fate)
{
    struct claims *claims = claim->queue->claims;
    claims->counts.done += fate == CLAIM_IS_DONE;
    claims->counts.failed += claim->word == CLAIM_FAILED;
    claims->counts.dead += fate == CLAIM_IS_DEAD;
    if (fate == CLAIM_IS_DEAD)
        claims->options.died(claims->options.arg, claim->queue->dir, claim->name,
                             claim->part.attempts + 1);
}

void claims_finished(struct claim *claim, int r, enum claim_fate fate, const struct error *err)
{
    claim->in_flight = false;
    answer(claim, r, fate, err);
    if (r < 0 && r != -ESTALE) { /* it is still there */
        claim->next_ms = clock_now_ms() + AGAIN_MS;
        return;
    }
    if (r == 0)
        count_end(claim, fate);
    if (fate != CLAIM_IS_DONE || claim->queue->skipped)
        claim->queue->list_ms = 0;
    drop(claim);
}

/* They are kept until what works on them is gone for sure. */
void claims_abandon(struct claimer *claimer)
{
    struct claim *claim;
    TAILQ_FOREACH(claim, &claimer->claims->held, link)
    {
        if (claim->claimer == claimer)
            claim->claimer = NULL;
    }
    claimer->out = 0;
}

void claims_tell_lost(struct claims *claims, const struct error *err)
{
    struct claim_queue *queue;
    LIST_FOREACH(queue, &claims->queues, link)
    {
        struct claimer *claimer = TAILQ_FIRST(&queue->claimers);
        for (struct claimer *next; claimer; claimer = next) {
            next = TAILQ_NEXT(claimer, link);
            if (claimer->out == 0)
                continue;
            claims_abandon(claimer);
            claims_end_claimer(claimer, CLAIMER_LOST, err);
        }
    }
}

/* The others give back what lies in the directory of the member that was. */
void claims_drop_all(struct claims *claims, const struct error *err)
{
    struct claim *claim = TAILQ_FIRST(&claims->held);
    for (struct claim *next; claim; claim = next) {
        next = TAILQ_NEXT(claim, link);
        if (claim->in_flight)
            continue; /* its end comes */
        answer(claim, -EIO, CLAIM_IS_RETURNED, err);
        drop(claim);
    }
}

/* ---- time ---- */

/* Of a claim that was abandoned: what worked on it is gone by then. */
static int64_t kept_until_ms(const struct claim *claim)
{
    return test_hook_omits("keep_after_close") ? 0 : claim->valid_until_ms + PROMISE_MARGIN_MS;
}

static void step_claims(struct claims *claims, int64_t now_ms)
{
    struct claim *claim = TAILQ_FIRST(&claims->held);
    for (struct claim *next; claim; claim = next) {
        next = TAILQ_NEXT(claim, link);
        if (!claim->claimer && !claim->ending && now_ms >= kept_until_ms(claim)) {
            claim->ending = true;
            claim->word = CLAIM_FAILED;
        }
        if (!claim->ending || claim->in_flight || now_ms < claim->next_ms ||
            claims->n_calls >= CALLS_MAX)
            continue;
        claim->in_flight = claim_call_finish(claims, claim) == 0;
        if (!claim->in_flight)
            claim->next_ms = now_ms + FULL_PAUSE_MS;
    }
}

static bool is_used(const struct claims *claims, uint64_t k)
{
    const struct claim *claim;
    TAILQ_FOREACH(claim, &claims->held, link)
    {
        if (claim->part.k == k)
            return true;
    }
    return false;
}

static void step_retired(struct claims *claims, int64_t now_ms)
{
    struct claim_retired *retired;
    LIST_FOREACH(retired, &claims->retired, link)
    {
        if (now_ms >= retired->next_ms && claims->own && !is_used(claims, retired->k)) {
            int r = claim_call_clean(claims, retired);
            retired->next_ms = r == 0 ? CLOCK_NEVER : now_ms + FULL_PAUSE_MS;
        }
    }
}

/* Nothing of it stays behind. */
static void step_close(struct claims *claims, int64_t now_ms)
{
    if (!claims->stopping || claims->closed || claims->closing || claims->n_calls > 0 ||
        !TAILQ_EMPTY(&claims->held) || now_ms < claims->close_ms)
        return;
    claims->closed = !claims->own || claims->own->fd < 0;
    if (claims->closed)
        return;
    claims->closing = claim_call_close(claims) == 0;
    if (!claims->closing)
        claims->close_ms = now_ms + FULL_PAUSE_MS;
}

static bool any_out(const struct claims *claims)
{
    const struct claim *claim;
    TAILQ_FOREACH(claim, &claims->held, link)
    {
        if (claim->claimer)
            return true;
    }
    return false;
}

static void check_age(struct claims *claims, int64_t now_ms)
{
    struct error err;
    if (claims_is_valid(claims, now_ms) || !any_out(claims))
        return;
    error_set(&err, EIO,
              "the mount does not answer: that this task has a slot on the board cannot "
              "be proven any more");
    claims_tell_lost(claims, &err);
}

static void say_holding(struct claims *claims)
{
    bool holding = !TAILQ_EMPTY(&claims->held) || claims->wants_proof;
    if (holding == claims->holding)
        return;
    claims->holding = holding;
    claims->options.holding(claims->options.arg, holding);
}

static int64_t claim_due_ms(const struct claims *claims, const struct claim *claim)
{
    if (claim->in_flight)
        return CLOCK_NEVER;
    if (claim->ending) /* a full queue is tried again when a call has ended */
        return claims->n_calls >= CALLS_MAX ? CLOCK_NEVER : claim->next_ms;
    if (!claim->claimer)
        return kept_until_ms(claim);
    return promise_lost_ms(claims->proven_ms, claims->options.fence_ms);
}

static void arm(struct claims *claims)
{
    int64_t due_ms = CLOCK_NEVER;
    const struct claim *claim;
    const struct claim_queue *queue;
    const struct claim_retired *retired;
    TAILQ_FOREACH(claim, &claims->held, link)
    {
        due_ms = clock_sooner(due_ms, claim_due_ms(claims, claim));
    }
    LIST_FOREACH(queue, &claims->queues, link)
    {
        due_ms = clock_sooner(due_ms, claim_queue_due_ms(queue));
    }
    LIST_FOREACH(retired, &claims->retired, link)
    {
        if (claims->own && !is_used(claims, retired->k))
            due_ms = clock_sooner(due_ms, retired->next_ms);
    }
    if (claims->stopping && !claims->closed && !claims->closing)
        due_ms = clock_sooner(due_ms, clock_now_ms() + FULL_PAUSE_MS);
    if (due_ms == CLOCK_NEVER) {
        event_del(claims->timer);
        return;
    }
    int64_t wait_ms = due_ms - clock_now_ms();
    if (wait_ms < 1)
        wait_ms = 1;
    event_add(claims->timer,
              &(struct timeval){.tv_sec = wait_ms / 1000, .tv_usec = wait_ms % 1000 * 1000});
}

void claims_step(struct claims *claims)
{
    int64_t now_ms = clock_now_ms();
    check_age(claims, now_ms);
    step_claims(claims, now_ms);
    claims->wants_proof = false;
    struct claim_queue *queue = LIST_FIRST(&claims->queues);
    for (struct claim_queue *next; queue; queue = next) {
        next = LIST_NEXT(queue, link);
        claim_queue_step(queue, now_ms);
    }
    step_retired(claims, now_ms);
    step_close(claims, now_ms);
    say_holding(claims);
    arm(claims);
}
