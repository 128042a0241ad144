/* A journal on real files, and what is in it: what the tests of its writer and reader share. */
#ifndef TESTS_UNIT_JOURNAL_FIXTURE_H
#define TESTS_UNIT_JOURNAL_FIXTURE_H

#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
/* cmocka needs these */
#include <cmocka.h>

#include "lib/bytes.h"
#include "lib/share/journal_reader.h"
#include "lib/share/journal_writer.h"
#include "lib/share/slot.h"

enum { SLOT = 7, EPOCH = 3, FILE_MAX = 1 << 20 };

static char dir_name[32];
static int feed_fd;
static const struct journal_limits limits = {.segment_bytes = 4096, .segments = 1000, .gid = -1};

static inline int set_up(void **state)
{
    /* many fsyncs: in memory where that is possible */
    snprintf(dir_name, sizeof(dir_name), "%s/journal-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (!mkdtemp(dir_name))
        return -1;
    feed_fd = open(dir_name, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return feed_fd < 0;
}

static inline int remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
    return remove(path);
}

static inline int tear_down(void **state)
{
    close(feed_fd);
    return nftw(dir_name, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* ---- files ---- */

static inline const char *segment_path(uint32_t segment)
{
    static char path[128];
    char dir[JOURNAL_NAME_MAX], name[JOURNAL_NAME_MAX];
    snprintf(path, sizeof(path), "%s/%s/%s", dir_name, journal_dir_name(SLOT, EPOCH, dir),
             journal_segment_name(segment, name));
    return path;
}

static inline size_t get_file(uint32_t segment, uint8_t *buffer)
{
    int fd = open(segment_path(segment), O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    ssize_t n = read(fd, buffer, FILE_MAX);
    close(fd);
    assert_true(n >= 0);
    return (size_t)n;
}

static inline void put_file(uint32_t segment, const uint8_t *data, size_t length)
{
    int fd = open(segment_path(segment), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, length), length);
    close(fd);
}

/* ---- writing and reading ---- */

static inline struct journal_writer *create(const struct journal_limits *l)
{
    struct journal_writer *writer;
    assert_int_equal(journal_writer_create(feed_fd, SLOT, EPOCH, "task-1", l, &writer), 0);
    return writer;
}

static inline int recover(uint32_t segment, struct journal_writer **ret)
{
    return journal_writer_recover(feed_fd, SLOT, EPOCH, &limits, segment, ret);
}

/* A payload that tells its number; lengths differ. */
static inline size_t payload_of(uint64_t number, uint8_t *payload)
{
    size_t length = 8 + number * 37 % 300;
    memset(payload, (int)number, length);
    put_le64(payload, number);
    return length;
}

static inline void append(struct journal_writer *writer, uint64_t number)
{
    uint8_t payload[512];
    uint64_t sequence;
    size_t length = payload_of(number, payload);
    assert_int_equal(journal_writer_append(writer, JOURNAL_CHANGE, payload, length, &sequence), 0);
    assert_int_equal(sequence, number);
}

static inline void fill(struct journal_writer *writer, uint64_t from, uint64_t to)
{
    for (uint64_t number = from; number <= to; number++) {
        append(writer, number);
        if (number % 3 == 0 || number == to)
            assert_int_equal(journal_writer_commit(writer), 0);
    }
    assert_int_equal(journal_writer_sequence(writer), to);
}

static inline struct journal_reader *reader_at(uint32_t segment)
{
    struct journal_reader *reader;
    assert_int_equal(journal_reader_new(feed_fd, SLOT, EPOCH, segment, false, &reader), 0);
    return reader;
}

static inline void expect(struct journal_reader *reader, uint64_t until, uint64_t number)
{
    uint8_t payload[512];
    struct journal_record record;
    size_t length = payload_of(number, payload);
    assert_int_equal(journal_reader_next(reader, until, &record), 1);
    assert_int_equal(record.sequence, number);
    assert_int_equal(record.type, JOURNAL_CHANGE);
    assert_int_equal(record.length, length);
    assert_memory_equal(record.payload, payload, length);
}

static inline void expect_all(struct journal_reader *reader, uint64_t from, uint64_t to)
{
    struct journal_record record;
    for (uint64_t number = from; number <= to; number++)
        expect(reader, to, number);
    assert_int_equal(journal_reader_next(reader, to, &record), 0);
    assert_int_equal(journal_reader_sequence(reader), to);
}

static inline int next(struct journal_reader *reader)
{
    struct journal_record record;
    return journal_reader_next(reader, SLOT_SEQUENCE_MAX, &record);
}

/* All that is there can be read from the start. */
static inline void check_whole(uint64_t to)
{
    struct journal_reader *reader = reader_at(1);
    expect_all(reader, 1, to);
    assert_string_equal(journal_reader_observer(reader), "task-1");
    journal_reader_free(reader);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
