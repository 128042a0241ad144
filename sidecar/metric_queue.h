/*
 * metric_queue: encoded data that wait to be sent, oldest first, within a limit of memory.
 *
 *     struct metric_queue queue;
 *     metric_queue_init(&queue, 1024 * 1024);
 *     dropped = metric_queue_push(&queue, wall_ms, text, length);
 *     n = metric_queue_take(&queue, max, max_bytes, data);     // the oldest, to be sent
 *     metric_queue_forget(&queue, n);                          // they arrived
 *     metric_queue_give_back(&queue);                          // they did not
 *
 * When it is full the oldest are dropped, but for those that are taken: they may be arriving.
 * What is taken stays where it is, so pushing goes on meanwhile.
 *
 * Ownership: the queue copies what is pushed; data point into it until they are forgotten. Threads:
 * the caller's lock.
 */
#ifndef SIDECAR_METRIC_QUEUE_H
#define SIDECAR_METRIC_QUEUE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/uio.h>

struct metric_queue {
    TAILQ_HEAD(metric_queue_list, queued_datum) list;
    size_t n, taken; /* taken: that many from the front */
    size_t used_bytes, capacity_bytes;
};

void metric_queue_init(struct metric_queue *queue, size_t capacity_bytes);
void metric_queue_release(struct metric_queue *queue);

/* How many were dropped: older ones, or this one when there is no room (or memory) else. */
size_t metric_queue_push(struct metric_queue *queue, int64_t wall_ms, const char *text,
                         size_t length);

/* Drop what CloudWatch would not take any more, or not yet. How many. Nothing may be taken. */
size_t metric_queue_expire(struct metric_queue *queue, int64_t wall_ms);

/* At most max data with, a comma each, max_bytes; at least 1 if there is any. */
size_t metric_queue_take(struct metric_queue *queue, size_t max, size_t max_bytes,
                         struct iovec *ret_data);
void metric_queue_forget(struct metric_queue *queue, size_t n);
void metric_queue_give_back(struct metric_queue *queue);

#endif
