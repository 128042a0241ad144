#include "sidecar/claims.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/fs.h"
#include "lib/glob.h"
#include "lib/share/layout.h"
#include "sidecar/claim.h"
#include "sidecar/promise.h"

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
    if (!claims->own && !claims->begins)
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
    claims_abandon(claimer);
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
        claims_leave(claim);
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
    claims->begins = false;
    step_soon(claims);
}

/* What was waited for since the start does not come. */
static void fail_claimers(struct claims *claims)
{
    struct error err;
    struct claim_queue *queue;
    error_set(&err, EAGAIN, "%s", claims->why);
    LIST_FOREACH(queue, &claims->queues, link)
    {
        claim_queue_failed(queue, &err);
    }
}

void claims_set_unready(struct claims *claims, const char *why, bool begins)
{
    struct error err;
    struct claim_queue *queue;
    bool fails = claims->begins && !begins;
    claims->begins = claims->begins && begins;
    snprintf(claims->why, sizeof(claims->why), "%s", why);
    if (fails)
        fail_claimers(claims);
    if (!claims->own)
        return;
    error_set(&err, EIO, "%s", why);
    claims_tell_lost(claims, &err);
    claims_drop_all(claims, &err);
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
    claims->begins = true;
    claims_set_unready(claims, "claims are not ready yet", true);
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
    struct claim *claim;
    TAILQ_FOREACH(claim, &claims->held, link)
    {
        claim->in_flight = false; /* the pool is closed */
    }
    claims_drop_all(claims, NULL);
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
