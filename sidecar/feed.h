/*
 * feed: the recent changes of one mount, in memory, for any number of readers.
 *
 * Changes are numbered here (epoch of this process, sequence), whoever observed them, and kept in a
 * ring of bounded size. A reader pulls at its own pace; one that is too slow, or comes back with a
 * cursor that the ring no longer reaches, is told so and goes on from the end.
 *
 *     struct feed_reader reader;
 *     if (feed_seek(feed, cursor_text, &reader) == -ESTALE) ... tell resync ...
 *     while ((r = feed_next(feed, &reader, &change)) == 1)
 *         ... change, with epoch and sequence; its strings are valid until the loop turns ...
 *     if (r == -ESTALE)                                    // fell behind
 *         ... tell resync; the reader stands at the end now ...
 *     reader's cursor: change_cursor_format(reader.epoch, reader.sequence, buf)
 *
 * A subscriber's wake() is called for every change that comes in, so it only notes that; it must
 * not subscribe or unsubscribe anyone. Ownership: readers and subscribers are the caller's, and are
 * gone before the feed is freed. Threads: the loop's.
 */
#ifndef SIDECAR_FEED_H
#define SIDECAR_FEED_H

#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "lib/share/change.h"

struct feed;

struct feed_reader {
    uint32_t epoch;
    uint64_t sequence; /* of the last change that was read */
    uint64_t position; /* feed's own */
};

struct feed_subscriber {
    void (*wake)(void *arg);
    void *arg;
    LIST_ENTRY(feed_subscriber) link;
};

/* observer is told where a change names none. -EINVAL: not even a few of the longest changes fit.
 */
int feed_new(size_t max_bytes, const char *observer, struct feed **ret_feed);
void feed_free(struct feed *feed);

/* Number the change and keep it, at the cost of the oldest; then wake the subscribers. -EINVAL: the
 * change is out of bounds. */
int feed_push(struct feed *feed, const struct change *change);

/* Stand behind the cursor "EPOCH.SEQUENCE"; NULL is the end: only what comes from now on. -EINVAL:
 * no cursor; -ESTALE: the ring does not reach it (any more), the reader stands at the end. */
int feed_seek(const struct feed *feed, const char *cursor, struct feed_reader *ret_reader);

/* 1 and the next change, 0 at the end, -ESTALE: changes were dropped, the reader stands at the end.
 */
int feed_next(const struct feed *feed, struct feed_reader *reader, struct change *ret_change);

void feed_subscribe(struct feed *feed, struct feed_subscriber *subscriber);
void feed_unsubscribe(struct feed_subscriber *subscriber);

#endif
