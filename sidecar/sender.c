#include "sidecar/sender.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "lib/aws/cloudwatch.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "sidecar/metric_queue.h"

enum {
    CALL_MAX_MS = 20 * 1000,
    RETRY_FIRST_MS = 4 * 1000,
    RETRY_MOST_MS = 5 * 60 * 1000,
    LAST_RETRY_MS = 400,  /* while it is being closed */
    LAST_RESERVE_MS = 50, /* of the time to close: for what comes after the last call */
    GRACE_MS = 100,
    REFUSED_MAX = 8, /* single data in a row: it is not the data */
    STACK_BYTES = 256 * 1024,
};

struct sender {
    struct sender_options options;
    pthread_t thread;
    bool started, finished;
    pthread_mutex_t lock; /* of all below */
    pthread_cond_t changed;
    struct metric_queue queue;
    struct sender_state state;
    int64_t due_ms;   /* of the regular call */
    int64_t retry_ms; /* not before this; 0: nothing failed */
    int64_t stop_by_ms;
    unsigned failures;       /* in a row */
    size_t suspects;         /* so many from the front have a bad datum among them */
    unsigned refused_in_row; /* single data, without one that was taken in between */
    struct iovec batch[CLOUDWATCH_DATA_MAX];
};

/* ---- what follows from a call ---- */

static bool wants_a_change(int r)
{
    return r == -EACCES || r == -ENOKEY || r == -EINVAL || r == -EBADMSG;
}

static void retry_later(struct sender *s, int r, const struct error *err)
{
    uint32_t top_ms = RETRY_MOST_MS;
    s->state.problem = *err;
    s->state.problem.code = -r;
    if (!wants_a_change(r) && s->failures < 7)
        top_ms = RETRY_FIRST_MS << s->failures;
    if (top_ms > RETRY_MOST_MS)
        top_ms = RETRY_MOST_MS;
    if (s->stop_by_ms != CLOCK_NEVER)
        top_ms = LAST_RETRY_MS;
    uint32_t jitter_ms = arc4random_uniform(top_ms);
    s->retry_ms = clock_now_ms() + (wants_a_change(r) ? top_ms - jitter_ms / 4 : jitter_ms);
    s->failures++;
}

static void taken(struct sender *s, size_t n)
{
    metric_queue_forget(&s->queue, n);
    s->suspects -= n < s->suspects ? n : s->suspects;
    s->state.sent += n;
    s->refused_in_row = 0;
    s->failures = 0;
    s->retry_ms = 0;
    s->state.problem = (struct error){0};
}

/* false: enough for now. */
static bool refused(struct sender *s, size_t n, const struct error *err)
{
    metric_queue_give_back(&s->queue);
    if (n > 1) {
        s->suspects = n;
        return true;
    }
    log_warn("CloudWatch does not take a value, it is dropped: %.*s: %s", (int)s->batch[0].iov_len,
             (const char *)s->batch[0].iov_base, err->text);
    metric_queue_forget(&s->queue, 1);
    s->state.dropped++;
    s->suspects = 0;
    if (++s->refused_in_row < REFUSED_MAX)
        return true;
    s->refused_in_row = 0;
    retry_later(s, -EBADMSG, err);
    return false;
}

/* With the lock, which is given back during the call. false: enough for now. */
static bool send_batch(struct sender *s)
{
    struct error err = {0};
    size_t max = s->suspects ? (s->suspects + 1) / 2 : CLOUDWATCH_DATA_MAX;
    size_t n = metric_queue_take(&s->queue, max, CLOUDWATCH_DATA_MAX_BYTES, s->batch);
    int64_t deadline_ms = clock_now_ms() + CALL_MAX_MS;
    if (deadline_ms > s->stop_by_ms - LAST_RESERVE_MS)
        deadline_ms = s->stop_by_ms - LAST_RESERVE_MS;
    s->state.calls++;
    pthread_mutex_unlock(&s->lock);
    int r = s->options.put(s->options.arg, s->batch, n, deadline_ms, &err);
    pthread_mutex_lock(&s->lock);
    if (r == 0) {
        taken(s, n);
        return true;
    }
    if (r == -EBADMSG)
        return refused(s, n, &err);
    metric_queue_give_back(&s->queue);
    retry_later(s, r, &err);
    return false;
}

/* ---- when ---- */

static int64_t next_turn_ms(const struct sender *s)
{
    return s->retry_ms > 0 ? s->retry_ms : s->due_ms;
}

static bool stop_time_is_up(const struct sender *s)
{
    return s->stop_by_ms != CLOCK_NEVER && clock_now_ms() >= s->stop_by_ms - LAST_RESERVE_MS;
}

