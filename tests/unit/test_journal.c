/* Writer and reader of journals on real files, and what both make of what a crash has left there.
 */
#include "tests/unit/journal_fixture.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>

#include "lib/cleanup.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names), TEST(test_rotation),
        TEST(test_large_records),     TEST(test_retention_and_slow_reader),
        TEST(test_kill_in_a_record),  TEST(test_kill_in_a_rotation),
        TEST(test_commit_fails),      TEST(test_not_announced_is_not_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
