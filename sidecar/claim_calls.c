/* The calls of claim.h: what a worker does with the files of a queue, and how its end goes on. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/share/layout.h"
#include "lib/test_hook.h"
#include "sidecar/claim.h"
#include "sidecar/claim_return.h"

enum { CLEAN_AGAIN_MS = 30 * 1000 };

struct claim_call;

/* What a worker does, and how its end goes on in the loop. */
struct call_kind {
    struct job job;
    void (*ended)(struct claim_call *call, int result);
};

/* A worker reads and writes only this, the listing of its queue and the descriptor of own. */
struct claim_call {
    const struct call_kind *kind;
    struct claims *claims;
    struct claim_own *own;
    const struct place *place;
    struct claim_queue *queue; /* listing and taking */
    struct claim *claim;       /* finishing */
    struct claim_retired *retired;
    const char *dir; /* the queue's */
    bool new_k;      /* taking: it has to be written down first */
    bool own_gone;   /* the directory of claims is not there any more */
    struct claim_part part;
    unsigned n, max_attempts;
    struct claim_candidate *candidates[CLAIM_TAKE_MAX]; /* taking */
    int results[CLAIM_TAKE_MAX];                        /* 0: it is ours */
    enum claim_word word;
    enum claim_fate fate;
    char name[NAME_MAX + 1];
    struct error err;
};

void claim_own_unref(struct claim_own *own)
{
    if (!own || --own->refs > 0)
        return;
    if (own->fd >= 0)
        close(own->fd); /* O_PATH: nobody is asked */
    free(own);
}

static void release_call(void *arg)
{
    struct claim_call *call = arg;
    for (unsigned i = 0; i < call->n; i++)
        claim_candidate_free(call->candidates[i]);
    claim_own_unref(call->own);
    free(call);
}

/* Else the slot was lost meanwhile. */
static bool is_current(const struct claim_call *call)
{
    return call->own == call->claims->own;
}

static void call_done(void *arg, enum work_outcome outcome, int result)
{
    struct claim_call *call = arg;
    call->claims->n_calls--;
    if (outcome != WORK_DONE)
        return;
    call->kind->ended(call, result);
    claims_step(call->claims);
}

#define JOB(words, run_it)                                                                         \
    {                                                                                              \
        .what = (words), .namespace_op = true, .run = (run_it), .done = call_done,                 \
        .release = release_call                                                                    \
    }

/* Calls have no deadline: while one does not come back nothing else is begun, and what it did is
 * seen when it does. */
static int submit(struct claims *claims, const struct call_kind *kind, struct claim_call *call)
{
    call->kind = kind;
    call->claims = claims;
    call->own = claims->own;
    call->place = claims->options.place;
    int r = work_pool_submit(claims->options.names, &kind->job, call, CLOCK_NEVER);
    if (r < 0) {
        free(call);
        return r;
    }
    if (call->own)
        call->own->refs++;
    claims->n_calls++;
    return 0;
}

/* ---- listing ---- */

static int list_run(void *arg)
{
    struct claim_call *call = arg;
    return claim_list(&call->queue->listing, &call->err);
}

static void list_ended(struct claim_call *call, int result)
{
    call->queue->busy = false;
    claim_queue_listed(call->queue, result < 0 ? &call->err : NULL);
}

static const struct call_kind list_kind = {JOB("listing a queue", list_run), list_ended};

int claim_call_list(struct claim_queue *queue)
{
    struct claim_call *call = calloc(1, sizeof(*call));
    if (!call)
        return -ENOMEM;
    call->queue = queue;
    int r = submit(queue->claims, &list_kind, call);
    queue->busy = r == 0;
    return r;
}

/* ---- taking ---- */

static int prepare(struct claim_call *call)
{
    int r = 0;
    if (call->own->fd < 0)
        r = claim_file_make_own(call->place, &call->own->owner, &call->own->fd, &call->err);
    if (r == 0 && call->new_k)
        r = claim_file_make_queue(call->place, call->own->fd, call->part.k, call->dir, &call->err);
    call->own_gone = call->own->fd >= 0 && (r == -ENOENT || r == -ESTALE);
    return r;
}

