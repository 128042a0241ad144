#include "watchers/change_queue.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <unistd.h>

struct item {
    STAILQ_ENTRY(item) link;
    size_t length;
    uint8_t data[];
};

struct change_queue {
    pthread_mutex_t mutex;
    STAILQ_HEAD(item_queue, item) items;
    size_t bytes, max_bytes;
    int fd; /* readable while there are items */
};

int change_queue_open(size_t max_bytes, struct change_queue **ret_queue)
{
    struct change_queue *queue = malloc(sizeof(*queue));
    if (!queue)
        return -ENOMEM;
    *queue = (struct change_queue){.max_bytes = max_bytes};
    STAILQ_INIT(&queue->items);
    queue->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (queue->fd < 0) {
        int r = -errno;
        free(queue);
        return r;
    }
    pthread_mutex_init(&queue->mutex, NULL);
    *ret_queue = queue;
    return 0;
}

void change_queue_close(struct change_queue *queue)
{
    if (!queue)
        return;
    for (struct item *item; (item = STAILQ_FIRST(&queue->items));) {
        STAILQ_REMOVE_HEAD(&queue->items, link);
        free(item);
    }
    close(queue->fd);
    pthread_mutex_destroy(&queue->mutex);
    free(queue);
}

int change_queue_fd(const struct change_queue *queue)
{
    return queue->fd;
}

bool change_queue_push(struct change_queue *queue, const struct change *change)
{
    uint8_t buffer[CHANGE_ENCODED_MAX];
    int n = change_encode(change, buffer, sizeof(buffer));
    if (n < 0)
        return true; /* it never can be told */
    size_t size = sizeof(struct item) + (size_t)n;
    pthread_mutex_lock(&queue->mutex);
    bool taken = queue->bytes + size <= queue->max_bytes;
    struct item *item = taken ? malloc(size) : NULL;
    if (item) {
        item->length = (size_t)n;
        memcpy(item->data, buffer, (size_t)n);
        if (STAILQ_EMPTY(&queue->items))
            eventfd_write(queue->fd, 1);
        STAILQ_INSERT_TAIL(&queue->items, item, link);
        queue->bytes += size;
    }
    pthread_mutex_unlock(&queue->mutex);
    return item != NULL;
}

bool change_queue_pop(struct change_queue *queue, uint8_t buffer[CHANGE_ENCODED_MAX],
                      struct change *ret_change)
{
    pthread_mutex_lock(&queue->mutex);
    struct item *item = STAILQ_FIRST(&queue->items);
    if (item) {
        STAILQ_REMOVE_HEAD(&queue->items, link);
        queue->bytes -= sizeof(*item) + item->length;
        eventfd_t count;
        if (STAILQ_EMPTY(&queue->items))
            eventfd_read(queue->fd, &count);
    }
    pthread_mutex_unlock(&queue->mutex);
    if (!item)
        return false;
    memcpy(buffer, item->data, item->length);
    int r = change_decode(buffer, item->length, ret_change);
    free(item);
    return r == 0; /* what was encoded decodes */
}
