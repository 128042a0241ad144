#include "sidecar/claims.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/fs.h"
#include "lib/glob.h"
#include "lib/share/layout.h"
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
static void leave_claimer(struct claim *claim)
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
    leave_claimer(claim);
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
static void abandon_claims(struct claimer *claimer)
{
    struct claim *claim;
    TAILQ_FOREACH(claim, &claimer->claims->held, link)
    {
        if (claim->claimer == claimer)
            claim->claimer = NULL;
    }
    claimer->out = 0;
}

static void tell_lost(struct claims *claims, const struct error *err)
{
    struct claim_queue *queue;
    LIST_FOREACH(queue, &claims->queues, link)
    {
        struct claimer *claimer = TAILQ_FIRST(&queue->claimers);
        for (struct claimer *next; claimer; claimer = next) {
            next = TAILQ_NEXT(claimer, link);
            if (claimer->out == 0)
                continue;
            abandon_claims(claimer);
            claims_end_claimer(claimer, CLAIMER_LOST, err);
        }
    }
}

/* The others give back what lies in the directory of the member that was. */
static void drop_all(struct claims *claims, const struct error *err)
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
    tell_lost(claims, &err);
}

static void say_holding(struct claims *claims)
{
    bool holding = !TAILQ_EMPTY(&claims->held) || claims->wants_proof;
    if (holding == claims->holding)
        return;
    claims->holding = holding;
    claims->options.holding(claims->options.arg, holding);
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
    claims_arm(claims);
}

