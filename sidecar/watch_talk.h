/*
 * watch_talk: what an efs-watch says to us, and what it is told to announce.
 *
 *     struct watch_talk talk = {.feed = feed, .notice = notice, .arg = arg};
 *     r = watch_talk_take(&talk, &frame);               // a watch_child's on_frame()
 *     r = watch_talk_announce(&talk, &child, JOURNAL_NOTICE, payload, length, done, arg);
 *     watch_talk_hung_up(&talk);                        // nobody will answer any more
 *     watch_talk_forget(&talk);                         // the child is gone, and so its status
 *
 * A child's first frame is a HELLO of our version, or it is not listened to; `refused` says so.
 *
 * Ownership: the strings of the status are the talk's, until the next frame. Threads: the loop's.
 * Errors: -EBADMSG (no frame of ours), -EPROTO (another version), and those of the feed.
 */
#ifndef SIDECAR_WATCH_TALK_H
#define SIDECAR_WATCH_TALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/error.h"
#include "lib/frame.h"
#include "lib/share/watch_frames.h"
#include "sidecar/announcements.h"
#include "sidecar/feed.h"
#include "sidecar/watch_child.h"

struct watch_talk {
    struct feed *feed;                                            /* gets the changes */
    void (*notice)(void *arg, const struct watch_notice *notice); /* NULL: nobody listens */
    void *arg;

    uint64_t changes;           /* of all children */
    struct watch_status status; /* what the child said last */
    uint8_t status_bytes[WATCH_STATUS_MAX];
    struct announcements waiting;
    bool greeted;         /* by this child */
    struct error refused; /* code not 0: of another release, as the last child that spoke */
};

int watch_talk_take(struct watch_talk *talk, const struct frame *frame);

/* done() is called only after a 0. -ENOTCONN, -ENOBUFS: too much waits; -EMSGSIZE. */
int watch_talk_announce(struct watch_talk *talk, struct watch_child *child, uint16_t type,
                        const void *payload, size_t length, announce_done *done, void *arg);
void watch_talk_hung_up(struct watch_talk *talk);
void watch_talk_forget(struct watch_talk *talk);

#endif