/* The directory beneath .retry that it was in. */
static void remove_unique(int queue_fd, const char *path)
{
    char dir[CLAIM_DIR_TEXT + 16];
    const char *slash = strrchr(path, '/');
    if (!slash || (size_t)(slash - path) >= sizeof(dir))
        return;
    memcpy(dir, path, (size_t)(slash - path));
    dir[slash - path] = '\0';
    unlinkat(queue_fd, dir, AT_REMOVEDIR);
    test_hook_step("claim", 6);
}

static int take_one(struct claim_call *call, int queue_fd, const struct claim_candidate *candidate,
                    struct claim_part *part, int *part_fd)
{
    if (*part_fd < 0 || part->attempts != candidate->attempts) {
        cleanup_close_p(part_fd);
        *part_fd = -1;
        part->attempts = candidate->attempts;
        int r = claim_file_open_part(call->place, call->own->fd, part, true, part_fd, &call->err);
        if (r < 0) {
            call->own_gone = r == -ENOENT || r == -ESTALE;
            return r;
        }
        test_hook_step("claim", 4);
    }
    int r = claim_file_take(queue_fd, candidate->path, *part_fd);
    if (r == 0)
        remove_unique(queue_fd, candidate->path);
    else if (r != -ENOENT)
        error_set_errno(&call->err, -r, "\"%.200s\" in %s on %s cannot be claimed",
                        claim_candidate_name(candidate), call->dir, call->place->path);
    return r;
}

static int take_run(void *arg)
{
    struct claim_call *call = arg;
    _cleanup_close_ int queue_fd = -1, part_fd = -1;
    for (unsigned i = 0; i < call->n; i++)
        call->results[i] = -ECANCELED;
    int r = prepare(call);
    if (r == 0)
        r = claim_file_open_queue(call->place, call->dir, false, &queue_fd, &call->err);
    for (unsigned i = 0; i < call->n && (r == 0 || r == -ENOENT); i++) {
        if (queue_fd < 0)
            break;
        r = call->results[i] = take_one(call, queue_fd, call->candidates[i], &call->part, &part_fd);
        if (call->err.code)
            break;
    }
    return call->err.code ? -call->err.code : 0;
}

static void forget_own(struct claims *claims)
{
    struct claim_queue *queue;
    cleanup_close_p(&claims->own->fd);
    claims->own->fd = -1;
    LIST_FOREACH(queue, &claims->queues, link)
    {
        queue->k = 0;
    }
}

static void take_ended(struct claim_call *call, int result)
{
    struct claim_queue *queue = call->queue;
    queue->busy = false;
    if (!is_current(call))
        return; /* the others give it back */
    if (call->new_k && (result == 0 || call->results[0] == 0))
        queue->k = call->part.k;
    for (unsigned i = 0; i < call->n; i++) {
        if (call->results[i] != 0 && call->results[i] != -ENOENT)
            continue;
        claim_window_tell(&queue->listing.window, call->results[i] == 0);
        if (call->results[i] == 0)
            claim_queue_took(queue, call->candidates[i]);
    }
    if (result == 0)
        return;
    if (call->own_gone)
        forget_own(call->claims); /* and make it anew */
    else
        claim_queue_retire(queue); /* whatever that call may still do */
    claim_queue_failed(queue, call->own_gone ? NULL : &call->err);
}

static const struct call_kind take_kind = {JOB("claiming files", take_run), take_ended};

int claim_call_take(struct claim_queue *queue, struct claim_candidate *const candidates[],
                    unsigned n)
{
    struct claims *claims = queue->claims;
    struct claim_call *call = calloc(1, sizeof(*call));
    if (!call)
        return -ENOMEM;
    call->queue = queue;
    call->dir = queue->dir;
    call->new_k = queue->k == 0;
    call->part.k = call->new_k ? claims->last_k + 1 : queue->k;
    memcpy(call->candidates, candidates, n * sizeof(struct claim_candidate *));
    call->n = n;
    int r = submit(claims, &take_kind, call);
    queue->busy = r == 0;
    claims->last_k += r == 0 && queue->k == 0;
    return r;
}

/* ---- finishing ---- */

