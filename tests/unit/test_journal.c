/* Writer and reader of journals on real files, and what both make of what a crash, a peer or
 * somebody else has left there. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/bytes.h"
#include "lib/cleanup.h"
#include "lib/share/journal_reader.h"
#include "lib/share/journal_writer.h"
#include "lib/share/slot.h"

enum { SLOT = 7, EPOCH = 3, FILE_MAX = 1 << 20 };

static char dir_name[32];
static int feed_fd;
static const struct journal_limits limits = {.segment_bytes = 4096, .segments = 1000, .gid = -1};

static int set_up(void **state)
{
    /* many fsyncs: in memory where that is possible */
    snprintf(dir_name, sizeof(dir_name), "%s/journal-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (!mkdtemp(dir_name))
        return -1;
    feed_fd = open(dir_name, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return feed_fd < 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
    return remove(path);
}

static int tear_down(void **state)
{
    close(feed_fd);
    return nftw(dir_name, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* ---- files ---- */

static const char *segment_path(uint32_t segment)
{
    static char path[128];
    char dir[JOURNAL_NAME_MAX], name[JOURNAL_NAME_MAX];
    snprintf(path, sizeof(path), "%s/%s/%s", dir_name, journal_dir_name(SLOT, EPOCH, dir),
             journal_segment_name(segment, name));
    return path;
}

static size_t get_file(uint32_t segment, uint8_t *buffer)
{
    int fd = open(segment_path(segment), O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    ssize_t n = read(fd, buffer, FILE_MAX);
    close(fd);
    assert_true(n >= 0);
    return (size_t)n;
}

static void put_file(uint32_t segment, const uint8_t *data, size_t length)
{
    int fd = open(segment_path(segment), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, length), length);
    close(fd);
}

/* ---- writing and reading ---- */

static struct journal_writer *create(const struct journal_limits *l)
{
    struct journal_writer *writer;
    assert_int_equal(journal_writer_create(feed_fd, SLOT, EPOCH, "task-1", l, &writer), 0);
    return writer;
}

static int recover(uint32_t segment, struct journal_writer **ret)
{
    return journal_writer_recover(feed_fd, SLOT, EPOCH, &limits, segment, ret);
}

/* A payload that tells its number; lengths differ. */
static size_t payload_of(uint64_t number, uint8_t *payload)
{
    size_t length = 8 + number * 37 % 300;
    memset(payload, (int)number, length);
    put_le64(payload, number);
    return length;
}

static void append(struct journal_writer *writer, uint64_t number)
{
    uint8_t payload[512];
    uint64_t sequence;
    size_t length = payload_of(number, payload);
    assert_int_equal(journal_writer_append(writer, JOURNAL_CHANGE, payload, length, &sequence), 0);
    assert_int_equal(sequence, number);
}

static void fill(struct journal_writer *writer, uint64_t from, uint64_t to)
{
    for (uint64_t number = from; number <= to; number++) {
        append(writer, number);
        if (number % 3 == 0 || number == to)
            assert_int_equal(journal_writer_commit(writer), 0);
    }
    assert_int_equal(journal_writer_sequence(writer), to);
}

static struct journal_reader *reader_at(uint32_t segment)
{
    struct journal_reader *reader;
    assert_int_equal(journal_reader_new(feed_fd, SLOT, EPOCH, segment, false, &reader), 0);
    return reader;
}

static void expect(struct journal_reader *reader, uint64_t until, uint64_t number)
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

static void expect_all(struct journal_reader *reader, uint64_t from, uint64_t to)
{
    struct journal_record record;
    for (uint64_t number = from; number <= to; number++)
        expect(reader, to, number);
    assert_int_equal(journal_reader_next(reader, to, &record), 0);
    assert_int_equal(journal_reader_sequence(reader), to);
}

static int next(struct journal_reader *reader)
{
    struct journal_record record;
    return journal_reader_next(reader, SLOT_SEQUENCE_MAX, &record);
}

/* All that is there can be read from the start. */
static void check_whole(uint64_t to)
{
    struct journal_reader *reader = reader_at(1);
    expect_all(reader, 1, to);
    assert_string_equal(journal_reader_observer(reader), "task-1");
    journal_reader_free(reader);
}

/* ---- tests ---- */

static void test_names(void **state)
{
    char name[JOURNAL_NAME_MAX];
    unsigned slot = 0;
    uint32_t epoch = 0;
    assert_string_equal(journal_dir_name(255, SLOT_EPOCH_MAX, name), "255-16777215");
    assert_int_equal(journal_dir_parse(name, &slot, &epoch), 0);
    assert_true(slot == 255 && epoch == SLOT_EPOCH_MAX);
    assert_string_equal(journal_segment_name(UINT32_MAX, name), "4294967295.log");
    static const char *const bad[] = {"",      "-",
                                      "1",     "1-",
                                      "-1",    "1-2 ",
                                      " 1-2",  "+1-2",
                                      "01-02", "1-2x",
                                      "1--2",  "1-2-3",
                                      "..",    "1-99999999999999999999999999999999999999999999"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(journal_dir_parse(bad[i], &slot, &epoch), -EINVAL);
    uint32_t segment = 0;
    assert_int_equal(journal_segment_parse("4294967295.log", &segment), 0);
    assert_true(segment == UINT32_MAX);
    static const char *const no_segments[] = {"0.log", "01.log", "1.lo", "1", "1.log.log", ".log"};
    for (size_t i = 0; i < ARRAY_LEN(no_segments); i++)
        assert_int_equal(journal_segment_parse(no_segments[i], &segment), -EINVAL);
}

static void test_rotation(void **state)
{
    struct journal_writer *writer = create(&limits);
    struct journal_writer *second;
    assert_int_equal(journal_writer_create(feed_fd, SLOT, EPOCH, "x", &limits, &second), -EEXIST);
    assert_int_equal(journal_writer_segment(writer), 1);
    fill(writer, 1, 200);
    uint32_t last = journal_writer_segment(writer);
    assert_in_range(last, 8, 20);
    check_whole(200);

    struct stat st;
    for (uint32_t i = 1; i <= last; i++) {
        assert_int_equal(stat(segment_path(i), &st), 0);
        assert_in_range(st.st_size, 64, limits.segment_bytes);
        assert_int_equal(st.st_mode & 07777, 0660);
    }
    /* from where the slot points to, with and without a word of before */
    struct journal_reader *reader = reader_at(last);
    journal_reader_seek(reader, 199);
    expect_all(reader, 200, 200);
    journal_reader_free(reader);
    reader = reader_at(3);
    journal_reader_seek(reader, 150);
    expect_all(reader, 151, 200);
    fill(writer, 201, 230);
    expect_all(reader, 201, 230);
    journal_reader_free(reader);
    journal_writer_close(writer);
}

static void test_large_records(void **state)
{
    static uint8_t payload[JOURNAL_PAYLOAD_MAX + 1];
    struct journal_writer *writer = create(&limits);
    struct journal_record record;
    uint64_t sequence;
    for (int i = 1; i <= 5; i++) { /* larger than a segment may be: each gets one of its own */
        memset(payload, i, sizeof(payload));
        assert_int_equal(
            journal_writer_append(writer, JOURNAL_NOTICE, payload, JOURNAL_PAYLOAD_MAX, &sequence),
            0);
    }
    assert_int_equal(
        journal_writer_append(writer, JOURNAL_NOTICE, payload, sizeof(payload), &sequence),
        -EMSGSIZE);
    assert_int_equal(journal_writer_commit(writer), 0);
    assert_int_equal(journal_writer_segment(writer), 5);
    struct journal_reader *reader = reader_at(1);
    for (int i = 1; i <= 5; i++) {
        assert_int_equal(journal_reader_next(reader, 5, &record), 1);
        assert_int_equal(record.length, JOURNAL_PAYLOAD_MAX);
        assert_int_equal(record.payload[JOURNAL_PAYLOAD_MAX - 1], i);
    }
    journal_reader_free(reader);
    int r;
    while ((r = journal_writer_append(writer, JOURNAL_NOTICE, payload, 1000, &sequence)) == 0)
        assert_in_range(sequence, 1, 1000);
    assert_int_equal(r, -ENOBUFS); /* memory is bounded; a commit makes room */
    assert_int_equal(journal_writer_commit(writer), 0);
    assert_int_equal(journal_writer_append(writer, JOURNAL_NOTICE, payload, 1000, &sequence), 0);
    journal_writer_close(writer);
}

static void test_retention_and_slow_reader(void **state)
{
    struct journal_limits few = limits;
    few.segments = 3;
    struct journal_writer *writer = create(&few);
    struct journal_reader *slow = reader_at(1), *slower = reader_at(1);
    expect_all(slow, 1, 0);
    append(writer, 1);
    assert_int_equal(journal_writer_commit(writer), 0);
    expect(slow, 1, 1);
    fill(writer, 2, 300);
    uint32_t last = journal_writer_segment(writer);
    assert_int_equal(access(segment_path(last - 2), F_OK), 0);
    assert_int_equal(access(segment_path(last - 3), F_OK), -1);
    /* It reads what it has open to its end, and then it is told. */
    int r;
    while ((r = next(slow)) == 1)
        ;
    assert_int_equal(r, -ESTALE);
    assert_in_range(journal_reader_sequence(slow), 2, 299);
    assert_int_equal(next(slow), -ESTALE); /* for good */
    assert_int_equal(next(slower), -ESTALE);
    journal_reader_free(slow);
    journal_reader_free(slower);

    /* what a restart finds goes on to be removed */
    journal_writer_close(writer);
    put_file(1, (const uint8_t *)"", 0);
    assert_int_equal(journal_writer_recover(feed_fd, SLOT, EPOCH, &few, last, &writer), 0);
    assert_int_equal(access(segment_path(1), F_OK), -1);
    fill(writer, 301, 310);
    journal_writer_close(writer);
}

/* Killed after any number of bytes of a record. */
static void test_kill_in_a_record(void **state)
{
    static uint8_t before[FILE_MAX], after[FILE_MAX];
    struct journal_writer *writer = create(&limits);
    fill(writer, 1, 5);
    size_t start = get_file(1, before);
    fill(writer, 6, 7);
    size_t end = get_file(1, after);
    journal_writer_close(writer);
    uint8_t payload[512];
    size_t sixth = start + journal_record_bytes(payload_of(6, payload));
    for (size_t cut = start; cut <= end; cut++) {
        for (int zeros = 0; zeros < 2; zeros++) { /* the file's size came first */
            uint8_t *file = calloc(1, end);
            memcpy(file, after, cut);
            size_t length = zeros ? end : cut;
            bool has_six = length >= sixth && memcmp(file, after, sixth) == 0;
            bool has_seven = length == end && memcmp(file, after, end) == 0;
            uint64_t whole = has_seven ? 7 : has_six ? 6 : 5;
            put_file(1, file, length);
            free(file);
            struct journal_reader *reader = reader_at(1);
            for (uint64_t i = 1; i <= whole; i++)
                expect(reader, 7, i);
            assert_int_equal(next(reader), 0);
            assert_int_equal(recover(1, &writer), 0);
            assert_int_equal(journal_writer_sequence(writer), whole);
            fill(writer, whole + 1, 9);
            journal_writer_close(writer);
            expect_all(reader, whole + 1, 9); /* it was only late */
            journal_reader_free(reader);
            check_whole(9);
        }
    }
}

/* Killed at any step of a change of segments. */
static void test_kill_in_a_rotation(void **state)
{
    static uint8_t first[FILE_MAX], second[FILE_MAX];
    struct journal_writer *writer = create(&limits);
    uint64_t last = 0;
    while (journal_writer_segment(writer) == 1)
        fill(writer, last + 1, last + 1), last++;
    journal_writer_close(writer);
    size_t first_bytes = get_file(1, first), second_bytes = get_file(2, second);
    uint8_t payload[512];
    const size_t record = journal_record_bytes(payload_of(last, payload));
    const size_t header = second_bytes - record, next_at = first_bytes - 32;

    for (int step = 0; step < 4 + 32; step++) {
        uint64_t whole = last - 1;
        unlink(segment_path(2));
        put_file(1, first, next_at + (step > 3 ? (size_t)step - 3 : 0));
        if (step > 0) /* made; half a header; a header; then NEXT comes, byte by byte */
            put_file(2, second, step == 1 ? 0 : step == 2 ? header / 2 : header);
        assert_int_equal(recover(1, &writer), 0);
        assert_int_equal(journal_writer_sequence(writer), whole);
        assert_int_equal(journal_writer_segment(writer), 1);
        fill(writer, last, last + 20);
        journal_writer_close(writer);
        check_whole(last + 20);
        for (uint32_t i = 3; unlink(segment_path(i)) == 0; i++)
            ;
    }
    /* the slot's segment may be one behind */
    put_file(1, first, first_bytes);
    put_file(2, second, second_bytes);
    assert_int_equal(recover(1, &writer), 0);
    assert_int_equal(journal_writer_segment(writer), 2);
    assert_int_equal(journal_writer_sequence(writer), last);
    journal_writer_close(writer);
}

/* A disk that is full for a while: nothing is lost, nothing is twice. */
static void test_commit_fails(void **state)
{
    struct rlimit old, small;
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old);
    for (rlim_t room = 100; room < 3000; room += 61) {
        tear_down(NULL);
        set_up(NULL);
        struct journal_writer *writer = create(&limits);
        small = (struct rlimit){.rlim_cur = room, .rlim_max = old.rlim_max};
        for (uint64_t i = 1; i <= 40; i++)
            append(writer, i);
        setrlimit(RLIMIT_FSIZE, &small);
        assert_int_equal(journal_writer_commit(writer), -EFBIG);
        assert_int_equal(journal_writer_commit(writer), -EFBIG);
        assert_in_range(journal_writer_sequence(writer), 0, 39);
        setrlimit(RLIMIT_FSIZE, &old);
        append(writer, 41);
        assert_int_equal(journal_writer_commit(writer), 0);
        assert_int_equal(journal_writer_sequence(writer), 41);
        journal_writer_close(writer);
        check_whole(41);
    }
}

/* What lies behind the word may still change. */
static void test_not_announced_is_not_kept(void **state)
{
    static uint8_t file[FILE_MAX];
    struct journal_writer *writer = create(&limits);
    struct journal_record record;
    fill(writer, 1, 1);
    size_t start = get_file(1, file);
    fill(writer, 2, 4);
    struct journal_reader *reader = reader_at(1);
    expect(reader, 1, 1);
    assert_int_equal(journal_reader_next(reader, 1, &record), 0);
    journal_writer_close(writer);
    put_file(1, file, start);
    assert_int_equal(recover(1, &writer), 0);
    uint64_t sequence;
    assert_int_equal(journal_writer_append(writer, JOURNAL_NOTICE, "other", 5, &sequence), 0);
    assert_int_equal(journal_writer_commit(writer), 0);
    assert_int_equal(journal_reader_next(reader, 2, &record), 1);
    assert_memory_equal(record.payload, "other", 5);
    journal_reader_free(reader);
    journal_writer_close(writer);
}

/* ---- what others may have put there ---- */

struct image {
    uint8_t bytes[2 * JOURNAL_RECORD_MAX];
    size_t length;
};

static void add(struct image *image, uint16_t type, uint64_t sequence, const void *payload,
                size_t length)
{
    journal_record_encode(type, sequence, payload, length, image->bytes + image->length);
    image->length += journal_record_bytes(length);
}

static void add_header(struct image *image, const struct journal_header *header, uint64_t first)
{
    uint8_t payload[512];
    int n = journal_header_encode(header, payload, sizeof(payload));
    assert_true(n > 0);
    add(image, JOURNAL_HEADER, first, payload, (size_t)n);
}

static const struct journal_header good = {.slot = SLOT, .epoch = EPOCH, .segment = 1};

/* The first result of reading that is not a record. */
static int read_image(const struct image *image)
{
    put_file(1, image->bytes, image->length);
    struct journal_reader *reader = reader_at(1);
    int r;
    while ((r = next(reader)) == 1)
        ;
    int again = next(reader);
    assert_int_equal(again, r);
    journal_reader_free(reader);
    return r;
}

static void test_headers_of_others(void **state)
{
    journal_writer_close(create(&limits));
    const struct {
        struct journal_header header;
        uint64_t first;
    } bad[] = {
        {{.slot = SLOT + 1, .epoch = EPOCH, .segment = 1}, 1},
        {{.slot = SLOT, .epoch = EPOCH - 1, .segment = 1}, 1},
        {{.slot = SLOT, .epoch = EPOCH, .segment = 2}, 1},
        {{.slot = SLOT, .epoch = EPOCH, .segment = 1}, 0},
        {{.slot = SLOT, .epoch = EPOCH, .segment = 1}, SLOT_SEQUENCE_MAX + 1},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct image image = {0};
        add_header(&image, &bad[i].header, bad[i].first);
        assert_int_equal(read_image(&image), -EBADMSG);
    }
    struct image image = {0};
    add(&image, JOURNAL_CHANGE, 1, "x", 1); /* none at all */
    assert_int_equal(read_image(&image), -EBADMSG);
    image.length = 0;
    add(&image, JOURNAL_HEADER, 1, "EFSJ", 4); /* too short */
    assert_int_equal(read_image(&image), -EBADMSG);
    image.length = 0;
    add_header(&image, &good, 1);
    image.bytes[JOURNAL_RECORD_HEADER_BYTES + 4]++; /* a format of the future, damaged */
    assert_int_equal(read_image(&image), 0);
    image.length = 0;
    add_header(&image, &good, 1);
    add_header(&image, &good, 1);
    assert_int_equal(read_image(&image), -EBADMSG);
}

static void test_sequences_that_jump(void **state)
{
    journal_writer_close(create(&limits));
    struct image image = {0};
    add_header(&image, &good, 5);
    add(&image, JOURNAL_CHANGE, 5, "x", 1);
    assert_int_equal(read_image(&image), 0);
    size_t length = image.length;
    add(&image, JOURNAL_CHANGE, 7, "x", 1);
    assert_int_equal(read_image(&image), -ESTALE);
    image.length = length;
    add(&image, JOURNAL_CHANGE, 5, "x", 1);
    assert_int_equal(read_image(&image), -EBADMSG);
    image.length = length;
    add(&image, 99, 6, "of a later version", 18);
    add(&image, JOURNAL_CHANGE, 7, "x", 1);
    assert_int_equal(read_image(&image), 0);

    /* what is wanted is older than all that is there */
    struct journal_reader *reader = reader_at(1);
    journal_reader_seek(reader, 3);
    assert_int_equal(next(reader), -ESTALE);
    journal_reader_free(reader);
    reader = reader_at(1);
    journal_reader_seek(reader, 4);
    assert_int_equal(next(reader), 1);
    assert_int_equal(journal_reader_sequence(reader), 5);
    journal_reader_free(reader);
}

static void test_next_that_leads_astray(void **state)
{
    uint8_t segment[8];
    journal_writer_close(create(&limits));
    const struct {
        size_t length;
        uint64_t sequence;
        uint32_t segment;
        int expected;
    } cases[] = {
        {4, 1, 1, -EBADMSG}, {4, 1, 0, -EBADMSG}, {4, 1, 3, -EBADMSG}, {3, 1, 2, -EBADMSG},
        {8, 1, 2, -EBADMSG}, {4, 2, 2, -ESTALE},  {4, 1, 2, -ESTALE}, /* it does not exist */
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct image image = {0};
        add_header(&image, &good, 1);
        memset(segment, 0, sizeof(segment));
        put_le32(segment, cases[i].segment);
        add(&image, JOURNAL_NEXT, cases[i].sequence, segment, cases[i].length);
        assert_int_equal(read_image(&image), cases[i].expected);
    }
    /* the next one starts elsewhere */
    struct image image = {0}, other = {0};
    struct journal_header second = good;
    second.segment = 2;
    add_header(&other, &second, 4);
    put_file(2, other.bytes, other.length);
    add_header(&image, &good, 1);
    add(&image, JOURNAL_NEXT, 1, "\2\0\0", 4);
    assert_int_equal(read_image(&image), -EBADMSG);
}

static void test_hostile_lengths(void **state)
{
    journal_writer_close(create(&limits));
    static const uint32_t lengths[] = {JOURNAL_PAYLOAD_MAX + 1, 0x7fffffff, 0xfffffff0, 0xffffffff};
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        struct image image = {0};
        add_header(&image, &good, 1);
        put_le32(image.bytes + image.length, lengths[i]);
        image.length += 4096;
        assert_int_equal(read_image(&image), -EBADMSG);
    }
    struct image image = {0}; /* long, and not there yet */
    add_header(&image, &good, 1);
    put_le32(image.bytes + image.length, JOURNAL_PAYLOAD_MAX);
    image.length += 4096;
    assert_int_equal(read_image(&image), 0);
}

static void test_every_damaged_byte(void **state)
{
    journal_writer_close(create(&limits));
    struct image whole = {0};
    add_header(&whole, &good, 1);
    size_t header = whole.length;
    add(&whole, JOURNAL_CHANGE, 1, "payload", 7);
    add(&whole, JOURNAL_CHANGE, 2, "payload", 7);
    for (size_t at = 0; at < whole.length; at++) {
        struct image image = whole;
        image.bytes[at] ^= 0x40;
        put_file(1, image.bytes, image.length);
        struct journal_reader *reader = reader_at(1);
        int r, records = 0;
        while ((r = next(reader)) == 1)
            records++;
        assert_true(r == 0 || r == -EBADMSG);
        assert_int_equal(records, at < header ? 0 : at < header + 32 ? 0 : 1);
        journal_reader_free(reader);
    }
}

static void test_what_is_no_file(void **state)
{
    struct journal_reader *reader = reader_at(1);
    assert_int_equal(next(reader), -ESTALE); /* no directory */
    journal_reader_free(reader);
    journal_writer_close(create(&limits));
    reader = reader_at(2);
    assert_int_equal(next(reader), -ESTALE);
    journal_reader_free(reader);

    unlink(segment_path(1));
    assert_int_equal(symlink("/etc/passwd", segment_path(1)), 0);
    reader = reader_at(1);
    assert_int_equal(next(reader), -EBADMSG);
    journal_reader_free(reader);
    unlink(segment_path(1));
    assert_int_equal(mkfifo(segment_path(1), 0600), 0);
    alarm(10); /* opening it must not wait for a writer */
    reader = reader_at(1);
    assert_int_equal(next(reader), -EBADMSG);
    alarm(0);
    journal_reader_free(reader);
    struct journal_writer *writer;
    assert_int_equal(recover(1, &writer), -EBADMSG);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),      TEST(test_rotation),
        TEST(test_large_records),          TEST(test_retention_and_slow_reader),
        TEST(test_kill_in_a_record),       TEST(test_kill_in_a_rotation),
        TEST(test_commit_fails),           TEST(test_not_announced_is_not_kept),
        TEST(test_headers_of_others),      TEST(test_sequences_that_jump),
        TEST(test_next_that_leads_astray), TEST(test_hostile_lengths),
        TEST(test_every_damaged_byte),     TEST(test_what_is_no_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
