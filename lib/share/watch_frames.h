/*
 * watch_frames: what efs-watch and the sidecar say to each other, as frames (lib/frame.h) on a
 * socketpair. The sidecar starts `efs-watch --child FD DIR` and keeps the other end.
 *
 *   efs-watch -> sidecar
 *     HELLO    struct watch_hello    first frame; another version ends the conversation
 *     CHANGE   change_encode()       also resync
 *     READY    struct watch_status   every directory is watched and has been read, or is in the
 *                                    status as blind; sent once
 *     STATUS   struct watch_status   when it changed, at most once a second
 *     PONG     struct watch_pong     answer to PING, in the order of events: every change that
 *                                    happened before the ping has been sent before the pong. It
 *                                    comes from the loop that consumes events, not from a timer
 *   sidecar -> efs-watch
 *     PING     u64 nonce
 *     STOP     no payload: send what is pending and exit 0
 *
 * A closed socket ends efs-watch too. Encoders return the length or -EMSGSIZE; decoders 0 or
 * -EBADMSG. Strings of a decoded status point into data. Threads: safe.
 */
#ifndef LIB_SHARE_WATCH_FRAMES_H
#define LIB_SHARE_WATCH_FRAMES_H

#include <stddef.h>
#include <stdint.h>

enum watch_frame {
    WATCH_FRAME_HELLO = 1,
    WATCH_FRAME_CHANGE,
    WATCH_FRAME_READY,
    WATCH_FRAME_STATUS,
    WATCH_FRAME_PONG,
    WATCH_FRAME_PING = 64,
    WATCH_FRAME_STOP,
};

enum {
    WATCH_FRAMES_VERSION = 1,
    WATCH_HELLO_BYTES = 8,
    WATCH_PONG_BYTES = 12,
    WATCH_BLIND_LISTED = 8,     /* of all blind subtrees, the first few are named */
    WATCH_BLIND_PATH_MAX = 511, /* a longer path is cut */
    WATCH_STATUS_MAX = 128 + WATCH_BLIND_LISTED * (WATCH_BLIND_PATH_MAX + 16),
};

struct watch_hello {
    uint32_t version, epoch;
};

struct watch_pong {
    uint64_t nonce;
    uint32_t scanning; /* directories still to be read: their contents may not have been reported */
};

struct watch_blind {
    int code; /* errno: ENOSPC the user's inotify limit, EDQUOT watch.max_dirs, EACCES, ... */
    const char *path;
};

struct watch_status {
    uint32_t directories; /* watched now */
    uint32_t scanning;    /* directories still to be read */
    uint32_t blind;       /* subtrees that are not watched */
    uint32_t pending;     /* changes coalesced, not yet sent */
    uint64_t events;      /* inotify events read */
    uint64_t changes;     /* sent */
    uint64_t overflows;   /* of the kernel's queue */
    uint64_t resyncs;     /* resync changes sent, any reason */
    uint32_t listed;      /* entries of blinds[] */
    struct watch_blind blinds[WATCH_BLIND_LISTED];
};

int watch_hello_encode(const struct watch_hello *hello, uint8_t *buffer, size_t size);
int watch_hello_decode(const uint8_t *data, size_t length, struct watch_hello *ret_hello);

int watch_pong_encode(const struct watch_pong *pong, uint8_t *buffer, size_t size);
int watch_pong_decode(const uint8_t *data, size_t length, struct watch_pong *ret_pong);

int watch_status_encode(const struct watch_status *status, uint8_t *buffer, size_t size);
int watch_status_decode(const uint8_t *data, size_t length, struct watch_status *ret_status);

#endif
