#include "lib/share/journal_writer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/bytes.h"
#include "lib/cleanup.h"
#include "lib/share/journal_reader.h"
#include "lib/share/layout.h"
#include "lib/share/slot.h"
#include "lib/test_hook.h"

enum { NEXT_BYTES = 32 };

struct journal_writer {
    struct journal_limits limits;
    struct journal_header header; /* of the current segment */
    int dir_fd, fd;
    int64_t offset;    /* where the next record goes */
    uint64_t sequence; /* of the last record on the server */
    uint32_t holding;  /* the segment that holds it */
    uint32_t oldest;   /* segment that was not removed yet */
    uint64_t appended; /* sequence of the last record in memory */
    uint8_t *pending;
    size_t pending_bytes;
};

static int write_all(int fd, const uint8_t *data, size_t length, int64_t offset)
{
    while (length > 0) {
        ssize_t n = pwrite(fd, data, length, offset);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n == 0)
            return -EIO;
        if (n > 0) {
            data += n;
            offset += n;
            length -= (size_t)n;
        }
    }
    return test_hook_omits("fsync") || fdatasync(fd) == 0 ? 0 : -errno;
}

/* A segment with its HEADER, on the server under its name. What a crash or a failure has left
 * under this name was never named by NEXT. */
static int make_segment(struct journal_writer *w, uint32_t segment, int *ret_fd, int64_t *ret_bytes)
{
    char name[JOURNAL_NAME_MAX];
    uint8_t payload[JOURNAL_RECORD_HEADER_BYTES + JOURNAL_OBSERVER_MAX], record[512];
    struct journal_header header = w->header;
    header.segment = segment;
    int n = journal_header_encode(&header, payload, sizeof(payload));
    if (n < 0)
        return n;
    _cleanup_close_ int fd =
        openat(w->dir_fd, journal_segment_name(segment, name),
               O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, LAYOUT_FILE_MODE);
    if (fd < 0)
        return -errno;
    journal_record_encode(JOURNAL_HEADER, w->sequence + 1, payload, (size_t)n, record);
    int r = layout_share(fd, LAYOUT_FILE_MODE, w->limits.gid);
    if (r == 0)
        r = write_all(fd, record, journal_record_bytes((size_t)n), 0);
    if (r < 0)
        return r;
    if (!test_hook_omits("fsync") && fsync(w->dir_fd) < 0)
        return -errno;
    *ret_fd = take_fd(&fd);
    *ret_bytes = (int64_t)journal_record_bytes((size_t)n);
    return 0;
}

static void go_on_in(struct journal_writer *w, uint32_t segment, int fd, int64_t offset)
{
    if (w->fd >= 0)
        close(w->fd);
    w->fd = fd;
    w->header.segment = segment;
    w->offset = offset;
}

/* As many as are too many; one that cannot be removed is tried again at the next rotation. */
static void remove_oldest(struct journal_writer *w)
{
    char name[JOURNAL_NAME_MAX];
    while (w->header.segment - w->oldest >= w->limits.segments) {
        if (unlinkat(w->dir_fd, journal_segment_name(w->oldest, name), 0) < 0 && errno != ENOENT)
            return;
        w->oldest++;
    }
}

static int rotate(struct journal_writer *w)
{
    _cleanup_close_ int fd = -1;
    int64_t start = 0;
    uint8_t payload[sizeof(uint32_t)], record[NEXT_BYTES];
    uint32_t segment = w->header.segment + 1;
    int r = make_segment(w, segment, &fd, &start);
    if (r < 0)
        return r;
    put_le32(payload, segment);
    journal_record_encode(JOURNAL_NEXT, w->sequence + 1, payload, sizeof(payload), record);
    r = write_all(w->fd, record, NEXT_BYTES, w->offset);
    if (r < 0)
        return r;
    go_on_in(w, segment, take_fd(&fd), start);
    remove_oldest(w);
    return 0;
}

