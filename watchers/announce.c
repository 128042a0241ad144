#include "watchers/announce.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <time.h>
#include <unistd.h>

#include "lib/backoff.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/share/notice.h"

enum {
    BATCH_ITEMS = 256, /* so that a flood does not hold up the first of it */
    RETRY_FIRST_MS = 250,
    RETRY_MOST_MS = 30 * 1000,
};

struct item {
    STAILQ_ENTRY(item) next;
    bool is_record; /* of the sidecar: */
    uint64_t id, ticket;
    uint64_t sequence; /* once it is in the journal */
    uint16_t type;
    size_t length;
    uint8_t payload[];
};
STAILQ_HEAD(items, item);

struct announce {
    char *state_dir;
    size_t queue_max_bytes;
    struct items held; /* records that wait for release: the caller's thread only */

    pthread_t thread;
    pthread_mutex_t lock; /* for what follows */
    pthread_cond_t changed;
    int event_fd;
    struct items queue;
    size_t queue_bytes;
    unsigned queued, taken, records;
    bool flushed, stop, finished, abandoned;
    int failure, error;
    uint64_t sequence;
    struct watch_announced answers[ANNOUNCE_RECORDS_MAX];
    unsigned n_answers;

    /* the thread's */
    struct member member;
    struct backoff backoff;
};

/* ---- the thread ---- */

static void wake_caller(struct announce *a)
{
    uint64_t one = 1;
    ssize_t n = write(a->event_fd, &one, sizeof(one));
    (void)n; /* fails only when the counter is full, and then the caller is awake anyway */
}

/* Wait before the next attempt. False: give up. */
static bool try_again(struct announce *a, int r)
{
    if (member_is_lost(r))
        return false;
    const struct timespec until = clock_monotonic_in(backoff_next_ms(&a->backoff));
    pthread_mutex_lock(&a->lock);
    if (a->error == 0)
        log_warn("changes cannot be announced to other tasks for now: %s", strerror(-r));
    a->error = -r;
    int waited = 0;
    for (bool stop = a->stop; waited == 0 && a->stop == stop && !a->abandoned;)
        waited = pthread_cond_timedwait(&a->changed, &a->lock, &until);
    bool go_on = !a->abandoned;
    pthread_mutex_unlock(&a->lock);
    return go_on;
}

static void answer(struct announce *a, const struct item *item)
{
    if (item->id == 0)
        a->records--;
    else
        a->answers[a->n_answers++] =
            (struct watch_announced){.id = item->id, .sequence = item->sequence};
}

static int attach(struct announce *a)
{
    int r;
    do
        r = member_attach(&a->member, a->state_dir);
    while (r < 0 && try_again(a, r));
    return r;
}

static int publish(struct announce *a, uint64_t drained)
{
    int r;
    do
        r = member_publish(&a->member, drained);
    while (r < 0 && try_again(a, r));
    return r;
}

static int append(struct announce *a, const struct item *item, uint64_t *ret_sequence)
{
    struct member *m = &a->member;
    int r = member_append(m, item->type, item->payload, item->length, ret_sequence);
    if (r != -ENOBUFS)
        return r;
    r = publish(a, 0);
    return r == 0 ? member_append(m, item->type, item->payload, item->length, ret_sequence) : r;
}

static int announce_items(struct announce *a, struct items *batch)
{
    struct item *item;
    uint64_t drained = 0;
    int r = 0;
    STAILQ_FOREACH(item, batch, next)
    {
        if (r == 0)
            r = append(a, item, &item->sequence);
        if (r == 0 && item->is_record)
            drained = item->sequence;
    }
    return r == 0 ? publish(a, drained) : r;
}

/* Wait for a batch; false: there will be none. */
static bool take_batch(struct announce *a, struct items *batch)
{
    struct item *item;
    STAILQ_INIT(batch);
    pthread_mutex_lock(&a->lock);
    while (!a->stop && !(a->flushed && a->queued > 0) && a->queued < BATCH_ITEMS)
        pthread_cond_wait(&a->changed, &a->lock);
    while (a->taken < BATCH_ITEMS && (item = STAILQ_FIRST(&a->queue))) {
        STAILQ_REMOVE_HEAD(&a->queue, next);
        STAILQ_INSERT_TAIL(batch, item, next);
        a->queue_bytes -= sizeof(*item) + item->length;
        a->queued--;
        a->taken++;
    }
    if (a->queued == 0)
        a->flushed = false;
    bool some = a->taken > 0;
    pthread_mutex_unlock(&a->lock);
    return some;
}

