/*
 * inbox: what the thread of peers has read, on its way to the caller of peers; bounded.
 *
 *     r = inbox_open(&inbox);
 * The thread:
 *     r = inbox_add(&inbox, &item);                    // to the batch, inbox.batch; then
 *     going = inbox_hand_over(&inbox, &now, &waited);  // false: it is to stop
 *     inbox_set_fresh(&inbox, sent_ms);
 *     inbox_publish(&inbox, &now);                     // the status
 *     inbox_ring(&inbox);
 *     going = inbox_rest(&inbox, until_ms);
 * The caller, as peers.h says of peers_look() and so on:
 *     poll inbox.event_fd for POLLIN, then
 *     total = inbox_look(&inbox);
 *     while (taken < total && inbox_next(&inbox, &item)) ... tell it ...
 *     inbox_stop(&inbox);                              // the thread's waits end
 *     inbox_release(&inbox);                           // when it is gone
 *
 * Ownership: items are copies. Threads: the two. Errors: -errno.
 */
#ifndef WATCHERS_INBOX_H
#define WATCHERS_INBOX_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "watchers/peers.h"

struct inbox_item {
    TAILQ_ENTRY(inbox_item) link;
    struct peers_item out;
    int64_t fresh_ms; /* with it, all that was announced by then is delivered; 0: not yet */
    size_t bytes;
    uint8_t data[];
};
TAILQ_HEAD(inbox_list, inbox_item);

struct inbox {
    /* The thread's. */
    struct inbox_list batch;
    size_t batch_count, batch_bytes;

    pthread_mutex_t mutex; /* for all below */
    pthread_cond_t wake;
    struct inbox_list queue;
    size_t queue_bytes;
    uint64_t handed;            /* items, ever */
    struct peers_status status; /* as the caller may see it */
    bool stop;
    int event_fd;

    struct inbox_item *taken; /* the caller's */
};

int inbox_open(struct inbox *inbox);
void inbox_release(struct inbox *inbox);

int inbox_add(struct inbox *inbox, const struct peers_item *item);

/* The batch, and the status with it. When PEERS_QUEUE_BYTES are there that nobody takes, it is
 * waited for room, and *waited set. */
bool inbox_hand_over(struct inbox *inbox, const struct peers_status *now, bool *waited);

/* Everything that was announced by then is handed over: the status says so when it is taken. */
void inbox_set_fresh(struct inbox *inbox, int64_t sent_ms);

/* All of the status but what inbox_set_fresh() says. */
void inbox_publish(struct inbox *inbox, const struct peers_status *now);
void inbox_ring(struct inbox *inbox); /* the caller is to look */
bool inbox_rest(struct inbox *inbox, int64_t until_ms);

uint64_t inbox_look(struct inbox *inbox);
bool inbox_next(struct inbox *inbox, struct peers_item *ret_item);
void inbox_status(struct inbox *inbox, struct peers_status *ret_status);
void inbox_stop(struct inbox *inbox);

#endif
