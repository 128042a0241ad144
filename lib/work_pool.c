#include "lib/work_pool.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/clock.h"

enum task_state { TASK_QUEUED, TASK_RUNNING, TASK_FINISHED };

struct task {
    const struct job *job;
    void *arg;
    int64_t deadline_ms, started_ms;
    enum task_state state;
    bool told; /* done() was called (WORK_UNKNOWN), run() has not returned yet */
    int result;
    TAILQ_ENTRY(task) link;
};

struct work_pool {
    char name[16];
    unsigned n_threads, alive, running, queued, queue_max;
    bool stop, namespace_busy;
    TAILQ_HEAD(task_list, task) tasks; /* in the order they were submitted */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int epoll_fd, event_fd, timer_fd;
};

static struct task *next_runnable(struct work_pool *pool)
{
    struct task *task;
    TAILQ_FOREACH(task, &pool->tasks, link)
    {
        if (task->state == TASK_QUEUED && !(task->job->namespace_op && pool->namespace_busy))
            return task;
    }
    return NULL;
}

static void wake_loop(struct work_pool *pool)
{
    uint64_t one = 1;
    ssize_t n = write(pool->event_fd, &one, sizeof(one));
    (void)n; /* fails only when the counter is full, and then the loop is awake anyway */
}

static void run_task(struct work_pool *pool, struct task *task)
{
    task->state = TASK_RUNNING;
    task->started_ms = clock_now_ms();
    pool->queued--;
    pool->running++;
    if (task->job->namespace_op)
        pool->namespace_busy = true;
    pthread_mutex_unlock(&pool->lock);
    int result = task->job->run(task->arg);
    pthread_mutex_lock(&pool->lock);
    if (task->job->namespace_op)
        pool->namespace_busy = false;
    pool->running--;
    task->result = result;
    task->state = TASK_FINISHED;
    pthread_cond_broadcast(&pool->changed);
    wake_loop(pool);
}

static void *work(void *arg)
{
    struct work_pool *pool = arg;
    pthread_mutex_lock(&pool->lock);
    while (!pool->stop) {
        struct task *task = next_runnable(pool);
        if (task)
            run_task(pool, task);
        else
            pthread_cond_wait(&pool->changed, &pool->lock);
    }
    pool->alive--;
    wake_loop(pool);
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

/* Called with the lock held. A thread costs memory, so there are as many as had work at once. */
static int start_thread(struct work_pool *pool)
{
    pthread_t thread;
    pthread_attr_t attr;
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old); /* signals belong to the loop thread */
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 256 * 1024);
    pthread_attr_setdetachstate(&attr,
                                PTHREAD_CREATE_DETACHED); /* a hung one can never be joined */
    int r = -pthread_create(&thread, &attr, work, pool);
    if (r == 0) {
        pthread_setname_np(thread, pool->name);
        pool->alive++;
    }
    pthread_attr_destroy(&attr);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return r;
}

static void release_pool(struct work_pool *pool)
{
    cleanup_close_p(&pool->epoll_fd);
    cleanup_close_p(&pool->event_fd);
    cleanup_close_p(&pool->timer_fd);
    pthread_cond_destroy(&pool->changed);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

int work_pool_open(const char *name, unsigned n_threads, unsigned queue_max,
                   struct work_pool **ret_pool)
{
    struct work_pool *pool = calloc(1, sizeof(*pool));
    if (!pool)
        return -ENOMEM;
    snprintf(pool->name, sizeof(pool->name), "%s", name);
    pool->n_threads = n_threads;
    pool->queue_max = queue_max;
    TAILQ_INIT(&pool->tasks);
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->changed, NULL);
    pool->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    pool->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pool->timer_fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    struct epoll_event on = {.events = EPOLLIN};
    if (pool->epoll_fd < 0 || pool->event_fd < 0 || pool->timer_fd < 0 ||
        epoll_ctl(pool->epoll_fd, EPOLL_CTL_ADD, pool->event_fd, &on) < 0 ||
        epoll_ctl(pool->epoll_fd, EPOLL_CTL_ADD, pool->timer_fd, &on) < 0) {
        int r = -errno;
        release_pool(pool);
        return r;
    }
    *ret_pool = pool;
    return 0;
}

int work_pool_fd(const struct work_pool *pool)
{
    return pool->epoll_fd;
}