static void note_success(struct announce *a)
{
    backoff_reset(&a->backoff);
    pthread_mutex_lock(&a->lock);
    if (a->error != 0)
        log_info("changes are announced to other tasks again");
    a->error = 0;
    a->sequence = a->member.slot.sequence;
    pthread_mutex_unlock(&a->lock);
}

static void give_back(struct announce *a, struct items *batch, int result)
{
    if (result == 0)
        note_success(a);
    pthread_mutex_lock(&a->lock);
    a->taken = 0;
    for (struct item *item; (item = STAILQ_FIRST(batch)); free(item)) {
        STAILQ_REMOVE_HEAD(batch, next);
        if (item->is_record && result == 0)
            answer(a, item);
    }
    bool answers = a->n_answers > 0;
    pthread_mutex_unlock(&a->lock);
    if (answers)
        wake_caller(a);
}

static void *run(void *arg)
{
    struct announce *a = arg;
    struct items batch;
    int r = attach(a);
    if (r == 0)
        note_success(a);
    while (r == 0 && take_batch(a, &batch)) {
        r = announce_items(a, &batch);
        give_back(a, &batch, r);
    }
    pthread_mutex_lock(&a->lock);
    if (member_is_lost(r))
        log_error("slot %u, epoch %u is lost (%s): this task joins anew", a->member.number,
                  (unsigned)a->member.epoch, strerror(-r));
    a->failure = r;
    a->finished = true;
    pthread_cond_broadcast(&a->changed);
    pthread_mutex_unlock(&a->lock);
    wake_caller(a);
    return NULL;
}

/* ---- the caller ---- */

static void free_items(struct items *items)
{
    for (struct item *item; (item = STAILQ_FIRST(items)); free(item))
        STAILQ_REMOVE_HEAD(items, next);
}

static void release(struct announce *a)
{
    free_items(&a->held);
    free_items(&a->queue);
    member_detach(&a->member);
    if (a->event_fd >= 0)
        close(a->event_fd);
    pthread_cond_destroy(&a->changed);
    pthread_mutex_destroy(&a->lock);
    free(a->state_dir);
    free(a);
}

static void make_condition(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
}

int announce_open(const struct announce_options *options, struct announce **ret_announce,
                  struct error *err)
{
    struct announce *a = calloc(1, sizeof(*a));
    if (!a)
        return error_set_errno(err, ENOMEM, "cannot start to announce");
    a->queue_max_bytes = options->queue_bytes;
    a->backoff = (struct backoff){.first_ms = RETRY_FIRST_MS, .most_ms = RETRY_MOST_MS};
    a->member = options->member;
    STAILQ_INIT(&a->held);
    STAILQ_INIT(&a->queue);
    pthread_mutex_init(&a->lock, NULL);
    make_condition(&a->changed);
    a->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    a->state_dir = strdup(options->state_dir);
    int r = a->event_fd < 0 || !a->state_dir ? errno : pthread_create(&a->thread, NULL, run, a);
    if (r != 0) {
        release(a);
        return error_set_errno(err, r, "cannot start to announce");
    }
    *ret_announce = a;
    return 0;
}

int announce_close(struct announce *a, int64_t timeout_ms)
{
    if (!a)
        return 0;
    const struct timespec until = clock_monotonic_in(timeout_ms);
    pthread_mutex_lock(&a->lock);
    a->stop = true;
    pthread_cond_broadcast(&a->changed);
    int waited = 0;
    while (!a->finished && waited == 0)
        waited = pthread_cond_timedwait(&a->changed, &a->lock, &until);
    a->abandoned = true;
    bool finished = a->finished;
    int r = a->failure;
    pthread_cond_broadcast(&a->changed);
    pthread_mutex_unlock(&a->lock);
    if (!finished) {
        pthread_detach(a->thread);
        return -ETIMEDOUT;
    }
    pthread_join(a->thread, NULL);
    release(a);
    return r;
}

/* The lock is held. */
static void push(struct announce *a, struct item *item)
{
    STAILQ_INSERT_TAIL(&a->queue, item, next);
    a->queue_bytes += sizeof(*item) + item->length;
    a->queued++;
}