/* How many bytes of whole records fit into this segment before its NEXT; an empty one takes any
 * record. */
static size_t fitting(const struct journal_writer *w, uint64_t *ret_records)
{
    size_t bytes = 0;
    uint64_t records = 0;
    while (bytes < w->pending_bytes) {
        size_t more = journal_record_bytes(get_le32(w->pending + bytes));
        int64_t end = w->offset + (int64_t)(bytes + more);
        bool empty = bytes == 0 && (w->sequence == 0 || w->holding != w->header.segment);
        if (!empty && end + NEXT_BYTES > w->limits.segment_bytes)
            break;
        bytes += more;
        records++;
    }
    *ret_records = records;
    return bytes;
}

int journal_writer_commit(struct journal_writer *w)
{
    while (w->pending_bytes > 0) {
        uint64_t records;
        size_t bytes = fitting(w, &records);
        int r = bytes > 0 ? write_all(w->fd, w->pending, bytes, w->offset) : rotate(w);
        if (r < 0)
            return r;
        if (bytes == 0)
            continue;
        w->offset += (int64_t)bytes;
        w->sequence += records;
        w->holding = w->header.segment;
        w->pending_bytes -= bytes;
        memmove(w->pending, w->pending + bytes, w->pending_bytes);
    }
    return 0;
}

int journal_writer_append(struct journal_writer *w, uint16_t type, const void *payload,
                          size_t length, uint64_t *ret_sequence)
{
    if (length > JOURNAL_PAYLOAD_MAX)
        return -EMSGSIZE;
    if (w->pending_bytes + journal_record_bytes(length) > JOURNAL_PENDING_MAX)
        return -ENOBUFS;
    if (w->appended >= SLOT_SEQUENCE_MAX)
        return -EOVERFLOW;
    journal_record_encode(type, ++w->appended, payload, length, w->pending + w->pending_bytes);
    w->pending_bytes += journal_record_bytes(length);
    *ret_sequence = w->appended;
    return 0;
}

uint64_t journal_writer_sequence(const struct journal_writer *w)
{
    return w->sequence;
}

uint32_t journal_writer_segment(const struct journal_writer *w)
{
    return w->holding;
}

void journal_writer_close(struct journal_writer *w)
{
    if (!w)
        return;
    if (w->fd >= 0)
        close(w->fd);
    if (w->dir_fd >= 0)
        close(w->dir_fd);
    free(w->pending);
    free(w);
}

static void close_writer_p(struct journal_writer **w)
{
    journal_writer_close(*w);
}

static int new_writer(unsigned slot, uint32_t epoch, const char *observer,
                      const struct journal_limits *limits, struct journal_writer **ret_writer)
{
    _cleanup_(close_writer_p) struct journal_writer *w = calloc(1, sizeof(*w));
    if (!w)
        return -ENOMEM;
    w->limits = *limits;
    if (w->limits.segments < 2)
        w->limits.segments = 2;
    w->header = (struct journal_header){.slot = (uint16_t)slot, .epoch = epoch, .segment = 1};
    w->dir_fd = w->fd = -1;
    w->holding = w->oldest = 1;
    w->pending = malloc(JOURNAL_PENDING_MAX);
    if (!w->pending)
        return -ENOMEM;
    if (strlen(observer) > JOURNAL_OBSERVER_MAX)
        return -EINVAL;
    memcpy(w->header.observer, observer, strlen(observer) + 1);
    *ret_writer = take_ptr(w);
    return 0;
}

