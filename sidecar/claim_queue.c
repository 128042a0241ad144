#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "lib/clock.h"
#include "sidecar/claim.h"
#include "sidecar/promise.h"

enum {
    LIST_FIRST_MS = 250, /* again, while nothing is there: the feed shortens it */
    LIST_MOST_MS = 10 * 1000,
    PAUSE_MS = 1000,    /* after a failure */
    FULL_PAUSE_MS = 50, /* after a pool's queue had no place */
    FORGET_MS = 60 * 1000,
    SILENCE_MS = 3000, /* of a mount, after which not even a short wait goes on */
};

/* ---- queues ---- */

int claim_queue_find(struct claims *claims, const char *dir, const char *match,
                     struct claim_queue **ret_queue)
{
    struct claim_queue *queue;
    LIST_FOREACH(queue, &claims->queues, link)
    {
        if (strcmp(queue->dir, dir) == 0 && strcmp(queue->match, match) == 0) {
            *ret_queue = queue;
            return 0;
        }
    }
    if (claims->n_queues >= CLAIMS_QUEUES_MAX)
        return -EDQUOT;
    queue = calloc(1, sizeof(*queue));
    if (queue) {
        queue->dir = strdup(dir);
        queue->match = strdup(match);
    }
    if (!queue || !queue->dir || !queue->match) {
        claim_queue_free(queue);
        return -ENOMEM;
    }
    queue->claims = claims;
    queue->backoff = (struct backoff){.first_ms = LIST_FIRST_MS, .most_ms = LIST_MOST_MS};
    queue->listing.place = claims->options.place;
    queue->listing.queue = queue->dir;
    queue->listing.match = queue->match;
    queue->listing.retry_ms = CLOCK_NEVER;
    TAILQ_INIT(&queue->claimers);
    LIST_INSERT_HEAD(&claims->queues, queue, link);
    claims->n_queues++;
    *ret_queue = queue;
    return 0;
}

void claim_queue_free(struct claim_queue *queue)
{
    if (!queue)
        return;
    if (queue->claims) {
        LIST_REMOVE(queue, link);
        queue->claims->n_queues--;
    }
    claim_window_clear(&queue->listing.window);
    free(queue->dir);
    free(queue->match);
    free(queue);
}

void claim_queue_retire(struct claim_queue *queue)
{
    struct claims *claims = queue->claims;
    struct claim_retired *retired = queue->k ? calloc(1, sizeof(*retired)) : NULL;
    if (!retired)
        return; /* it is done at the end */
    retired->k = queue->k;
    LIST_INSERT_HEAD(&claims->retired, retired, link);
    queue->k = 0;
}

/* ---- what claimers want ---- */

static unsigned wish(const struct claimer *claimer)
{
    unsigned room = claimer->batch - claimer->out;
    if (claimer->limit > 0 && claimer->limit - claimer->had < room)
        room = claimer->limit - claimer->had;
    return room;
}

static unsigned demand(const struct claim_queue *queue)
{
    unsigned n = 0;
    const struct claimer *claimer;
    if (queue->claims->draining)
        return 0;
    TAILQ_FOREACH(claimer, &queue->claimers, link)
    {
        n += wish(claimer);
    }
    return n;
}

static struct claimer *next_claimer(struct claim_queue *queue)
{
    struct claimer *claimer;
    if (queue->claims->draining)
        return NULL;
    TAILQ_FOREACH(claimer, &queue->claimers, link)
    {
        if (wish(claimer) > 0)
            return claimer;
    }
    return NULL;
}

static void note_nothing_there(struct claim_queue *queue)
{
    struct claimer *claimer;
    queue->list_ms = clock_now_ms() + backoff_next_ms(&queue->backoff);
    if (queue->listing.retry_ms < queue->list_ms)
        queue->list_ms = queue->listing.retry_ms;
    TAILQ_FOREACH(claimer, &queue->claimers, link)
    {
        claimer->looked = true;
        if (claimer->out == 0 && !claimer->told_waiting && claimer->wait_ms != 0) {
            claimer->told_waiting = true;
            claimer->ops->waiting(claimer->arg);
        }
    }
}

/* ---- what follows from the ends of calls ---- */

