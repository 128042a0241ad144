#include "lib/share/journal_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/bytes.h"
#include "lib/cleanup.h"
#include "lib/share/slot.h"
#include "lib/test_hook.h"

/* Larger than any segment that a writer makes. */
enum { BUFFER_BYTES = 64 * 1024, SEGMENT_MAX_BYTES = 256 * 1024 * 1024 };
_Static_assert(BUFFER_BYTES >= 2 * JOURNAL_RECORD_MAX, "a record and the start of the next fit");

struct journal_reader {
    int feed_fd;
    unsigned slot;
    uint32_t epoch, segment;
    bool direct;
    int failed; /* there is nothing more to be had */

    int fd;
    int64_t offset;    /* of the next record in the segment */
    bool in_records;   /* the segment's HEADER has been read */
    uint64_t position; /* sequence of the next record in the file; 0: the first HEADER will say */
    uint64_t wanted;   /* sequence to hand out next; 0: the same */
    char observer[JOURNAL_OBSERVER_MAX + 1];

    uint8_t *buffer; /* what the file has from offset on: */
    size_t start, end;
};

int journal_reader_new(int feed_fd, unsigned slot, uint32_t epoch, uint32_t segment, bool direct,
                       struct journal_reader **ret_reader)
{
    struct journal_reader *reader = malloc(sizeof(*reader));
    if (!reader)
        return -ENOMEM;
    *reader = (struct journal_reader){
        .feed_fd = feed_fd,
        .slot = slot,
        .epoch = epoch,
        .segment = segment,
        .direct = direct,
        .fd = -1,
    };
    *ret_reader = reader;
    return 0;
}

/* What was read ahead may be written again before it is announced. */
static void drop_buffer(struct journal_reader *reader)
{
    free(reader->buffer);
    reader->buffer = NULL;
    reader->start = reader->end = 0;
}

static void close_segment(struct journal_reader *reader)
{
    drop_buffer(reader);
    if (reader->fd >= 0)
        close(reader->fd);
    reader->fd = -1;
    reader->offset = 0;
    reader->in_records = false;
}

void journal_reader_free(struct journal_reader *reader)
{
    if (!reader)
        return;
    close_segment(reader);
    free(reader);
}

void journal_reader_seek(struct journal_reader *reader, uint64_t sequence)
{
    reader->wanted = sequence + 1;
}

uint64_t journal_reader_sequence(const struct journal_reader *reader)
{
    return reader->wanted > 0 ? reader->wanted - 1 : 0;
}

uint32_t journal_reader_segment(const struct journal_reader *reader)
{
    return reader->segment;
}

int64_t journal_reader_offset(const struct journal_reader *reader)
{
    return reader->offset;
}

const char *journal_reader_observer(const struct journal_reader *reader)
{
    return reader->observer;
}

/* Without this the client may go on believing that a name does not exist. */
static int sync_directory(int fd)
{
    struct statx now;
    if (test_hook_omits("directory_sync"))
        return 0;
    return statx(fd, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_MTIME | STATX_CTIME, &now) < 0
               ? -errno
               : 0;
}

