/* A segment as a peer finds it, first its records one by one, then through the reader. Parsed means
 * that everything in it was handed out or understood. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/bytes.h"
#include "lib/crc32c.h"
#include "lib/share/change.h"
#include "lib/share/journal_reader.h"
#include "lib/share/notice.h"
#include "lib/share/slot.h"
#include "tests/fuzz/driver.h"

static char dir_name[64], journal_path[80], segment_path[96];
static int feed_fd = -1;

static void clean_up(void)
{
    unlink(segment_path);
    rmdir(journal_path);
    rmdir(dir_name);
}

static void set_up(void)
{
    snprintf(dir_name, sizeof(dir_name), "%s/fuzz-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    MUST(mkdtemp(dir_name));
    feed_fd = open(dir_name, O_PATH | O_DIRECTORY | O_CLOEXEC);
    snprintf(journal_path, sizeof(journal_path), "%s/3-5", dir_name);
    snprintf(segment_path, sizeof(segment_path), "%s/1.log", journal_path);
    MUST(feed_fd >= 0 && mkdir(journal_path, 0700) == 0);
    atexit(clean_up);
}

static void write_segment(const char *text, size_t length)
{
    int fd = open(segment_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    MUST(fd >= 0 && write(fd, text, length) == (ssize_t)length);
    close(fd);
}

/* Every record that decodes says the same when it is encoded again. */
static void repeat_records(const char *text, size_t length)
{
    static uint8_t again[JOURNAL_RECORD_MAX + 8];
    struct journal_record record;
    int n;
    for (const uint8_t *p = (const uint8_t *)text; length > 0; p += n, length -= (size_t)n) {
        n = journal_record_decode(p, length, &record);
        if (n <= 0)
            return;
        MUST((size_t)n <= length && record.length <= JOURNAL_PAYLOAD_MAX);
        journal_record_encode(record.type, record.sequence, record.payload, record.length, again);
        struct journal_record same;
        MUST(journal_record_decode(again, (size_t)n, &same) == n && same.type == record.type);
    }
}

static int check_payload(const struct journal_record *record)
{
    struct change change;
    struct notice notice;
    if (record->type == JOURNAL_CHANGE)
        return change_decode(record->payload, record->length, &change);
    return record->type == JOURNAL_NOTICE ? notice_decode(record->payload, record->length, &notice)
                                          : 0;
}

/* What a peer would write that means it: no invented input gets past the checksums otherwise. */
static void set_checksums(uint8_t *p, size_t length)
{
    while (length >= JOURNAL_RECORD_HEADER_BYTES && get_le32(p) <= JOURNAL_PAYLOAD_MAX) {
        size_t bytes = journal_record_bytes(get_le32(p));
        if (bytes > length)
            return;
        put_le32(p + 4, crc32c(0, p + 8, bytes - 8));
        p += bytes;
        length -= bytes;
    }
}

static int read_segment(const char *text, size_t length)
{
    struct journal_reader *reader;
    struct journal_record record;
    uint64_t last = 0;
    int r, bad = 0;
    write_segment(text, length);
    MUST(journal_reader_new(feed_fd, 3, 5, 1, false, &reader) == 0);
    while ((r = journal_reader_next(reader, SLOT_SEQUENCE_MAX, &record)) == 1) {
        MUST(record.sequence > 0 && (last == 0 || record.sequence == last + 1));
        MUST(record.type != JOURNAL_HEADER && record.type != JOURNAL_NEXT);
        last = record.sequence;
        bad |= check_payload(&record);
    }
    MUST(r == 0 || r == -ESTALE || r == -EBADMSG);
    MUST(strlen(journal_reader_observer(reader)) <= JOURNAL_OBSERVER_MAX);
    bool all = last > 0 && journal_reader_offset(reader) == (int64_t)length;
    journal_reader_free(reader);
    return r == 0 && all && bad == 0 ? 0 : -1;
}

int fuzz_parse(const char *text, size_t length)
{
    if (feed_fd < 0)
        set_up();
    repeat_records(text, length);
    char *copy = malloc(length + 1);
    MUST(copy);
    memcpy(copy, text, length);
    set_checksums((uint8_t *)copy, length);
    read_segment(copy, length);
    free(copy);
    return read_segment(text, length);
}