void claim_queue_listed(struct claim_queue *queue, const struct error *err)
{
    struct claim_window *window = &queue->listing.window;
    if (err) {
        claim_window_clear(window);
        claim_queue_failed(queue, err);
        return;
    }
    claim_window_seal(window, queue->contended);
    queue->contended = queue->skipped = false;
    if (window->left == 0)
        note_nothing_there(queue);
}

static uint64_t new_id(void)
{
    uint64_t id = 0;
    while (id == 0)
        if (getrandom(&id, sizeof(id), 0) != (ssize_t)sizeof(id))
            id = 0;
    return id;
}

static void hand_out(struct claim *claim, struct claimer *claimer)
{
    struct claims *claims = claim->queue->claims;
    struct claim_view view;
    claim->claimer = claimer;
    claim->max_attempts = claimer->max_attempts;
    claim->valid_until_ms = claimer->told_ms =
        promise_valid_until_ms(claims->proven_ms, claims->options.fence_ms);
    claimer->out++;
    claimer->had++;
    claimer->told_waiting = false;
    TAILQ_REMOVE(&claim->queue->claimers, claimer, link); /* the others come first next time */
    TAILQ_INSERT_TAIL(&claim->queue->claimers, claimer, link);
    claims->counts.claimed++;
    claims_view_of(claim, &view);
    claimer->ops->claimed(claimer->arg, &view);
}

void claim_queue_took(struct claim_queue *queue, const struct claim_candidate *candidate)
{
    struct claims *claims = queue->claims;
    struct claim *claim = calloc(1, sizeof(*claim));
    if (!claim) { /* it goes back with its number */
        claim_queue_retire(queue);
        return;
    }
    claim->queue = queue;
    claim->part = (struct claim_part){.k = queue->k, .attempts = candidate->attempts};
    claim->id = new_id();
    claim->since_ms = clock_now_ms();
    snprintf(claim->name, sizeof(claim->name), "%s", claim_candidate_name(candidate));
    TAILQ_INSERT_TAIL(&claims->held, claim, link);
    queue->n_claims++;
    claims->counts.held++;
    backoff_reset(&queue->backoff);
    struct claimer *claimer = next_claimer(queue);
    if (claimer && claims_is_valid(claims, claim->since_ms)) {
        hand_out(claim, claimer);
    } else { /* who wanted it has left, or it took too long */
        claim->ending = true;
        claim->word = CLAIM_RELEASED;
    }
}

void claim_queue_failed(struct claim_queue *queue, const struct error *err)
{
    struct claimer *claimer = TAILQ_FIRST(&queue->claimers);
    queue->pause_ms = clock_now_ms() + PAUSE_MS;
    for (struct claimer *next; claimer && err; claimer = next) {
        next = TAILQ_NEXT(claimer, link);
        if (claimer->out == 0)
            claims_end_claimer(claimer, CLAIMER_ERROR, err);
    }
}

/* ---- time ---- */

static void end_claimers(struct claim_queue *queue, int64_t now_ms)
{
    struct error err;
    struct claims *claims = queue->claims;
    struct claimer *claimer = TAILQ_FIRST(&queue->claimers);
    for (struct claimer *next; claimer; claimer = next) {
        next = TAILQ_NEXT(claimer, link);
        if (claimer->out > 0)
            continue;
        bool over = claimer->wait_ms >= 0 && now_ms - claimer->idle_ms >= claimer->wait_ms;
        if (claims->draining) {
            claims_end_claimer(claimer, CLAIMER_DRAINED, NULL);
        } else if (claimer->limit > 0 && claimer->had >= claimer->limit) {
            claims_end_claimer(claimer, CLAIMER_FINISHED, NULL);
        } else if (over && claimer->looked && queue->listing.window.left == 0 && !queue->busy) {
            claims_end_claimer(claimer, CLAIMER_TIMEOUT, NULL);
        } else if (over && now_ms - claimer->idle_ms >= claimer->wait_ms + SILENCE_MS) {
            if (claims->own)
                error_set(&err, ETIMEDOUT, "%s did not answer, so nobody knows what is in %s",
                          claims->options.place->path, queue->dir);
            else
                error_set(&err, EAGAIN, "%s", claims->why);
            claims_end_claimer(claimer, CLAIMER_ERROR, &err);
        }
    }
}

