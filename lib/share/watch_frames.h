/*
 * watch_frames: what efs-watch and the sidecar say to each other, as frames (lib/frame.h) on a
 * socketpair. The sidecar starts `efs-watch --child=FD DIR` and keeps the other end.
 *
 *   efs-watch -> sidecar
 *     HELLO      struct watch_hello      first frame; another version ends the conversation
 *     CHANGE     change_encode()         also resync
 *     READY      struct watch_status     every directory is watched and has been read, or is in the
 *                                        status as blind; sent once
 *     STATUS     struct watch_status     when it changed, at most once a second
 *     PONG       struct watch_pong       answer to PING, in the order of events: every change that
 *                                        happened before the ping has been sent before the pong. It
 *                                        comes from the loop that consumes events, not from a timer
 *     ANNOUNCED  struct watch_announced  answer to ANNOUNCE: the slot says it, or why it never will
 *     NOTICE     struct watch_notice     what another member's sidecar announced
 *   sidecar -> efs-watch
 *     PING       u64 nonce, u32 enum log_level: what is logged from now on
 *     STOP       no payload: send and announce what is pending and exit 0
 *     ANNOUNCE   struct watch_announce   append this record to the member's journal, behind every
 *                                        local change that happened before
 *
 * A member's efs-watch inherits the descriptor that holds the slot (`--board=FD --slot=N
 * --epoch=N`). It ends with WATCH_EXIT_FENCED when it learns that the slot is not its own any more.
 *
 * A closed socket ends efs-watch too. Encoders return the length or -EMSGSIZE; decoders 0 or
 * -EBADMSG. Strings and payloads of what is decoded point into data. Times are clock_now_ms():
 * both ends are one machine. Threads: safe.
 */
#ifndef LIB_SHARE_WATCH_FRAMES_H
#define LIB_SHARE_WATCH_FRAMES_H

#include <stddef.h>
#include <stdint.h>

#include "lib/share/change.h"

enum watch_frame {
    WATCH_FRAME_HELLO = 1,
    WATCH_FRAME_CHANGE,
    WATCH_FRAME_READY,
    WATCH_FRAME_STATUS,
    WATCH_FRAME_PONG,
    WATCH_FRAME_ANNOUNCED,
    WATCH_FRAME_NOTICE,
    WATCH_FRAME_PING = 64,
    WATCH_FRAME_STOP,
    WATCH_FRAME_ANNOUNCE,
};

enum {
    WATCH_FRAMES_VERSION = 3,
    WATCH_EXIT_FENCED = 70,
    WATCH_HELLO_BYTES = 8,
    WATCH_PING_BYTES = 12,
    WATCH_PONG_BYTES = 12,
    WATCH_ANNOUNCED_BYTES = 8 + 4 + 8,
    WATCH_RECORD_MAX = 16 * 1024, /* payload of a record in a journal */
    WATCH_ANNOUNCE_MAX = 8 + 2 + WATCH_RECORD_MAX,
    WATCH_NOTICE_MAX = 2 + 4 + 2 + CHANGE_OBSERVER_MAX + 1 + WATCH_RECORD_MAX,
    WATCH_BLIND_LISTED = 8,     /* of all blind subtrees, the first few are named */
    WATCH_BLIND_PATH_MAX = 511, /* a longer path is cut */
    WATCH_STATUS_MAX = 256 + WATCH_BLIND_LISTED * (WATCH_BLIND_PATH_MAX + 16),
};

struct watch_hello {
    uint32_t version, epoch;
};

struct watch_pong {
    uint64_t nonce;
    uint32_t scanning; /* directories still to be read: their contents may not have been reported */
};

struct watch_announce {
    uint64_t id;   /* comes back in the answer; 0 asks for none */
    uint16_t type; /* of the record */
    size_t length;
    const uint8_t *payload;
};

struct watch_announced {
    uint64_t id;
    int32_t result; /* 0; -EOPNOTSUPP: a listener; -ENOBUFS: too many wait; -errno */
    uint64_t sequence;
};

struct watch_notice {
    uint16_t slot;
    uint32_t epoch;
    const char *observer;
    size_t length;
    const uint8_t *payload; /* as in the record */
};

struct watch_blind {
    int code; /* errno: ENOSPC the user's inotify limit, EDQUOT watch.max_dirs, EACCES, ... */
    const char *path;
};

/* The peers' part. fresh_ms is the end of all doubt: what peers had announced by then is delivered.
 */
struct watch_feed_status {
    uint32_t peers;            /* joined slots of others */
    uint32_t announce_pending; /* records not yet in the slot */
    uint32_t announce_error;   /* errno: why they are not, and are tried again; 0 it works */
    uint32_t poll_us;          /* what the last poll took */
    uint64_t poll_sent_ms;     /* when the last poll that came back was sent; 0: none has */
    uint64_t fresh_ms;         /* when the last poll was sent whose news are delivered; 0: none */
    uint64_t announced;        /* sequence in the slot */
    uint64_t polls, board_reads;
    uint64_t records; /* of peers */
    uint64_t gaps;    /* faults of peers' journals that became a resync */
};

enum watch_scan_state { WATCH_SCAN_OFF, WATCH_SCAN_STANDBY, WATCH_SCAN_IDLE, WATCH_SCAN_RUNNING };

struct watch_scan_status {
    uint32_t state;    /* enum watch_scan_state; standby: another member is the scanner */
    uint32_t permille; /* of the scan that runs */
    uint64_t entries;  /* in the snapshot */
    uint64_t fresh_ms; /* when the last complete scan began; 0: none */
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
    struct watch_feed_status feed;
    struct watch_scan_status scan;
    uint32_t listed; /* entries of blinds[] */
    struct watch_blind blinds[WATCH_BLIND_LISTED];
};

int watch_hello_encode(const struct watch_hello *hello, uint8_t *buffer, size_t size);
int watch_hello_decode(const uint8_t *data, size_t length, struct watch_hello *ret_hello);

int watch_pong_encode(const struct watch_pong *pong, uint8_t *buffer, size_t size);
int watch_pong_decode(const uint8_t *data, size_t length, struct watch_pong *ret_pong);

int watch_announce_encode(const struct watch_announce *announce, uint8_t *buffer, size_t size);
int watch_announce_decode(const uint8_t *data, size_t length, struct watch_announce *ret_announce);

int watch_announced_encode(const struct watch_announced *announced, uint8_t *buffer, size_t size);
int watch_announced_decode(const uint8_t *data, size_t length,
                           struct watch_announced *ret_announced);

int watch_notice_encode(const struct watch_notice *notice, uint8_t *buffer, size_t size);
int watch_notice_decode(const uint8_t *data, size_t length, struct watch_notice *ret_notice);

int watch_status_encode(const struct watch_status *status, uint8_t *buffer, size_t size);
int watch_status_decode(const uint8_t *data, size_t length, struct watch_status *ret_status);

#endif