static int64_t sooner(int64_t a_ms, int64_t b_ms)
{
    return a_ms < b_ms ? a_ms : b_ms;
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

void claims_arm(struct claims *claims)
{
    int64_t due_ms = CLOCK_NEVER;
    const struct claim *claim;
    const struct claim_queue *queue;
    const struct claim_retired *retired;
    TAILQ_FOREACH(claim, &claims->held, link)
    {
        due_ms = sooner(due_ms, claim_due_ms(claims, claim));
    }
    LIST_FOREACH(queue, &claims->queues, link)
    {
        due_ms = sooner(due_ms, claim_queue_due_ms(queue));
    }
    LIST_FOREACH(retired, &claims->retired, link)
    {
        if (claims->own && !is_used(claims, retired->k))
            due_ms = sooner(due_ms, retired->next_ms);
    }
    if (claims->stopping && !claims->closed && !claims->closing)
        due_ms = sooner(due_ms, clock_now_ms() + FULL_PAUSE_MS);
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

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    claims_step(arg);
}

static void step_soon(struct claims *claims)
{
    event_active(claims->timer, EV_TIMEOUT, 0);
}

/* ---- requests ---- */

static int check_request(const struct claims *claims, const struct claim_request *request,
                         struct error *err)
{
    const char *why;
    if (strcmp(request->queue, ".") != 0 && fs_check_relative(request->queue) < 0)
        return error_set(err, EINVAL,
                         "\"%.128s\" is no directory beneath %s: it has to be relative, without "
                         "\"..\" and empty parts",
                         request->queue, claims->options.place->path);
    if (*request->match && glob_check(request->match, &why) < 0)
        return error_set(err, EINVAL, "match: the pattern %s", why);
    if (request->batch < 1 || request->batch > CLAIMS_BATCH_MAX)
        return error_set(err, EINVAL, "batch: a client can have 1 to %d files at once",
                         CLAIMS_BATCH_MAX);
    if (claims->stopping || claims->draining)
        return error_set(err, ESHUTDOWN, "the task is stopping: nothing new is claimed");
    if (!claims->own)
        return error_set(err, EAGAIN, "%s", claims->why);
    if (claims->counts.claimers >= CLAIMS_CLAIMERS_MAX)
        return error_set(err, EDQUOT, "%d clients claim files in this task, the most that can",
                         CLAIMS_CLAIMERS_MAX);
    return 0;
}

int claims_request(struct claims *claims, const struct claim_request *request,
                   const struct claim_client_ops *ops, void *arg, struct claimer **ret_claimer,
                   struct error *err)
{
    struct claim_queue *queue;
    int r = check_request(claims, request, err);
    if (r < 0)
        return r;
    struct claimer *claimer = calloc(1, sizeof(*claimer));
    r = claimer ? claim_queue_find(claims, request->queue, request->match, &queue) : -ENOMEM;
    if (r < 0) {
        free(claimer);
        return r == -EDQUOT ? error_set(err, EDQUOT,
                                        "files of %d directories are claimed in this task, the "
                                        "most that can",
                                        CLAIMS_QUEUES_MAX)
                            : error_set(err, ENOMEM, "there is no memory for a claim");
    }
    *claimer = (struct claimer){
        .claims = claims,
        .queue = queue,
        .ops = ops,
        .arg = arg,
        .batch = request->batch,
        .limit = request->limit,
        .wait_ms = request->wait_ms,
        .idle_ms = clock_now_ms(),
        .max_attempts = request->max_attempts
                            ? request->max_attempts
                            : (unsigned)claims->options.place->settings->claim_max_attempts,
    };
    TAILQ_INSERT_TAIL(&queue->claimers, claimer, link);
    claims->counts.claimers++;
    *ret_claimer = claimer;
    step_soon(claims); /* the caller knows the claimer before it hears of it */
    return 0;
}

void claimer_abandon(struct claimer *claimer)
{
    struct claims *claims = claimer->claims;
    abandon_claims(claimer);
    TAILQ_REMOVE(&claimer->queue->claimers, claimer, link);
    claims->counts.claimers--;
    free(claimer);
    step_soon(claims);
}

int claims_finish(struct claims *claims, uint64_t id, enum claim_word word,
                  claim_finished_fn finished, void *arg, struct error *err)
{
    struct claim *claim;
    TAILQ_FOREACH(claim, &claims->held, link)
    {
        if (claim->id == id)
            break;
    }
    if (!claim)
        return error_set(err, ENOENT, "nobody holds that claim any more");
    if (claim->finished)
        return error_set(err, EALREADY, "that claim is being ended already");
    claim->finished = finished;
    claim->arg = arg;
    if (!claim->ending) {
        claim->ending = true;
        claim->word = word;
        leave_claimer(claim);
    }
    step_soon(claims);
    return 0;
}

/* ---- what happens to the slot ---- */

bool claims_are_ready_as(const struct claims *claims, const struct owner *owner)
{
    return claims->own && owner_equal(&claims->own->owner, owner);
}

void claims_set_ready(struct claims *claims, const struct owner *owner)
{
    struct claim_own *own = calloc(1, sizeof(*own));
    if (!own)
        return;
    *own = (struct claim_own){.refs = 1, .owner = *owner, .fd = -1};
    claim_own_unref(claims->own);
    claims->own = own;
    step_soon(claims);
}

void claims_set_unready(struct claims *claims, const char *why)
{
    struct error err;
    struct claim_queue *queue;
    snprintf(claims->why, sizeof(claims->why), "%s", why);
    if (!claims->own)
        return;
    error_set(&err, EIO, "%s", why);
    tell_lost(claims, &err);
    drop_all(claims, &err);
    LIST_FOREACH(queue, &claims->queues, link)
    {
        queue->k = 0;
    }
    for (struct claim_retired *retired; (retired = LIST_FIRST(&claims->retired));) {
        LIST_REMOVE(retired, link);
        free(retired);
    }
    claim_own_unref(claims->own);
    claims->own = NULL;
    claims_step(claims);
}

void claims_proven(struct claims *claims, int64_t sent_ms)
{
    struct claim *claim;
    struct claim_queue *queue;
    struct claimer *claimer;
    if (sent_ms <= claims->proven_ms)
        return;
    claims->proven_ms = sent_ms;
    int64_t until_ms = promise_valid_until_ms(sent_ms, claims->options.fence_ms);
    TAILQ_FOREACH(claim, &claims->held, link)
    {
        if (claim->claimer)
            claim->valid_until_ms = until_ms;
    }
    LIST_FOREACH(queue, &claims->queues, link)
    {
        TAILQ_FOREACH(claimer, &queue->claimers, link)
        {
            if (claimer->out > 0)
                claimer->ops->valid(claimer->arg, until_ms);
        }
    }
    claims_step(claims);
}

/* Can it be an item of this directory? */
static bool is_in(const char *path, const char *dir)
{
    size_t n = strcmp(dir, ".") == 0 ? 0 : strlen(dir);
    if (*path == '\0')
        return true;
    if (n > 0 && (strncmp(path, dir, n) != 0 || path[n++] != '/'))
        return false;
    return path[n] != '.' && !strchr(path + n, '/');
}

void claims_changed(struct claims *claims, const char *path)
{
    struct claim_queue *queue;
    LIST_FOREACH(queue, &claims->queues, link)
    {
        if (!is_in(path, queue->dir))
            continue;
        backoff_reset(&queue->backoff);
        queue->list_ms = 0;
        step_soon(claims);
    }
}

/* ---- what is known ---- */

void claims_view_of(const struct claim *claim, struct claim_view *ret_view)
{
    struct claims *claims = claim->queue->claims;
    const struct settings *settings = claims->options.place->settings;
    char own[CLAIM_DIR_TEXT] = "", part[CLAIM_DIR_TEXT];
    if (claims->own)
        claim_file_owner_name(&claims->own->owner, own);
    snprintf(claims->path, sizeof(claims->path), "%s/%s/" LAYOUT_CLAIMS "/%s/%s/%s",
             settings->tasks_dir, settings->task_name, own,
             claim_file_part_name(&claim->part, part), claim->name);
    *ret_view = (struct claim_view){
        .id = claim->id,
        .path = claims->path,
        .name = claim->name,
        .queue = claim->queue->dir,
        .attempts = claim->part.attempts,
        .held_ms = clock_now_ms() - claim->since_ms,
        .valid_until_ms = claim->valid_until_ms,
        .abandoned = !claim->claimer,
    };
}

bool claims_view(const struct claims *claims, size_t i, struct claim_view *ret_view)
{
    const struct claim *claim;
    TAILQ_FOREACH(claim, &claims->held, link)
    {
        if (i-- > 0)
            continue;
        claims_view_of(claim, ret_view);
        return true;
    }
    return false;
}

void claims_count(const struct claims *claims, struct claim_counts *ret_counts)
{
    *ret_counts = claims->counts;
    ret_counts->draining = claims->draining;
}

/* ---- the whole ---- */

int claims_new(const struct claims_options *options, struct claims **ret_claims)
{
    struct claims *claims = calloc(1, sizeof(*claims));
    if (!claims)
        return -ENOMEM;
    claims->options = *options;
    LIST_INIT(&claims->queues);
    LIST_INIT(&claims->retired);
    TAILQ_INIT(&claims->held);
    claims_set_unready(claims, "claims are not ready yet");
    claims->timer = evtimer_new(options->base, on_timer, claims);
    if (!claims->timer) {
        free(claims);
        return -ENOMEM;
    }
    *ret_claims = claims;
    return 0;
}

void claims_free(struct claims *claims)
{
    if (!claims)
        return;
    for (struct claim *claim; (claim = TAILQ_FIRST(&claims->held));) {
        answer(claim, -ESHUTDOWN, CLAIM_IS_RETURNED, NULL);
        drop(claim);
    }
    for (struct claim_queue *queue; (queue = LIST_FIRST(&claims->queues));) {
        for (struct claimer *claimer; (claimer = TAILQ_FIRST(&queue->claimers));)
            claims_end_claimer(claimer, CLAIMER_ERROR, NULL);
        claim_queue_free(queue);
    }
    for (struct claim_retired *retired; (retired = LIST_FIRST(&claims->retired));) {
        LIST_REMOVE(retired, link);
        free(retired);
    }
    claim_own_unref(claims->own);
    event_free(claims->timer);
    free(claims);
}

void claims_drain(struct claims *claims)
{
    struct claim_queue *queue;
    struct claimer *claimer;
    if (claims->draining)
        return;
    claims->draining = true;
    LIST_FOREACH(queue, &claims->queues, link)
    {
        TAILQ_FOREACH(claimer, &queue->claimers, link)
        {
            claimer->ops->draining(claimer->arg);
        }
    }
    claims_step(claims);
}

void claims_stop(struct claims *claims)
{
    claims->stopping = true;
    claims_drain(claims);
    claims_step(claims);
}

bool claims_are_free(const struct claims *claims)
{
    return claims->closed && claims->counts.claimers == 0;
}