static int open_dir(int feed_fd, const char *name, int *ret_fd)
{
    *ret_fd = openat(feed_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return *ret_fd < 0 ? -errno : 0;
}

/* feed_fd may be an O_PATH descriptor, which cannot be synced. */
static int sync_directory(int feed_fd)
{
    _cleanup_close_ int fd = -1;
    int r = open_dir(feed_fd, ".", &fd);
    return r == 0 && fsync(fd) < 0 ? -errno : r;
}

int journal_writer_create(int feed_fd, unsigned slot, uint32_t epoch, const char *observer,
                          const struct journal_limits *limits, struct journal_writer **ret_writer)
{
    _cleanup_(close_writer_p) struct journal_writer *w = NULL;
    char name[JOURNAL_NAME_MAX];
    int fd = -1;
    int64_t start = 0;
    int r = new_writer(slot, epoch, observer, limits, &w);
    if (r < 0)
        return r;
    if (mkdirat(feed_fd, journal_dir_name(slot, epoch, name), LAYOUT_DIR_MODE) < 0)
        return -errno;
    r = open_dir(feed_fd, name, &w->dir_fd);
    if (r == 0)
        r = layout_share(w->dir_fd, LAYOUT_DIR_MODE, limits->gid);
    if (r == 0)
        r = make_segment(w, 1, &fd, &start);
    if (r < 0)
        return r;
    go_on_in(w, 1, fd, start);
    r = sync_directory(feed_fd);
    if (r == 0)
        *ret_writer = take_ptr(w);
    return r;
}

/* The first segment that is still there, so that retention goes on from it. */
static int find_oldest(struct journal_writer *w)
{
    int fd;
    int r = open_dir(w->dir_fd, ".", &fd);
    if (r < 0)
        return r;
    _cleanup_closedir_ DIR *dir = fdopendir(fd);
    if (!dir) {
        close(fd);
        return -ENOMEM;
    }
    w->oldest = w->header.segment;
    for (const struct dirent *entry; (entry = readdir(dir));) {
        uint32_t segment;
        if (journal_segment_parse(entry->d_name, &segment) == 0 && segment < w->oldest)
            w->oldest = segment;
    }
    return 0;
}

static void free_reader_p(struct journal_reader **reader)
{
    journal_reader_free(*reader);
}

/* Read to the end of the last segment. */
static int find_end(struct journal_writer *w, int feed_fd, uint32_t segment)
{
    _cleanup_(free_reader_p) struct journal_reader *reader = NULL;
    struct journal_record record;
    int r = journal_reader_new(feed_fd, w->header.slot, w->header.epoch, segment, false, &reader);
    if (r < 0)
        return r;
    w->holding = segment;
    while ((r = journal_reader_next(reader, UINT64_MAX, &record)) == 1)
        w->holding = journal_reader_segment(reader);
    if (r < 0)
        return r;
    w->header.segment = journal_reader_segment(reader);
    w->sequence = w->appended = journal_reader_sequence(reader);
    w->offset = journal_reader_offset(reader);
    snprintf(w->header.observer, sizeof(w->header.observer), "%s", journal_reader_observer(reader));
    return w->offset > 0 ? 0 : -EBADMSG; /* its HEADER was synced before anything named it */
}

int journal_writer_recover(int feed_fd, unsigned slot, uint32_t epoch,
                           const struct journal_limits *limits, uint32_t segment,
                           struct journal_writer **ret_writer)
{
    _cleanup_(close_writer_p) struct journal_writer *w = NULL;
    char name[JOURNAL_NAME_MAX];
    int r = new_writer(slot, epoch, "", limits, &w);
    if (r == 0)
        r = find_end(w, feed_fd, segment);
    if (r == 0)
        r = open_dir(feed_fd, journal_dir_name(slot, epoch, name), &w->dir_fd);
    if (r == 0)
        r = find_oldest(w);
    if (r < 0)
        return r;
    w->fd = openat(w->dir_fd, journal_segment_name(w->header.segment, name),
                   O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    if (w->fd < 0)
        return -errno;
    /* The torn rest must not show up behind a shorter record; what is whole may not be synced. */
    if (ftruncate(w->fd, w->offset) < 0 || fsync(w->fd) < 0)
        return -errno;
    remove_oldest(w);
    *ret_writer = take_ptr(w);
    return 0;
}
