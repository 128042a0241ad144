/*
 * pending: changes that were seen and not yet told, at most one per path where that is possible.
 *
 * There are two kinds of entries in one queue:
 *   notes    "something happened to NAME in DIR". Later events for the same name merge into the
 *            note; its path is worked out when it is told, so it is right also when a directory
 *            above was renamed meanwhile.
 *   records  renames and resyncs, whose text is fixed, and marks (pong, ready, mark, notice).
 * What another member tells is kept the same way. A note that merges several events is the business
 * of whoever has to do most about it, see enum pending_origin.
 * When a directory is renamed the notes below it are moved behind the record of the rename, because
 * they carry the new path, and so are marks behind such notes. Nothing else changes its place.
 *
 *     pending_note(&pending, dir, "name", CHANGE_CREATE, PENDING_UNKNOWN);
 *     while ((entry = pending_first(&pending))) {
 *         ... tell it ...
 *         pending_remove(&pending, entry);
 *     }
 *     pending_forget(&pending, dir);                   // before dir is freed
 *
 * The caller keeps the number bounded: it stops reading events while pending_is_full().
 * All return 0 or -ENOMEM. Threads: one.
 */
#ifndef WATCHERS_PENDING_H
#define WATCHERS_PENDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "lib/share/change.h"
#include "lib/share/watch_frames.h"
#include "watchers/wd_table.h"

enum {
    PENDING_MAX = 16 * 1024, /* as many as the kernel's queue holds by default */
    PENDING_BYTES_MAX = 4 * 1024 * 1024,
    PENDING_BUCKETS = 4096,
};

enum pending_flags {
    PENDING_IS_DIR = 1 << 0,
    PENDING_UNKNOWN = 1 << 1, /* nothing was ever told about this name: it did not exist before */
    PENDING_FOUND = 1 << 2,   /* the origin; none of these: PENDING_FROM_HERE */
    PENDING_QUIET = 1 << 3,
    PENDING_PEER = 1 << 4,
};

/* How a change came to be known, and so whether the other members have to be told: the first that
 * applies to any of the events of a note. */
enum pending_origin {
    PENDING_FROM_HERE,  /* an event on this host: yes */
    PENDING_FROM_FIND,  /* found in a directory that another member made: if no member tells it */
    PENDING_FROM_AGAIN, /* reported again because of a resync: no, they hear of the resync */
    PENDING_FROM_PEER,  /* another member's record: no */
};

/* What another member's record says beside operation and path. */
struct pending_peer {
    bool has_attributes, has_digest;
    bool scanned; /* the scan found it, here or there */
    uint64_t size;
    int64_t mtime_ns, ctime_ns;
    uint8_t sha256[CHANGE_DIGEST_BYTES];
    char observer[]; /* "": this task's own sidecar */
};

enum pending_kind {
    PENDING_NOTE,
    PENDING_RECORD,
    PENDING_PONG,
    PENDING_READY,
    PENDING_MARK,
    PENDING_NOTICE,
};

struct pending_entry {
    TAILQ_ENTRY(pending_entry) order;
    LIST_ENTRY(pending_entry) in_dir;
    struct pending_entry *hash_next;
    struct dir *dir;           /* of a note */
    struct pending_peer *peer; /* owned; NULL: no member's record is in it */
    uint64_t nonce;            /* of a pong; of a mark its ticket; of a notice its length */
    uint32_t hash;
    uint32_t bytes;
    uint16_t from; /* of a rename: where in text the old path starts */
    uint8_t kind, op, reason, origin;
    bool is_dir, unknown;
    bool sealed; /* a later event makes a note of its own */
    char text[]; /* a note's name, a record's path, a notice's frame */
};
TAILQ_HEAD(pending_queue, pending_entry);

struct pending {
    struct pending_queue queue;
    struct pending_entry *buckets[PENDING_BUCKETS];
    size_t count, bytes;
};

void pending_init(struct pending *pending);
void pending_clear(struct pending *pending); /* all but marks */
void pending_release(struct pending *pending);

/* op: create, modify, delete, attrib or publish. */
int pending_note(struct pending *pending, struct dir *dir, const char *name, enum change_op op,
                 unsigned flags);

/* from_name in from_dir is name in dir now. To be called before the table learns of it; moved: what
 * the table has for from_name. */
int pending_rename(struct pending *pending, struct dir *from_dir, const char *from_name,
                   struct dir *dir, const char *name, struct dir *moved, unsigned flags);

int pending_resync(struct pending *pending, const char *path, enum change_reason reason,
                   unsigned flags);

/* The same from another member's record, with its attributes and observer; PENDING_PEER is implied.
 */
int pending_note_peer(struct pending *pending, struct dir *dir, const char *name,
                      const struct change *change);
int pending_rename_peer(struct pending *pending, struct dir *from_dir, const char *from_name,
                        struct dir *dir, const char *name, struct dir *moved,
                        const struct change *change);

/* A record as it is: a resync, or what happened where nothing is watched. */
int pending_record_peer(struct pending *pending, const struct change *change);

int pending_pong(struct pending *pending, uint64_t nonce);
int pending_ready(struct pending *pending);
int pending_mark(struct pending *pending, uint64_t ticket);
int pending_notice(struct pending *pending, const struct watch_notice *notice);

/* What a notice entry holds; points into the entry. */
struct watch_notice pending_as_notice(const struct pending_entry *entry);

struct pending_entry *pending_first(const struct pending *pending);
void pending_remove(struct pending *pending, struct pending_entry *entry);

/* Remove the notes in dir. */
void pending_forget(struct pending *pending, struct dir *dir);

static inline bool pending_is_full(const struct pending *pending)
{
    return pending->count >= PENDING_MAX || pending->bytes >= PENDING_BYTES_MAX;
}

#endif
