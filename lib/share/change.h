/*
 * change: the one event record. A change is a state notification: "look at this path", at least
 * once, coalesced per path. It goes as bytes between efs-watch and the sidecar, and as a JSON line
 * (change_line.h) to people and to the API.
 *
 *     struct change change = {.op = CHANGE_MODIFY, .path = "a/b", .flags = CHANGE_HAS_ATTRS, ...};
 *     int n = change_encode(&change, buffer, sizeof(buffer));     // length or -errno
 *     r = change_decode(data, length, &change);                   // strings point into data
 *
 * Paths are relative to the watched root; "" is the root itself. They are bytes without NUL: a name
 * that is not UTF-8 survives the binary form, and JSON shows it lossily beside an exact
 * "path_base64". change_decode() refuses absolute paths, "." and "..", empty components and
 * whatever is out of bounds (-EBADMSG), so what it returns may come from another host.
 *
 * A consumer that gets `resync` forgets what it knows at and under the path; what exists there is
 * reported again by `create`. Two exceptions: after the reason `blind` nothing more comes from
 * there; and a resync without an observer is the API's own word to a reader who fell behind, or
 * came back with a cursor of before: he lists the directory himself. A rename of a directory moves
 * everything under it; its contents are not reported again.
 *
 * Threads: safe.
 */
#ifndef LIB_SHARE_CHANGE_H
#define LIB_SHARE_CHANGE_H

#include <stddef.h>
#include <stdint.h>

enum change_op {
    CHANGE_CREATE = 1,
    CHANGE_MODIFY,
    CHANGE_DELETE,
    CHANGE_RENAME, /* from -> path */
    CHANGE_ATTRIB, /* mode, owner, times */
    CHANGE_PUBLISH,
    CHANGE_RESYNC, /* something was or may be lost under path */
};

/* Why a resync. */
enum change_reason {
    CHANGE_REASON_NONE,          /* not a resync */
    CHANGE_REASON_OVERFLOW,      /* the kernel's queue overflowed */
    CHANGE_REASON_SLOW_READER,   /* the reader of the changes fell behind */
    CHANGE_REASON_BLIND,         /* this directory is not watched */
    CHANGE_REASON_UNLINKED,      /* a file was removed while open; NFS does not say which */
    CHANGE_REASON_RESTART,       /* the watcher was started again */
    CHANGE_REASON_ROOT_REPLACED, /* the watched root or mount is another one now */
    CHANGE_REASON_RENAMED,       /* directories moved while they were being watched */
    CHANGE_REASON_PEER_DIED,     /* the observer died: what it saw last may not have been told */
    CHANGE_REASON_FENCED,        /* the observer lost its slot and has a new one */
    CHANGE_REASON_JOURNAL_GAP,   /* records of the observer could not be read */
    CHANGE_REASON_SCAN,          /* the scan could not tell what changed */
};

/* How it came to be known. */
enum change_source {
    CHANGE_SOURCE_LOCAL, /* this host's own inotify */
    CHANGE_SOURCE_PEER,  /* another member's journal */
    CHANGE_SOURCE_SCAN,  /* comparing the tree with what it was */
};

enum change_flags {
    CHANGE_IS_DIR = 1 << 0,
    CHANGE_HAS_ATTRS = 1 << 1,  /* size, mtime_ns and ctime_ns are known */
    CHANGE_HAS_DIGEST = 1 << 2, /* sha256 is */
};

enum {
    CHANGE_PATH_MAX = 4095,
    CHANGE_OBSERVER_MAX = 255,
    CHANGE_HEADER_BYTES = 52,
    CHANGE_DIGEST_BYTES = 32,
    CHANGE_ENCODED_MAX = CHANGE_HEADER_BYTES + 2 * (CHANGE_PATH_MAX + 1) + CHANGE_OBSERVER_MAX + 1 +
                         CHANGE_DIGEST_BYTES,
};

struct change {
    enum change_op op;
    enum change_reason reason;
    enum change_source source;
    uint32_t flags;
    uint32_t epoch;    /* another one each time the observer starts */
    uint64_t sequence; /* grows by one per change of an epoch; with epoch: the cursor */
    uint64_t size;
    int64_t mtime_ns, ctime_ns;
    const char *path;
    const char *from;      /* of a rename; NULL or "" else */
    const char *observer;  /* the task that saw it; NULL or "": whoever sends the record */
    const uint8_t *sha256; /* of the content that size and mtime_ns belong to */
};

const char *change_op_name(enum change_op op);
const char *change_reason_name(enum change_reason reason);
const char *change_source_name(enum change_source source);

/* As the fields mtime_ns and ctime_ns; what does not fit becomes the nearest that does. */
struct statx_timestamp;
int64_t change_time_ns(const struct statx_timestamp *time);

/* Bytes written, or -EINVAL (a field is out of bounds) or -EMSGSIZE. */
int change_encode(const struct change *change, uint8_t *buffer, size_t size);
int change_decode(const uint8_t *data, size_t length, struct change *ret_change);

/* "EPOCH.SEQUENCE" */
enum { CHANGE_CURSOR_TEXT = 34 };
const char *change_cursor_format(uint32_t epoch, uint64_t sequence, char *buf);
int change_cursor_parse(const char *text, uint32_t *ret_epoch, uint64_t *ret_sequence);

#endif