static int open_segment(struct journal_reader *reader)
{
    char name[JOURNAL_NAME_MAX];
    /* O_NONBLOCK: a FIFO of this name must not stop us. */
    const int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
    int r = sync_directory(reader->feed_fd);
    if (r < 0)
        return r;
    _cleanup_close_ int dir_fd =
        openat(reader->feed_fd, journal_dir_name(reader->slot, reader->epoch, name),
               O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (dir_fd < 0)
        return -errno;
    r = sync_directory(dir_fd);
    if (r < 0)
        return r;
    _cleanup_close_ int fd = openat(dir_fd, journal_segment_name(reader->segment, name),
                                    flags | (reader->direct ? O_DIRECT : 0));
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return -EBADMSG;
    reader->fd = take_fd(&fd);
    return 0;
}

/* 1 there is more in the buffer, 0 the file has no more now. */
static int fill(struct journal_reader *reader)
{
    if (!reader->buffer) {
        reader->buffer = malloc(BUFFER_BYTES);
        if (!reader->buffer)
            return -ENOMEM;
    }
    size_t unread = reader->end - reader->start;
    memmove(reader->buffer, reader->buffer + reader->start, unread);
    reader->start = 0;
    reader->end = unread;
    ssize_t n;
    do
        n = pread(reader->fd, reader->buffer + unread, BUFFER_BYTES - unread,
                  reader->offset + (off_t)unread);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    reader->end += (size_t)n;
    return n > 0;
}

/* The next record of the segment: 1, 0 nothing whole yet, or -errno. */
static int take_record(struct journal_reader *reader, struct journal_record *ret_record)
{
    for (;;) {
        size_t length = reader->end - reader->start;
        const uint8_t *data = length > 0 ? reader->buffer + reader->start : NULL;
        int r = length > 0 ? journal_record_decode(data, length, ret_record) : 0;
        if (r > 0) {
            reader->start += (size_t)r;
            reader->offset += r;
            return reader->offset <= SEGMENT_MAX_BYTES ? 1 : -EBADMSG;
        }
        if (r < 0)
            return r;
        if (length >= JOURNAL_RECORD_HEADER_BYTES && length >= journal_record_bytes(get_le32(data)))
            return 0; /* it is all there, and it is not a record */
        r = fill(reader);
        if (r <= 0)
            return r;
    }
}

static int take_header(struct journal_reader *reader, const struct journal_record *record)
{
    struct journal_header header = {0};
    if (record->type != JOURNAL_HEADER || record->sequence == 0 ||
        record->sequence > SLOT_SEQUENCE_MAX ||
        journal_header_decode(record->payload, record->length, &header) < 0 ||
        header.slot != reader->slot || header.epoch != reader->epoch ||
        header.segment != reader->segment)
        return -EBADMSG;
    if (reader->position > 0 && record->sequence != reader->position)
        return -EBADMSG;
    if (reader->wanted == 0)
        reader->wanted = record->sequence;
    if (record->sequence > reader->wanted)
        return -ESTALE; /* what is wanted was in a segment before this one */
    reader->position = record->sequence;
    reader->in_records = true;
    memcpy(reader->observer, header.observer, sizeof(header.observer));
    return 0;
}

static int go_to_next(struct journal_reader *reader, const struct journal_record *record)
{
    if (record->length != sizeof(uint32_t) || reader->segment == UINT32_MAX ||
        get_le32(record->payload) != reader->segment + 1)
        return -EBADMSG;
    close_segment(reader);
    reader->segment++;
    return 0;
}

/* 1 a record to hand out, 0 go on. */
static int take(struct journal_reader *reader, const struct journal_record *record)
{
    if (!reader->in_records)
        return take_header(reader, record);
    if (record->sequence != reader->position)
        return record->sequence > reader->position ? -ESTALE : -EBADMSG;
    if (record->type == JOURNAL_HEADER)
        return -EBADMSG;
    if (record->type == JOURNAL_NEXT)
        return go_to_next(reader, record);
    if (reader->position++ < reader->wanted)
        return 0;
    reader->wanted = reader->position;
    return 1;
}

static int fail(struct journal_reader *reader, int r)
{
    if (r == -ENOENT)
        r = -ESTALE; /* what NEXT or the slot names was there before it was named */
    if (r == -ELOOP || r == -ENOTDIR)
        r = -EBADMSG;
    if (r == -ESTALE || r == -EBADMSG) {
        reader->failed = r;
        close_segment(reader);
    }
    return r;
}

/* 1 a record to hand out, 0 go on, -EAGAIN nothing whole yet, or -errno. */
static int step(struct journal_reader *reader, struct journal_record *ret_record)
{
    struct journal_record record = {0};
    int r = reader->fd < 0 ? open_segment(reader) : 0;
    if (r == 0)
        r = take_record(reader, &record);
    if (r <= 0)
        return r == 0 ? -EAGAIN : r;
    r = take(reader, &record);
    if (r == 1)
        *ret_record = record;
    return r;
}

int journal_reader_next(struct journal_reader *reader, uint64_t until,
                        struct journal_record *ret_record)
{
    int r = reader->failed;
    while (r == 0 && reader->wanted <= until)
        r = step(reader, ret_record);
    if (r == 1)
        return 1;
    drop_buffer(reader);
    return r == -EAGAIN ? 0 : fail(reader, r);
}