/* Somebody who does not want to wait has not been answered. */
static bool is_urgent(const struct claim_queue *queue)
{
    const struct claimer *claimer;
    TAILQ_FOREACH(claimer, &queue->claimers, link)
    {
        if (!claimer->looked && claimer->out == 0)
            return true;
    }
    return false;
}

static int64_t list_due_ms(const struct claim_queue *queue)
{
    return is_urgent(queue) ? 0 : queue->list_ms;
}

/* Two files of one name cannot lie in one directory: the second one waits, or another task has it.
 */
static int take(struct claim_queue *queue, unsigned wanted)
{
    struct claim_candidate *candidates[CLAIM_TAKE_MAX], *candidate;
    unsigned n = 0;
    while (n < wanted && n < CLAIM_TAKE_MAX &&
           (candidate = claim_window_next(&queue->listing.window))) {
        if (claims_holds(queue->claims, queue, candidate)) {
            claim_candidate_free(candidate);
            queue->skipped = true;
        } else {
            candidates[n++] = candidate;
        }
    }
    int r = n > 0 ? claim_call_take(queue, candidates, n) : 0;
    for (unsigned i = 0; i < n && r < 0; i++)
        claim_candidate_free(candidates[i]);
    if (n == 0)
        note_nothing_there(queue);
    return r;
}

static void step_wanted(struct claim_queue *queue, unsigned wanted, int64_t now_ms)
{
    struct claims *claims = queue->claims;
    int r = 0;
    if (queue->listing.window.left > 0) {
        if (claims_is_valid(claims, now_ms))
            r = take(queue, wanted);
        else
            claims->wants_proof = true; /* claims_proven() goes on from here */
    } else if (now_ms >= list_due_ms(queue)) {
        queue->contended |= queue->listing.window.contended;
        claim_window_clear(&queue->listing.window);
        r = claim_call_list(queue);
    }
    if (r < 0)
        queue->pause_ms = now_ms + FULL_PAUSE_MS;
}

void claim_queue_step(struct claim_queue *queue, int64_t now_ms)
{
    struct claims *claims = queue->claims;
    end_claimers(queue, now_ms);
    if (!TAILQ_EMPTY(&queue->claimers) || queue->n_claims > 0)
        queue->used_ms = now_ms;
    if (queue->busy || now_ms < queue->pause_ms)
        return;
    unsigned wanted = claims->own ? demand(queue) : 0;
    if (wanted > 0) {
        step_wanted(queue, wanted, now_ms);
    } else if (TAILQ_EMPTY(&queue->claimers) && queue->n_claims == 0 &&
               now_ms - queue->used_ms >= FORGET_MS) {
        claim_queue_retire(queue);
        claim_queue_free(queue);
    }
}

int64_t claim_queue_due_ms(const struct claim_queue *queue)
{
    const struct claims *claims = queue->claims;
    const struct claimer *claimer;
    int64_t due_ms = CLOCK_NEVER;
    TAILQ_FOREACH(claimer, &queue->claimers, link)
    {
        int64_t end_ms = claimer->idle_ms + claimer->wait_ms;
        if (claimer->out > 0 || claimer->wait_ms < 0)
            continue;
        if (end_ms <= clock_now_ms()) /* it is told as soon as it is known, or then */
            end_ms += SILENCE_MS;
        due_ms = end_ms < due_ms ? end_ms : due_ms;
    }
    if (queue->busy)
        return due_ms;
    int64_t next_ms = CLOCK_NEVER;
    if (TAILQ_EMPTY(&queue->claimers) && queue->n_claims == 0)
        next_ms = queue->used_ms + FORGET_MS;
    else if (claims->own && demand(queue) > 0)
        next_ms = queue->listing.window.left == 0 ? list_due_ms(queue)
                  : claims->wants_proof           ? CLOCK_NEVER
                                                  : 0;
    if (next_ms < queue->pause_ms)
        next_ms = queue->pause_ms;
    return next_ms < due_ms ? next_ms : due_ms;
}
