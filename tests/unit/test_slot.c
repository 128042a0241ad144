/* A slot: the bytes are fixed, and nothing that is not one is taken for one. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "lib/bytes.h"
#include "lib/cleanup.h"
#include "lib/crc32c.h"
#include "lib/share/slot.h"

static const struct slot full = {
    .state = SLOT_LEFT,
    .reads_from = 1,
    .reads_to = 2,
    .epoch = 0xabcdef,
    .sequence = 0x1122334455,
    .drained = 0x1122334400,
    .segment = 7,
    .fence_ms = 30000,
};

static void test_layout(void **state)
{
    static const uint8_t expected[] = {
        0x53, 0x45, 1,    2,    1,    0, 2, 0, 0x55, 0x44, 0x33, 0x22, 0x11, 0xef, 0xcd, 0xab,
        0x00, 0x44, 0x33, 0x22, 0x11, 0, 0, 0, 7,    0,    0,    0,    0x30, 0x75, 0,    0,
    };
    uint8_t bytes[SLOT_BYTES];
    assert_int_equal(slot_encode(&full, bytes), 0);
    assert_memory_equal(bytes, expected, sizeof(expected));
    for (size_t i = sizeof(expected); i < 60; i++)
        assert_int_equal(bytes[i], 0);
    assert_int_equal(get_le32(bytes + 60), crc32c(0, bytes, 60));
    assert_true(slot_word(&full) == 0xabcdef1122334455);
    assert_true(slot_word(&full) == get_le64(bytes + 8));
}

static void test_round_trip(void **state)
{
    uint8_t bytes[SLOT_BYTES];
    struct slot got;
    memset(&got, 0xaa, sizeof(got));
    assert_int_equal(slot_encode(&full, bytes), 0);
    assert_int_equal(slot_decode(bytes, &got), 0);
    assert_int_equal(got.state, full.state);
    assert_int_equal(got.reads_from, full.reads_from);
    assert_int_equal(got.reads_to, full.reads_to);
    assert_int_equal(got.epoch, full.epoch);
    assert_true(got.sequence == full.sequence && got.drained == full.drained);
    assert_int_equal(got.segment, full.segment);
    assert_int_equal(got.fence_ms, full.fence_ms);
}

static void test_what_is_no_slot(void **state)
{
    uint8_t bytes[SLOT_BYTES] = {0};
    struct slot got = {.epoch = 99};
    assert_int_equal(slot_decode(bytes, &got), -ENODATA);
    slot_encode(&full, bytes);
    for (unsigned bit = 0; bit < 8 * SLOT_BYTES; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(slot_decode(bytes, &got), -EBADMSG);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    memset(bytes, 0xff, sizeof(bytes));
    assert_int_equal(slot_decode(bytes, &got), -EBADMSG);
    assert_int_equal(got.epoch, 99);
}

/* A checksum that fits does not make nonsense right. */
static void test_what_makes_no_sense(void **state)
{
    static const struct {
        int at;
        uint8_t value;
    } bad[] = {
        {2, 2},    /* a format of the future */
        {3, 3},    /* no state */
        {4, 9},    /* reads from 9 to 2 */
        {20, 0x12} /* drained further than recorded */
    };
    struct slot got;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        uint8_t bytes[SLOT_BYTES];
        slot_encode(&full, bytes);
        bytes[bad[i].at] = bad[i].value;
        put_le32(bytes + 60, crc32c(0, bytes, 60));
        assert_int_equal(slot_decode(bytes, &got), -EBADMSG);
    }
}

static void test_limits(void **state)
{
    uint8_t bytes[SLOT_BYTES];
    struct slot most = {.epoch = SLOT_EPOCH_MAX, .sequence = SLOT_SEQUENCE_MAX}, got;
    assert_int_equal(slot_encode(&most, bytes), 0);
    assert_int_equal(slot_decode(bytes, &got), 0);
    assert_true(slot_word(&got) == UINT64_MAX);
    most.epoch++;
    assert_int_equal(slot_encode(&most, bytes), -ERANGE);
    most.epoch--;
    most.sequence++;
    assert_int_equal(slot_encode(&most, bytes), -ERANGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layout),          cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_what_is_no_slot), cmocka_unit_test(test_what_makes_no_sense),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