/* Called with the lock held. */
static void arm_timer(struct work_pool *pool)
{
    int64_t next_ms = CLOCK_NEVER;
    struct task *task;
    TAILQ_FOREACH(task, &pool->tasks, link)
    {
        if (task->state != TASK_FINISHED && !task->told && task->deadline_ms < next_ms)
            next_ms = task->deadline_ms;
    }
    struct itimerspec when = {0}; /* zero disarms */
    if (next_ms != CLOCK_NEVER) {
        int64_t at_ms = next_ms > 0 ? next_ms : 1;
        when.it_value.tv_sec = at_ms / 1000;
        when.it_value.tv_nsec = at_ms % 1000 * 1000000;
    }
    timerfd_settime(pool->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

int work_pool_submit(struct work_pool *pool, const struct job *job, void *arg, int64_t deadline_ms)
{
    struct task *task = calloc(1, sizeof(*task));
    if (!task)
        return -ENOMEM;
    *task = (struct task){.job = job, .arg = arg, .deadline_ms = deadline_ms};
    pthread_mutex_lock(&pool->lock);
    bool wants_thread =
        pool->running + pool->queued >= pool->alive && pool->alive < pool->n_threads;
    if (pool->queued >= pool->queue_max ||
        (wants_thread && start_thread(pool) < 0 && pool->alive == 0)) {
        pthread_mutex_unlock(&pool->lock);
        free(task);
        return -EAGAIN;
    }
    pool->queued++;
    TAILQ_INSERT_TAIL(&pool->tasks, task, link);
    arm_timer(pool);
    pthread_cond_broadcast(&pool->changed);
    pthread_mutex_unlock(&pool->lock);
    return 0;
}

static void end_task(struct task *task, enum work_outcome outcome, int result)
{
    if (!task->told)
        task->job->done(task->arg, outcome, result);
    else if (task->job->late)
        task->job->late(task->arg, result);
    if (task->job->release)
        task->job->release(task->arg);
    free(task);
}

/* The next task that the loop has to hear of, taken out of the list unless it is still under way.
 */
static struct task *take_due(struct work_pool *pool, enum work_outcome *ret_outcome)
{
    struct task *task;
    int64_t now_ms = clock_now_ms();
    TAILQ_FOREACH(task, &pool->tasks, link)
    {
        bool overdue = pool->stop || now_ms >= task->deadline_ms;
        if (task->state == TASK_FINISHED) {
            *ret_outcome = WORK_DONE;
        } else if (task->state == TASK_QUEUED && overdue) {
            *ret_outcome = WORK_NOT_STARTED;
            pool->queued--;
        } else {
            continue;
        }
        TAILQ_REMOVE(&pool->tasks, task, link);
        return task;
    }
    TAILQ_FOREACH(task, &pool->tasks, link)
    {
        if (task->state == TASK_RUNNING && !task->told && now_ms >= task->deadline_ms) {
            *ret_outcome = WORK_UNKNOWN;
            return task;
        }
    }
    return NULL;
}

void work_pool_dispatch(struct work_pool *pool)
{
    uint64_t count;
    ssize_t n = read(pool->event_fd, &count, sizeof(count));
    n += read(pool->timer_fd, &count, sizeof(count));
    (void)n; /* EAGAIN: it was the other one */
    for (;;) {
        enum work_outcome outcome;
        pthread_mutex_lock(&pool->lock);
        struct task *task = take_due(pool, &outcome);
        if (!task)
            arm_timer(pool);
        pthread_mutex_unlock(&pool->lock);
        if (!task)
            return;
        /* Called without the lock: done() may submit. A task under way stays the pool's; only this
         * thread reads told. */
        if (outcome == WORK_UNKNOWN) {
            task->told = true;
            task->job->done(task->arg, WORK_UNKNOWN, -ETIMEDOUT);
        } else {
            end_task(task, outcome, outcome == WORK_DONE ? task->result : -ETIMEDOUT);
        }
    }
}

int64_t work_pool_oldest_ms(struct work_pool *pool, const char **ret_what)
{
    int64_t now_ms = clock_now_ms(), oldest_ms = 0;
    const char *what = NULL;
    struct task *task;
    pthread_mutex_lock(&pool->lock);
    TAILQ_FOREACH(task, &pool->tasks, link)
    {
        if (task->state == TASK_RUNNING && (!what || now_ms - task->started_ms > oldest_ms)) {
            oldest_ms = now_ms - task->started_ms;
            what = task->job->what;
        }
    }
    pthread_mutex_unlock(&pool->lock);
    if (ret_what)
        *ret_what = what;
    return oldest_ms;
}

int work_pool_close(struct work_pool *pool, int64_t timeout_ms)
{
    if (!pool)
        return 0;
    int64_t until_ms = clock_now_ms() + timeout_ms;
    unsigned alive;
    pthread_mutex_lock(&pool->lock);
    pool->stop = true;
    pthread_cond_broadcast(&pool->changed);
    pthread_mutex_unlock(&pool->lock);
    for (;;) {
        work_pool_dispatch(pool);
        pthread_mutex_lock(&pool->lock);
        alive = pool->alive;
        pthread_mutex_unlock(&pool->lock);
        int left_ms = clock_poll_timeout(until_ms);
        if (alive == 0 || left_ms == 0)
            break;
        poll(&(struct pollfd){.fd = pool->epoll_fd, .events = POLLIN}, 1, left_ms);
    }
    if (alive == 0) {
        work_pool_dispatch(pool); /* what ended between the last dispatch and the last thread */
        release_pool(pool);
        return 0;
    }
    struct task *task;
    TAILQ_FOREACH(task, &pool->tasks, link)
    {
        if (!task->told) {
            task->told = true;
            task->job->done(task->arg, WORK_UNKNOWN, -ETIMEDOUT);
        }
    }
    return -EBUSY;
}
