#include "sidecar/feed.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "lib/cleanup.h"

/*
 * The ring holds records: a u32 length and an encoded change. None wraps around: where the next one
 * does not fit before the end, a length of zero (or less room than that) sends the reader on to the
 * start. Positions only grow; modulo the size they are places in the ring.
 */
struct feed {
    uint8_t *ring;
    size_t size;
    uint64_t begin, end;
    uint32_t epoch;
    uint64_t sequence; /* of the last change; there are `count` of them, without gaps */
    uint64_t count;
    char *observer;
    LIST_HEAD(subscriber_list, feed_subscriber) subscribers;
};

enum { LENGTH_BYTES = sizeof(uint32_t), RECORD_MAX = LENGTH_BYTES + CHANGE_ENCODED_MAX };

static size_t room_at(const struct feed *feed, uint64_t position)
{
    return feed->size - position % feed->size;
}

static uint32_t length_at(const struct feed *feed, uint64_t position)
{
    uint32_t length = 0;
    if (room_at(feed, position) >= LENGTH_BYTES)
        memcpy(&length, feed->ring + position % feed->size, LENGTH_BYTES);
    return length;
}

/* Where the record is that a reader at position reads next; position is not the end. */
static uint64_t record_at(const struct feed *feed, uint64_t position)
{
    return length_at(feed, position) > 0 ? position : position + room_at(feed, position);
}

static uint64_t behind_record(const struct feed *feed, uint64_t record)
{
    return record + LENGTH_BYTES + length_at(feed, record);
}

int feed_new(size_t max_bytes, const char *observer, struct feed **ret_feed)
{
    if (max_bytes < 4 * RECORD_MAX)
        return -EINVAL;
    struct feed *feed = calloc(1, sizeof(*feed));
    if (!feed)
        return -ENOMEM;
    LIST_INIT(&feed->subscribers);
    feed->size = max_bytes;
    feed->ring = malloc(max_bytes); /* the kernel gives the pages when they are written */
    feed->observer = strdup(observer);
    if (!feed->ring || !feed->observer) {
        feed_free(feed);
        return -ENOMEM;
    }
    if (getrandom(&feed->epoch, sizeof(feed->epoch), 0) != (ssize_t)sizeof(feed->epoch)) {
        feed_free(feed);
        return -EIO;
    }
    *ret_feed = feed;
    return 0;
}

void feed_free(struct feed *feed)
{
    if (!feed)
        return;
    free(feed->ring);
    free(feed->observer);
    free(feed);
}

static void drop_oldest(struct feed *feed)
{
    feed->begin = behind_record(feed, record_at(feed, feed->begin));
    feed->count--;
}

static void keep(struct feed *feed, const uint8_t *data, uint32_t length)
{
    size_t room = room_at(feed, feed->end), needed = LENGTH_BYTES + length;
    uint64_t start = room < needed ? feed->end + room : feed->end;
    const uint32_t none = 0;

    while (start + needed - feed->begin > feed->size)
        drop_oldest(feed);
    if (start != feed->end && room >= LENGTH_BYTES)
        memcpy(feed->ring + feed->end % feed->size, &none, LENGTH_BYTES);
    memcpy(feed->ring + start % feed->size, &length, LENGTH_BYTES);
    memcpy(feed->ring + start % feed->size + LENGTH_BYTES, data, length);
    feed->end = start + needed;
    feed->count++;
}

int feed_push(struct feed *feed, const struct change *change)
{
    uint8_t buffer[CHANGE_ENCODED_MAX];
    struct change numbered = *change;
    numbered.epoch = feed->epoch;
    numbered.sequence = feed->sequence + 1;
    if (!numbered.observer || !*numbered.observer)
        numbered.observer = feed->observer;
    int n = change_encode(&numbered, buffer, sizeof(buffer));
    if (n < 0)
        return n;
    keep(feed, buffer, (uint32_t)n);
    feed->sequence++;
    struct feed_subscriber *subscriber;
    LIST_FOREACH(subscriber, &feed->subscribers, link)
    {
        subscriber->wake(subscriber->arg);
    }
    return 0;
}

static void seek_end(const struct feed *feed, struct feed_reader *reader)
{
    *reader = (struct feed_reader){
        .epoch = feed->epoch,
        .sequence = feed->sequence,
        .position = feed->end,
    };
}

int feed_seek(const struct feed *feed, const char *cursor, struct feed_reader *ret_reader)
{
    uint32_t epoch;
    uint64_t sequence;

    if (!cursor) {
        seek_end(feed, ret_reader);
        return 0;
    }
    if (change_cursor_parse(cursor, &epoch, &sequence) < 0)
        return -EINVAL;
    uint64_t dropped = feed->sequence - feed->count;
    if (epoch != feed->epoch || sequence > feed->sequence || sequence < dropped) {
        seek_end(feed, ret_reader);
        return -ESTALE;
    }
    uint64_t position = feed->begin;
    for (uint64_t i = dropped; i < sequence; i++)
        position = behind_record(feed, record_at(feed, position));
    *ret_reader = (struct feed_reader){.epoch = epoch, .sequence = sequence, .position = position};
    return 0;
}

int feed_next(const struct feed *feed, struct feed_reader *reader, struct change *ret_change)
{
    if (reader->position < feed->begin) {
        seek_end(feed, reader);
        return -ESTALE;
    }
    if (reader->position == feed->end)
        return 0;
    uint64_t record = record_at(feed, reader->position);
    int r = change_decode(feed->ring + record % feed->size + LENGTH_BYTES, length_at(feed, record),
                          ret_change);
    if (r < 0) {
        seek_end(feed, reader);
        return -ESTALE;
    }
    reader->position = behind_record(feed, record);
    reader->sequence = ret_change->sequence;
    return 1;
}

void feed_subscribe(struct feed *feed, struct feed_subscriber *subscriber)
{
    LIST_INSERT_HEAD(&feed->subscribers, subscriber, link);
}

void feed_unsubscribe(struct feed_subscriber *subscriber)
{
    LIST_REMOVE(subscriber, link);
}
