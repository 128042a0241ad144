/*
 * sender: brings encoded data to CloudWatch from a thread of its own: in order, with patience, and
 * so that one datum that the service does not want costs that one alone.
 *
 *     static const struct sender_options options = {.put = ..., .arg = ..., .flush_ms = ...};
 *     r = sender_open(&options, &sender);
 *     r = sender_start(sender);
 *     sender_push(sender, wall_ms, text, length);              // never waits
 *     sender_look(sender, &state);
 *     r = sender_close(sender, 5000, &lost);                   // sends what it can
 *
 * put() is called with a batch in the sender's thread; its errors are those of cloudwatch_put().
 *   -EBADMSG          the batch is searched for the bad datum by halves; that one is dropped
 *   -EACCES, -ENOKEY, -EINVAL and when datum after datum is refused: all is kept, and tried again
 *                     every 5 minutes: somebody has to change something first
 *   everything else   all is kept, and tried again with full jitter, at most 5 minutes later
 * What is too old for CloudWatch is dropped, and the oldest when the buffer is full; all drops are
 * counted.
 *
 * Ownership: the sender copies. Threads: any but put(). Errors: -EBUSY from sender_close(): put()
 * did not come back, the thread and its memory were left behind.
 */
#ifndef SIDECAR_SENDER_H
#define SIDECAR_SENDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "lib/error.h"

struct sender_options {
    int (*put)(void *arg, const struct iovec data[], size_t n, int64_t deadline_ms,
               struct error *err);
    void *arg;
    size_t buffer_bytes;
    int64_t first_ms; /* until the first call */
    int64_t flush_ms; /* between calls */
};

struct sender_state {
    uint64_t calls, dropped, sent; /* the latter two are data */
    size_t waiting;
    int64_t next_ms;      /* when it will call, on clock_now_ms() */
    struct error problem; /* .code 0: the last call went well, or there was none */
};

struct sender;

int sender_open(const struct sender_options *options, struct sender **ret_sender);
int sender_start(struct sender *sender);

void sender_push(struct sender *sender, int64_t wall_ms, const char *text, size_t length);
void sender_drop(struct sender *sender); /* count a datum that could not even be encoded */
void sender_look(struct sender *sender, struct sender_state *ret_state);

/* Call now, not when it is due. */
void sender_flush(struct sender *sender);

/* *ret_lost: how many data were not sent. NULL is fine. */
int sender_close(struct sender *sender, int64_t timeout_ms, size_t *ret_lost);

/* What the thread does whenever it wakes, for tests that move the clock instead of starting it. */
void sender_turn(struct sender *sender);

#endif
