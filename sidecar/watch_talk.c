#include "sidecar/watch_talk.h"

#include <errno.h>
#include <string.h>

#include "lib/log.h"
#include "lib/share/change.h"

static int take_status(struct watch_talk *talk, const struct frame *frame)
{
    struct watch_status status;
    if (frame->length > sizeof(talk->status_bytes))
        return -EBADMSG;
    memcpy(talk->status_bytes, frame->payload, frame->length);
    int r = watch_status_decode(talk->status_bytes, frame->length, &status);
    if (r == 0)
        talk->status = status;
    else
        talk->status.listed = 0; /* what its strings pointed into is overwritten */
    return r;
}

static int take_change(struct watch_talk *talk, const struct frame *frame)
{
    struct change change;
    int r = change_decode(frame->payload, frame->length, &change);
    if (r < 0)
        return r;
    talk->changes++;
    return feed_push(talk->feed, &change);
}

static int take_announced(struct watch_talk *talk, const struct frame *frame)
{
    struct watch_announced announced;
    int r = watch_announced_decode(frame->payload, frame->length, &announced);
    if (r == 0)
        announcements_end(&talk->waiting, announced.id, announced.result, announced.sequence);
    return r;
}

static int take_notice(struct watch_talk *talk, const struct frame *frame)
{
    struct watch_notice notice;
    int r = watch_notice_decode(frame->payload, frame->length, &notice);
    if (r == 0 && talk->notice)
        talk->notice(talk->arg, &notice);
    return r;
}

static int take_hello(struct watch_talk *talk, const struct frame *frame)
{
    struct watch_hello hello;
    int r = watch_hello_decode(frame->payload, frame->length, &hello);
    if (r < 0)
        return r;
    talk->greeted = hello.version == WATCH_FRAMES_VERSION;
    talk->refused = (struct error){0};
    if (talk->greeted)
        return 0;
    r = error_set(&talk->refused, EPROTO,
                  "efs-watch is of another release: it speaks version %u of the frames, and this "
                  "efs-sidecar (" EFS_SIDECAR_VERSION ") version %d. Take both from one image",
                  hello.version, WATCH_FRAMES_VERSION);
    log_error("%s", talk->refused.text);
    return r;
}

int watch_talk_take(struct watch_talk *talk, const struct frame *frame)
{
    if (frame->type == WATCH_FRAME_HELLO)
        return take_hello(talk, frame);
    if (!talk->greeted)
        return -EBADMSG;
    switch (frame->type) {
    case WATCH_FRAME_CHANGE:
        return take_change(talk, frame);
    case WATCH_FRAME_READY:
    case WATCH_FRAME_STATUS:
        return take_status(talk, frame);
    case WATCH_FRAME_PONG:
        return 0;
    case WATCH_FRAME_ANNOUNCED:
        return take_announced(talk, frame);
    case WATCH_FRAME_NOTICE:
        return take_notice(talk, frame);
    default:
        return -EBADMSG;
    }
}

int watch_talk_announce(struct watch_talk *talk, struct watch_child *child, uint16_t type,
                        const void *payload, size_t length, announce_done *done, void *arg)
{
    struct watch_announce announce = {.type = type, .length = length, .payload = payload};
    uint8_t buffer[WATCH_ANNOUNCE_MAX];
    int r = announcements_add(&talk->waiting, done, arg, &announce.id);
    if (r < 0)
        return r;
    int n = watch_announce_encode(&announce, buffer, sizeof(buffer));
    r = n < 0 ? n : watch_child_send(child, WATCH_FRAME_ANNOUNCE, buffer, (size_t)n);
    if (r < 0)
        announcements_forget(&talk->waiting, announce.id);
    return r;
}

void watch_talk_hung_up(struct watch_talk *talk)
{
    announcements_end_all(&talk->waiting, -ECONNRESET);
}

void watch_talk_forget(struct watch_talk *talk)
{
    memset(&talk->status, 0, sizeof(talk->status));
    talk->greeted = false;
}
