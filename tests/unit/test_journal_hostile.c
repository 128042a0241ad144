/* What a reader makes of what a peer or somebody else may have put there. */
#include "tests/unit/journal_fixture.h"

#include <errno.h>

#include "lib/cleanup.h"

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
    const struct CMUnitTest tests[] = {
        TEST(test_headers_of_others),      TEST(test_sequences_that_jump),
        TEST(test_next_that_leads_astray), TEST(test_hostile_lengths),
        TEST(test_every_damaged_byte),     TEST(test_what_is_no_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
