#include "sidecar/metric_queue.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* A datum may be up to two weeks old and two hours ahead; a minute is for the way there. */
#define MINUTE_MS     (60 * 1000LL)
#define OLDEST_AGE_MS (14 * 24 * 60 * MINUTE_MS - MINUTE_MS)
#define AHEAD_MS      (120 * MINUTE_MS - MINUTE_MS)

enum { MALLOC_OVERHEAD = 16 };

struct queued_datum {
    TAILQ_ENTRY(queued_datum) next;
    int64_t wall_ms;
    size_t length;
    char text[];
};

void metric_queue_init(struct metric_queue *queue, size_t capacity_bytes)
{
    *queue = (struct metric_queue){.capacity_bytes = capacity_bytes};
    TAILQ_INIT(&queue->list);
}

static size_t size_of(size_t length)
{
    return sizeof(struct queued_datum) + MALLOC_OVERHEAD + length;
}

static void drop(struct metric_queue *queue, struct queued_datum *datum)
{
    TAILQ_REMOVE(&queue->list, datum, next);
    queue->used_bytes -= size_of(datum->length);
    queue->n--;
    free(datum);
}

void metric_queue_release(struct metric_queue *queue)
{
    while (queue->n > 0)
        drop(queue, TAILQ_FIRST(&queue->list));
}

static struct queued_datum *oldest_not_taken(struct metric_queue *queue)
{
    struct queued_datum *datum = TAILQ_FIRST(&queue->list);
    for (size_t i = 0; i < queue->taken; i++)
        datum = TAILQ_NEXT(datum, next);
    return datum;
}

size_t metric_queue_push(struct metric_queue *queue, int64_t wall_ms, const char *text,
                         size_t length)
{
    size_t size = size_of(length), dropped = 0;
    struct queued_datum *oldest;
    while (queue->used_bytes + size > queue->capacity_bytes && (oldest = oldest_not_taken(queue))) {
        drop(queue, oldest);
        dropped++;
    }
    struct queued_datum *datum = NULL;
    if (queue->used_bytes + size <= queue->capacity_bytes)
        datum = malloc(sizeof(*datum) + length);
    if (!datum)
        return dropped + 1;
    datum->wall_ms = wall_ms;
    datum->length = length;
    memcpy(datum->text, text, length);
    TAILQ_INSERT_TAIL(&queue->list, datum, next);
    queue->used_bytes += size;
    queue->n++;
    return dropped;
}

size_t metric_queue_expire(struct metric_queue *queue, int64_t wall_ms)
{
    size_t dropped = 0;
    struct queued_datum *datum = TAILQ_FIRST(&queue->list);
    while (datum) {
        struct queued_datum *following = TAILQ_NEXT(datum, next);
        if (datum->wall_ms < wall_ms - OLDEST_AGE_MS || datum->wall_ms > wall_ms + AHEAD_MS) {
            drop(queue, datum);
            dropped++;
        }
        datum = following;
    }
    return dropped;
}

size_t metric_queue_take(struct metric_queue *queue, size_t max, size_t max_bytes,
                         struct iovec *ret_data)
{
    struct queued_datum *datum;
    size_t n = 0, bytes = 0;
    TAILQ_FOREACH(datum, &queue->list, next)
    {
        bytes += datum->length + 1;
        if (n == max || (n > 0 && bytes > max_bytes))
            break;
        ret_data[n++] = (struct iovec){datum->text, datum->length};
    }
    queue->taken = n;
    return n;
}

void metric_queue_forget(struct metric_queue *queue, size_t n)
{
    queue->taken = 0;
    for (; n > 0; n--)
        drop(queue, TAILQ_FIRST(&queue->list));
}

void metric_queue_give_back(struct metric_queue *queue)
{
    queue->taken = 0;
}
