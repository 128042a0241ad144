#include "watchers/inbox.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "lib/clock.h"

static void free_items(struct inbox_list *items)
{
    for (struct inbox_item *item; (item = TAILQ_FIRST(items));) {
        TAILQ_REMOVE(items, item, link);
        free(item);
    }
}

int inbox_open(struct inbox *inbox)
{
    pthread_condattr_t monotonic;
    *inbox = (struct inbox){.event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    int r = inbox->event_fd < 0 ? -errno : 0;
    TAILQ_INIT(&inbox->batch);
    TAILQ_INIT(&inbox->queue);
    pthread_mutex_init(&inbox->mutex, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&inbox->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return r;
}

void inbox_release(struct inbox *inbox)
{
    free_items(&inbox->batch);
    free_items(&inbox->queue);
    free(inbox->taken);
    if (inbox->event_fd >= 0)
        close(inbox->event_fd);
    pthread_cond_destroy(&inbox->wake);
    pthread_mutex_destroy(&inbox->mutex);
}

/* ---- the thread ---- */

int inbox_add(struct inbox *inbox, const struct peers_item *item)
{
    size_t observer_bytes = strlen(item->observer) + 1;
    size_t bytes = sizeof(struct inbox_item) + item->length + observer_bytes;
    struct inbox_item *copy = malloc(bytes);
    if (!copy)
        return -ENOMEM;
    *copy = (struct inbox_item){.bytes = bytes, .out = *item};
    copy->out.payload = copy->data;
    copy->out.observer = (char *)copy->data + item->length;
    memcpy(copy->data, item->payload, item->length);
    memcpy(copy->data + item->length, item->observer, observer_bytes);
    TAILQ_INSERT_TAIL(&inbox->batch, copy, link);
    inbox->batch_count++;
    inbox->batch_bytes += bytes;
    return 0;
}

/* With the mutex held. */
static void set_status(struct inbox *inbox, const struct peers_status *now)
{
    uint64_t fresh_ms = inbox->status.feed.fresh_ms;
    inbox->status = *now;
    inbox->status.feed.fresh_ms = fresh_ms;
}

bool inbox_hand_over(struct inbox *inbox, const struct peers_status *now, bool *waited)
{
    pthread_mutex_lock(&inbox->mutex);
    while (inbox->queue_bytes >= PEERS_QUEUE_BYTES && !inbox->stop) {
        *waited = true;
        pthread_cond_wait(&inbox->wake, &inbox->mutex);
    }
    TAILQ_CONCAT(&inbox->queue, &inbox->batch, link);
    inbox->queue_bytes += inbox->batch_bytes;
    inbox->handed += inbox->batch_count;
    set_status(inbox, now);
    bool going = !inbox->stop;
    pthread_mutex_unlock(&inbox->mutex);
    inbox->batch_count = inbox->batch_bytes = 0;
    inbox_ring(inbox);
    return going;
}

void inbox_set_fresh(struct inbox *inbox, int64_t sent_ms)
{
    pthread_mutex_lock(&inbox->mutex);
    struct inbox_item *last = TAILQ_LAST(&inbox->queue, inbox_list);
    if (last)
        last->fresh_ms = sent_ms;
    else
        inbox->status.feed.fresh_ms = (uint64_t)sent_ms;
    pthread_mutex_unlock(&inbox->mutex);
}

void inbox_publish(struct inbox *inbox, const struct peers_status *now)
{
    pthread_mutex_lock(&inbox->mutex);
    set_status(inbox, now);
    pthread_mutex_unlock(&inbox->mutex);
}

void inbox_ring(struct inbox *inbox)
{
    eventfd_write(inbox->event_fd, 1);
}

bool inbox_rest(struct inbox *inbox, int64_t until_ms)
{
    pthread_mutex_lock(&inbox->mutex);
    while (!inbox->stop && clock_now_ms() < until_ms) {
        struct timespec until = clock_monotonic_in(until_ms - clock_now_ms());
        pthread_cond_timedwait(&inbox->wake, &inbox->mutex, &until);
    }
    bool going = !inbox->stop;
    pthread_mutex_unlock(&inbox->mutex);
    return going;
}

/* ---- the caller ---- */

uint64_t inbox_look(struct inbox *inbox)
{
    eventfd_t count;
    pthread_mutex_lock(&inbox->mutex);
    eventfd_read(inbox->event_fd, &count);
    uint64_t handed = inbox->handed;
    pthread_mutex_unlock(&inbox->mutex);
    return handed;
}

bool inbox_next(struct inbox *inbox, struct peers_item *ret_item)
{
    free(inbox->taken);
    pthread_mutex_lock(&inbox->mutex);
    inbox->taken = TAILQ_FIRST(&inbox->queue);
    if (inbox->taken) {
        TAILQ_REMOVE(&inbox->queue, inbox->taken, link);
        inbox->queue_bytes -= inbox->taken->bytes;
        if (inbox->taken->fresh_ms > 0)
            inbox->status.feed.fresh_ms = (uint64_t)inbox->taken->fresh_ms;
        pthread_cond_broadcast(&inbox->wake);
    }
    pthread_mutex_unlock(&inbox->mutex);
    if (!inbox->taken)
        return false;
    *ret_item = inbox->taken->out;
    return true;
}

void inbox_status(struct inbox *inbox, struct peers_status *ret_status)
{
    pthread_mutex_lock(&inbox->mutex);
    *ret_status = inbox->status;
    pthread_mutex_unlock(&inbox->mutex);
}

void inbox_stop(struct inbox *inbox)
{
    pthread_mutex_lock(&inbox->mutex);
    inbox->stop = true;
    pthread_cond_broadcast(&inbox->wake);
    pthread_mutex_unlock(&inbox->mutex);
}