static void drop_changes(struct announce *a)
{
    struct items kept = STAILQ_HEAD_INITIALIZER(kept);
    for (struct item *item; (item = STAILQ_FIRST(&a->queue));) {
        STAILQ_REMOVE_HEAD(&a->queue, next);
        if (item->is_record)
            STAILQ_INSERT_TAIL(&kept, item, next);
        else
            free(item);
    }
    a->queue_bytes = 0;
    a->queued = 0;
    for (struct item *item; (item = STAILQ_FIRST(&kept));) {
        STAILQ_REMOVE_HEAD(&kept, next);
        push(a, item);
    }
}

static struct item *new_item(uint16_t type, const uint8_t *payload, size_t length)
{
    struct item *item = malloc(sizeof(*item) + length);
    if (item) {
        *item = (struct item){.type = type, .length = length};
        memcpy(item->payload, payload, length);
    }
    return item;
}

static struct item *new_change(const struct change *change)
{
    uint8_t payload[CHANGE_ENCODED_MAX];
    int n = change_encode(change, payload, sizeof(payload));
    return n < 0 ? NULL : new_item(JOURNAL_CHANGE, payload, (size_t)n);
}

int announce_change(struct announce *a, const struct change *change)
{
    const struct change resync = {
        .op = CHANGE_RESYNC, .reason = CHANGE_REASON_SLOW_READER, .path = ""};
    struct item *item = new_change(change);
    if (!item)
        return -ENOMEM;
    pthread_mutex_lock(&a->lock);
    if (a->queue_bytes + sizeof(*item) + item->length > a->queue_max_bytes) {
        drop_changes(a);
        free(item);
        item = new_change(&resync);
    }
    if (item)
        push(a, item);
    if (a->queued >= BATCH_ITEMS)
        pthread_cond_broadcast(&a->changed);
    pthread_mutex_unlock(&a->lock);
    return item ? 0 : -ENOMEM;
}

void announce_flush(struct announce *a)
{
    pthread_mutex_lock(&a->lock);
    if (a->queued > 0 && !a->flushed) {
        a->flushed = true;
        pthread_cond_broadcast(&a->changed);
    }
    pthread_mutex_unlock(&a->lock);
}

static bool is_recordable(const struct watch_announce *record)
{
    struct change change;
    struct notice notice;
    if (record->type == JOURNAL_CHANGE)
        return change_decode(record->payload, record->length, &change) == 0;
    return record->type == JOURNAL_NOTICE &&
           notice_decode(record->payload, record->length, &notice) == 0;
}

int announce_record(struct announce *a, const struct watch_announce *record, uint64_t ticket)
{
    if (!is_recordable(record))
        return -EINVAL;
    pthread_mutex_lock(&a->lock);
    bool room = a->records < ANNOUNCE_RECORDS_MAX;
    a->records += room;
    pthread_mutex_unlock(&a->lock);
    struct item *item = room ? new_item(record->type, record->payload, record->length) : NULL;
    if (!item)
        return room ? -ENOMEM : -ENOBUFS;
    item->is_record = true;
    item->id = record->id;
    item->ticket = ticket;
    STAILQ_INSERT_TAIL(&a->held, item, next);
    return 0;
}

void announce_release(struct announce *a, uint64_t ticket)
{
    struct item *item = STAILQ_FIRST(&a->held);
    if (!item || item->ticket > ticket)
        return;
    pthread_mutex_lock(&a->lock);
    for (; (item = STAILQ_FIRST(&a->held)) && item->ticket <= ticket; push(a, item))
        STAILQ_REMOVE_HEAD(&a->held, next);
    a->flushed = true;
    pthread_cond_broadcast(&a->changed);
    pthread_mutex_unlock(&a->lock);
}

int announce_fd(const struct announce *a)
{
    return a->event_fd;
}

int announce_collect(struct announce *a, struct watch_announced *ret_announced)
{
    uint64_t count;
    pthread_mutex_lock(&a->lock);
    int r = a->n_answers > 0 ? 1 : a->failure;
    if (r == 1) {
        *ret_announced = a->answers[0];
        a->n_answers--;
        a->records--;
        memmove(a->answers, a->answers + 1, a->n_answers * sizeof(*a->answers));
    } else {
        ssize_t n = read(a->event_fd, &count, sizeof(count));
        (void)n; /* it was not set: nothing is new */
    }
    pthread_mutex_unlock(&a->lock);
    return r;
}

void announce_status(struct announce *a, struct announce_status *ret_status)
{
    pthread_mutex_lock(&a->lock);
    *ret_status = (struct announce_status){
        .sequence = a->sequence,
        .pending = a->queued + a->taken,
        .error = a->error,
    };
    pthread_mutex_unlock(&a->lock);
}