static int give_back(struct claim_call *call, int part_fd)
{
    _cleanup_close_ int queue_fd = -1;
    unsigned attempts = call->part.attempts + (call->word == CLAIM_FAILED);
    bool dead = call->word == CLAIM_FAILED && attempts >= call->max_attempts;
    int r = claim_file_open_queue(call->place, call->dir, true, &queue_fd, &call->err);
    if (r == 0)
        r = claim_file_give_back(call->place, queue_fd, part_fd, call->name,
                                 dead ? LAYOUT_DEAD : LAYOUT_RETRY, attempts, &call->err);
    call->fate = r == -ENOENT ? CLAIM_IS_DONE : dead ? CLAIM_IS_DEAD : CLAIM_IS_RETURNED;
    return r == -ENOENT ? 0 : r; /* who worked on it removed it, or moved it on */
}

static int finish_run(void *arg)
{
    struct claim_call *call = arg;
    _cleanup_close_ int part_fd = -1;
    int r =
        claim_file_open_part(call->place, call->own->fd, &call->part, false, &part_fd, &call->err);
    if (r < 0)
        return r == -ENOENT ? -ESTALE : r;
    call->fate = CLAIM_IS_DONE;
    if (call->word != CLAIM_DONE)
        return give_back(call, part_fd);
    r = claim_file_done(part_fd, call->name);
    return r < 0 ? error_set_errno(&call->err, -r, "\"%.200s\" cannot be removed from %s on %s",
                                   call->name, call->dir, call->place->path)
                 : 0;
}

static void finish_ended(struct claim_call *call, int result)
{
    if (result < 0 && !is_current(call))
        result = -ESTALE; /* the others give it back */
    claims_finished(call->claim, result, call->fate, result < 0 ? &call->err : NULL);
}

static const struct call_kind finish_kind = {JOB("ending a claim", finish_run), finish_ended};

int claim_call_finish(struct claims *claims, struct claim *claim)
{
    struct claim_call *call = calloc(1, sizeof(*call));
    if (!call)
        return -ENOMEM;
    call->claim = claim;
    call->dir = claim->queue->dir;
    call->part = claim->part;
    call->max_attempts = claim->max_attempts
                             ? claim->max_attempts
                             : (unsigned)claims->options.place->settings->claim_max_attempts;
    call->word = claim->word;
    memcpy(call->name, claim->name, sizeof(call->name));
    return submit(claims, &finish_kind, call);
}

/* ---- clearing up ---- */

static int clean_run(void *arg)
{
    struct claim_call *call = arg;
    return call->own->fd < 0
               ? 0
               : claim_return_queue(call->place, call->own->fd, call->part.k, &call->err);
}

static void clean_ended(struct claim_call *call, int result)
{
    struct claim_retired *retired = call->retired;
    if (!is_current(call))
        return; /* it went with the slot */
    if (result < 0) {
        retired->next_ms = clock_now_ms() + CLEAN_AGAIN_MS;
        return;
    }
    LIST_REMOVE(retired, link);
    free(retired);
}

static const struct call_kind clean_kind = {JOB("removing directories of claims", clean_run),
                                            clean_ended};

int claim_call_clean(struct claims *claims, struct claim_retired *retired)
{
    struct claim_call *call = calloc(1, sizeof(*call));
    if (!call)
        return -ENOMEM;
    call->retired = retired;
    call->part.k = retired->k;
    return submit(claims, &clean_kind, call);
}

static int close_run(void *arg)
{
    struct claim_call *call = arg;
    _cleanup_close_ int claims_fd = -1;
    struct claim_returned returned = {0};
    char name[CLAIM_DIR_TEXT];
    int r = claim_file_make_claims(call->place, &claims_fd, &call->err);
    return r < 0 ? r
                 : claim_return(call->place, claims_fd,
                                claim_file_owner_name(&call->own->owner, name), false, &returned,
                                &call->err);
}

static void close_ended(struct claim_call *call, int result)
{
    struct claims *claims = call->claims;
    claims->closing = false;
    claims->closed = result == 0;
    claims->close_ms = clock_now_ms() + 1000;
}

static const struct call_kind close_kind = {JOB("removing the directory of claims", close_run),
                                            close_ended};

int claim_call_close(struct claims *claims)
{
    struct claim_call *call = calloc(1, sizeof(*call));
    return call ? submit(claims, &close_kind, call) : -ENOMEM;
}
