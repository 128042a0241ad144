/*
 * journal_reader: reads what another member has recorded. One for each slot and epoch.
 *
 *     r = journal_reader_new(feed_fd, slot, epoch, segment, direct, &reader);
 *     journal_reader_seek(reader, known);                 // that and all before were read before
 *     while ((r = journal_reader_next(reader, announced, &record)) == 1)
 *         ...                                             // valid until the next call
 *     journal_reader_free(reader);
 *
 * `segment` is where the slot said that its record is: the old word's segment for a reader that
 * stands behind the old word, 1 for a new epoch. Segments that follow are found by their names in
 * NEXT. Before a name is looked up for the first time the directories are synced with the server:
 * otherwise this client may believe for half a minute that it does not exist.
 *
 * journal_reader_next() returns
 *     1         the next record, its sequence at most `until`
 *     0         no whole record up to `until` yet: zeros, a short tail, a torn record. If `until`
 *               was announced this passes, unless something is damaged: ask again, not for ever
 *     -ESTALE   lost: a segment or a sequence is gone. There is nothing more to be had
 *     -EBADMSG  this cannot be a journal of that member
 *     -errno    the file cannot be read now
 *
 * The file is untrusted input. Memory: one buffer, only while there is something to read, and at
 * most one descriptor. Threads: one. Next may hang with the mount. feed_fd stays the caller's and
 * open.
 */
#ifndef LIB_SHARE_JOURNAL_READER_H
#define LIB_SHARE_JOURNAL_READER_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/share/journal.h"

struct journal_reader;

/* Opens nothing yet. direct: with O_DIRECT, for NFS, where cached reads lag by seconds. */
int journal_reader_new(int feed_fd, unsigned slot, uint32_t epoch, uint32_t segment, bool direct,
                       struct journal_reader **ret_reader);
void journal_reader_free(struct journal_reader *reader);

/* Stand behind this sequence; before the first next(). */
void journal_reader_seek(struct journal_reader *reader, uint64_t sequence);

int journal_reader_next(struct journal_reader *reader, uint64_t until,
                        struct journal_record *ret_record);

uint64_t journal_reader_sequence(const struct journal_reader *reader); /* of the last record read */
uint32_t journal_reader_segment(const struct journal_reader *reader);
const char *journal_reader_observer(const struct journal_reader *reader); /* "" before the first */

/* Where in its segment the next record starts: for the writer, which goes on there. */
int64_t journal_reader_offset(const struct journal_reader *reader);

#endif