static void turn(struct sender *s)
{
    int64_t now_ms = clock_now_ms();
    if (now_ms < next_turn_ms(s))
        return;
    s->state.dropped += metric_queue_expire(&s->queue, clock_wall_ms());
    bool sent = s->queue.n > 0;
    while (s->queue.n > 0 && !stop_time_is_up(s) && send_batch(s))
        ;
    if (sent)
        malloc_trim(0);  /* bodies and the certificates of all authorities */
    if (s->queue.n == 0) /* also when all of what failed is too old by now */
        s->retry_ms = 0;
    if (s->due_ms <= now_ms)
        s->due_ms += ((now_ms - s->due_ms) / s->options.flush_ms + 1) * s->options.flush_ms;
}

void sender_turn(struct sender *s)
{
    pthread_mutex_lock(&s->lock);
    turn(s);
    pthread_mutex_unlock(&s->lock);
}

static void wait_ms(struct sender *s, int64_t ms)
{
    struct timespec until = clock_monotonic_in(ms);
    pthread_cond_timedwait(&s->changed, &s->lock, &until);
}

/* Nothing is left, or nothing can be done: the time is up, or somebody had to change something. */
static bool may_end(const struct sender *s)
{
    return s->stop_by_ms != CLOCK_NEVER &&
           (s->queue.n == 0 || stop_time_is_up(s) ||
            (s->retry_ms > 0 && wants_a_change(-s->state.problem.code)));
}

static void *run(void *arg)
{
    struct sender *s = arg;
    pthread_mutex_lock(&s->lock);
    while (!may_end(s)) {
        turn(s);
        int64_t wake_ms = next_turn_ms(s);
        if (s->stop_by_ms != CLOCK_NEVER && wake_ms > s->stop_by_ms - LAST_RESERVE_MS)
            wake_ms = s->stop_by_ms - LAST_RESERVE_MS;
        int64_t ms = clock_poll_timeout(wake_ms);
        if (!may_end(s) && ms > 0)
            wait_ms(s, ms);
    }
    s->finished = true;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* ---- for others ---- */

int sender_open(const struct sender_options *options, struct sender **ret_sender)
{
    struct sender *s = calloc(1, sizeof(*s));
    if (!s)
        return -ENOMEM;
    s->options = *options;
    s->due_ms = clock_now_ms() + options->first_ms;
    s->stop_by_ms = CLOCK_NEVER;
    metric_queue_init(&s->queue, options->buffer_bytes);
    pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_t clock;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&s->changed, &clock);
    pthread_condattr_destroy(&clock);
    *ret_sender = s;
    return 0;
}

int sender_start(struct sender *s)
{
    /* Signals belong to the main thread. */
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    int r = pthread_create(&s->thread, &attr, run, s);
    pthread_attr_destroy(&attr);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    s->started = r == 0;
    return -r;
}

void sender_push(struct sender *s, int64_t wall_ms, const char *text, size_t length)
{
    pthread_mutex_lock(&s->lock);
    s->state.dropped += metric_queue_push(&s->queue, wall_ms, text, length);
    pthread_mutex_unlock(&s->lock);
}

void sender_drop(struct sender *s)
{
    pthread_mutex_lock(&s->lock);
    s->state.dropped++;
    pthread_mutex_unlock(&s->lock);
}

void sender_look(struct sender *s, struct sender_state *ret_state)
{
    pthread_mutex_lock(&s->lock);
    *ret_state = s->state;
    ret_state->waiting = s->queue.n;
    ret_state->next_ms = next_turn_ms(s);
    pthread_mutex_unlock(&s->lock);
}

static void hurry(struct sender *s)
{
    s->due_ms = clock_now_ms();
    s->retry_ms = 0;
    pthread_cond_broadcast(&s->changed);
}

void sender_flush(struct sender *s)
{
    pthread_mutex_lock(&s->lock);
    hurry(s);
    pthread_mutex_unlock(&s->lock);
}

static bool join(struct sender *s, int64_t timeout_ms)
{
    pthread_mutex_lock(&s->lock);
    s->stop_by_ms = clock_now_ms() + timeout_ms;
    hurry(s);
    int64_t left_ms; /* a thread that is in no call ends at once, however little time there is */
    while (!s->finished && (left_ms = s->stop_by_ms + GRACE_MS - clock_now_ms()) > 0)
        wait_ms(s, left_ms);
    bool finished = s->finished;
    pthread_mutex_unlock(&s->lock);
    if (finished)
        pthread_join(s->thread, NULL);
    else
        pthread_detach(s->thread);
    return finished;
}

int sender_close(struct sender *s, int64_t timeout_ms, size_t *ret_lost)
{
    if (!s)
        return 0;
    bool finished = !s->started || join(s, timeout_ms);
    struct sender_state state;
    sender_look(s, &state);
    if (ret_lost)
        *ret_lost = state.waiting;
    if (!finished)
        return -EBUSY;
    metric_queue_release(&s->queue);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
    free(s);
    return 0;
}
