/*
 * journal_writer: the one writer of a member's journal.
 *
 *     r = journal_writer_create(feed_fd, slot, epoch, task, &limits, &writer);     // a new epoch
 *     r = journal_writer_recover(feed_fd, slot, epoch, &limits, slot.segment, &writer);
 *     journal_writer_append(writer, JOURNAL_CHANGE, payload, length, &sequence);   // into memory
 *     r = journal_writer_commit(writer);         // on the server, with fsync
 *     ... only now may the slot say journal_writer_sequence(writer) ...
 *     journal_writer_close(writer);
 *
 * A full segment is followed by another: that one is made, synced and its directory synced before
 * the old one's NEXT record names it, so who reads NEXT finds the segment. When there are more than
 * limits.segments, the oldest goes.
 *
 * A commit that fails (-ENOSPC, -EDQUOT, -EIO, ...) has kept everything: commit again later. After
 * a crash recovery goes on behind the last whole record, whether it was announced or not.
 *
 * Memory is bounded: append says -ENOBUFS when JOURNAL_PENDING_MAX bytes wait for a commit.
 * Threads: one. Create, recover, commit and close may hang with the mount. feed_fd stays the
 * caller's.
 */
#ifndef LIB_SHARE_JOURNAL_WRITER_H
#define LIB_SHARE_JOURNAL_WRITER_H

#include <stdint.h>

#include "lib/share/journal.h"

enum { JOURNAL_PENDING_MAX = 128 * 1024 };

struct journal_limits {
    int64_t segment_bytes; /* at least one of the longest records fits, whatever this says */
    int64_t segments;      /* kept, at least 2 */
    int64_t gid;           /* -1 leaves the group as it is */
};

struct journal_writer;

/* Makes feed/SLOT-EPOCH with its first segment. -EEXIST: this epoch was used before. */
int journal_writer_create(int feed_fd, unsigned slot, uint32_t epoch, const char *observer,
                          const struct journal_limits *limits, struct journal_writer **ret_writer);

/* segment: any that still exists, best the one that the slot names. -EBADMSG: damaged. */
int journal_writer_recover(int feed_fd, unsigned slot, uint32_t epoch,
                           const struct journal_limits *limits, uint32_t segment,
                           struct journal_writer **ret_writer);

/* type: JOURNAL_CHANGE or JOURNAL_NOTICE. -EMSGSIZE, -ENOBUFS, -EOVERFLOW: no sequence is left. */
int journal_writer_append(struct journal_writer *writer, uint16_t type, const void *payload,
                          size_t length, uint64_t *ret_sequence);
int journal_writer_commit(struct journal_writer *writer);

uint64_t journal_writer_sequence(const struct journal_writer *writer); /* of the last committed */
uint32_t journal_writer_segment(const struct journal_writer *writer);  /* which holds that one */

void journal_writer_close(struct journal_writer *writer); /* what was not committed is lost */

#endif
