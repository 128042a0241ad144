/*
 * work_pool: file system calls that may hang, kept away from the loop thread.
 *
 * A pool has a few threads and a bounded queue. Each job has a deadline. The loop thread learns of
 * a job's end exactly once, through done():
 *
 *     WORK_DONE         run() returned in time; result is what it returned
 *     WORK_NOT_STARTED  the deadline passed while the job was queued: nothing happened
 *     WORK_UNKNOWN      the deadline passed while run() was under way: it may still happen. The job
 *                       keeps what it owns; late() is called if run() ever returns, and undoes or
 *                       records the result
 *
 * release() is always the last call, and frees arg. An abandoned call is unknown, not failed.
 *
 *     static const struct job canary = {
 *         .what = "canary", .run = ..., .done = ..., .release = free};
 *     work_pool_open("data", 2, 64, &pool);
 *     event_new(base, work_pool_fd(pool), EV_READ | EV_PERSIST, ...);   // work_pool_dispatch(pool)
 *     work_pool_submit(pool, &canary, arg, clock_now_ms() + 5000);
 *
 * A job with .namespace_op runs only while no other such job does: with at most one namespace
 * operation in flight, what is unknown is one thing, and a killed process can still be reaped.
 *
 * Ownership: the pool owns arg from a successful submit on. Threads: run() on a worker, everything
 * else on the loop thread; work_pool functions on the loop thread only. After a hang a worker is
 * gone until its call returns: size pools by what may hang at once.
 */
#ifndef LIB_WORK_POOL_H
#define LIB_WORK_POOL_H

#include <stdbool.h>
#include <stdint.h>

enum work_outcome { WORK_DONE, WORK_NOT_STARTED, WORK_UNKNOWN };

struct job {
    const char *what; /* for messages; static */
    bool namespace_op;
    int (*run)(void *arg); /* 0 or -errno */
    void (*done)(void *arg, enum work_outcome outcome, int result);
    void (*late)(void *arg, int result); /* or NULL */
    void (*release)(void *arg);          /* or NULL */
};

struct work_pool;

int work_pool_open(const char *name, unsigned n_threads, unsigned queue_max,
                   struct work_pool **ret_pool);

/* Readable when work_pool_dispatch() has something to do: an end or a deadline. */
int work_pool_fd(const struct work_pool *pool);
void work_pool_dispatch(struct work_pool *pool);

/* 0, or -EAGAIN: the queue is full, or there is no thread to be had (arg stays the caller's).
 * deadline_ms is on clock_now_ms(). */
int work_pool_submit(struct work_pool *pool, const struct job *job, void *arg, int64_t deadline_ms);

/* How long the oldest call that is under way has been so, and what it is; 0 and NULL when none is.
 */
int64_t work_pool_oldest_ms(struct work_pool *pool, const char **ret_what);

/*
 * Jobs that were not started end as WORK_NOT_STARTED; what is under way gets timeout_ms. Returns 0,
 * or -EBUSY when a call did not come back: its thread and memory are abandoned and its done() was
 * called with WORK_UNKNOWN. NULL is fine.
 */
int work_pool_close(struct work_pool *pool, int64_t timeout_ms);

#endif
