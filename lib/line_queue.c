#include "lib/line_queue.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "lib/clock.h"

/* One ring of bytes. The writer owns [head, head + writing); pushers append at the tail. */
struct line_queue {
    int fd;
    struct line_file *file; /* instead, or NULL */
    size_t capacity;
    size_t head, used;
    bool stop, broken;
    atomic_ullong dropped;
    atomic_int error; /* of the last line of a file */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t writer;
    char ring[];
};

static void copy_in(struct line_queue *q, const char *data, size_t length)
{
    size_t tail = (q->head + q->used) % q->capacity;
    size_t first = q->capacity - tail < length ? q->capacity - tail : length;
    memcpy(q->ring + tail, data, first);
    memcpy(q->ring, data + first, length - first);
    q->used += length;
}

/* One line at a time: what a file does not take is dropped whole. */
static ssize_t write_line(struct line_queue *q, struct iovec parts[2])
{
    for (int i = 0; i < 2; i++) {
        char *end = memchr(parts[i].iov_base, '\n', parts[i].iov_len);
        if (!end)
            continue;
        parts[i].iov_len = (size_t)(end - (char *)parts[i].iov_base) + 1;
        if (i == 0)
            parts[1].iov_len = 0;
        break;
    }
    int r = line_file_write(q->file, parts);
    if (r < 0)
        atomic_fetch_add(&q->dropped, 1);
    atomic_store(&q->error, -r);
    return (ssize_t)(parts[0].iov_len + parts[1].iov_len);
}

static void *write_lines(void *arg)
{
    struct line_queue *q = arg;
    pthread_mutex_lock(&q->lock);
    for (;;) {
        while (q->used == 0 && !q->stop)
            pthread_cond_wait(&q->changed, &q->lock);
        if (q->used == 0 || q->broken)
            break;
        size_t first = q->capacity - q->head < q->used ? q->capacity - q->head : q->used;
        struct iovec parts[2] = {
            {q->ring + q->head, first},
            {q->ring, q->used - first},
        };
        pthread_mutex_unlock(&q->lock);
        ssize_t n = q->file ? write_line(q, parts) : writev(q->fd, parts, parts[1].iov_len ? 2 : 1);
        int error = errno;
        if (n < 0 && error == EAGAIN) /* somebody made our stdout non-blocking */
            nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
        pthread_mutex_lock(&q->lock);
        if (n > 0) {
            q->head = (q->head + (size_t)n) % q->capacity;
            q->used -= (size_t)n;
        } else if (n < 0 && error != EINTR && error != EAGAIN) {
            q->broken = true;
            q->used = 0;
        }
        pthread_cond_broadcast(&q->changed);
    }
    pthread_mutex_unlock(&q->lock);
    return NULL;
}

static int open_queue(int fd, struct line_file *file, size_t capacity_bytes,
                      struct line_queue **ret_queue)
{
    struct line_queue *q = calloc(1, sizeof(*q) + capacity_bytes);
    if (!q)
        return -ENOMEM;
    q->fd = fd;
    q->file = file;
    q->capacity = capacity_bytes;
    pthread_mutex_init(&q->lock, NULL);
    pthread_condattr_t clock;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&q->changed, &clock);
    pthread_condattr_destroy(&clock);

    /* Signals belong to the main thread; a small stack is enough and keeps the footprint honest. */
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 64 * 1024);
    int r = pthread_create(&q->writer, &attr, write_lines, q);
    pthread_attr_destroy(&attr);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (r != 0) {
        free(q);
        return -r;
    }
    *ret_queue = q;
    return 0;
}

int line_queue_open(int fd, size_t capacity_bytes, struct line_queue **ret_queue)
{
    return open_queue(fd, NULL, capacity_bytes, ret_queue);
}

int line_queue_open_file(struct line_file *file, size_t capacity_bytes,
                         struct line_queue **ret_queue)
{
    return open_queue(-1, file, capacity_bytes, ret_queue);
}

int line_queue_error(const struct line_queue *q)
{
    return atomic_load(&q->error);
}

int line_queue_push(struct line_queue *q, const char *line, size_t length)
{
    int r = 0;
    pthread_mutex_lock(&q->lock);
    if (q->broken)
        r = -EPIPE;
    else if (q->capacity - q->used < length + 1)
        r = -ENOBUFS;
    if (r < 0) {
        atomic_fetch_add(&q->dropped, 1);
    } else {
        copy_in(q, line, length);
        copy_in(q, "\n", 1);
        pthread_cond_broadcast(&q->changed);
    }
    pthread_mutex_unlock(&q->lock);
    return r;
}

uint64_t line_queue_dropped(const struct line_queue *q)
{
    return atomic_load(&q->dropped);
}

int line_queue_drain(struct line_queue *q, int64_t timeout_ms)
{
    struct timespec until = clock_monotonic_in(timeout_ms);
    int r = 0;
    pthread_mutex_lock(&q->lock);
    while (q->used > 0 && r == 0)
        r = pthread_cond_timedwait(&q->changed, &q->lock, &until);
    r = q->used > 0 ? -ETIMEDOUT : 0;
    pthread_mutex_unlock(&q->lock);
    return r;
}

void line_queue_close(struct line_queue *q, int64_t timeout_ms)
{
    if (!q)
        return;
    int r = line_queue_drain(q, timeout_ms);
    pthread_mutex_lock(&q->lock);
    q->stop = true;
    pthread_cond_broadcast(&q->changed);
    pthread_mutex_unlock(&q->lock);
    if (r < 0) { /* stuck in write(2): it may still read the ring */
        pthread_detach(q->writer);
        return;
    }
    pthread_join(q->writer, NULL);
    pthread_cond_destroy(&q->changed);
    pthread_mutex_destroy(&q->lock);
    line_file_close(q->file);
    free(q);
}
