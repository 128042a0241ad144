#include "lib/share/lock_record.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
/* cmocka needs the four above */
#include <cmocka.h>

static const struct lock_record example = {
    .clean = true,
    .serial = 5,
    .token = {.generation = 1795420800, .n = 41},
    .fence_ms = 30000,
    .exit_status = 3,
    .since_wall_ms = 1795420801234,
    .task = "web-1",
    .zone = "eu-west-1a",
    .purpose = "nightly report",
};

static void put(uint8_t *file, const struct lock_record *record)
{
    assert_int_equal(lock_record_encode(record, file + lock_record_offset(record)), 0);
}

static void test_round_trip(void **state)
{
    uint8_t bytes[LOCK_RECORD_BYTES];
    struct lock_record back;
    assert_int_equal(lock_record_encode(&example, bytes), 0);
    assert_int_equal(lock_record_decode(bytes, &back), 0);
    assert_true(back.clean);
    assert_false(back.done);
    assert_int_equal(back.serial, 5);
    assert_int_equal(back.token.generation, 1795420800);
    assert_int_equal(back.token.n, 41);
    assert_int_equal(back.fence_ms, 30000);
    assert_int_equal(back.exit_status, 3);
    assert_int_equal(back.since_wall_ms, 1795420801234);
    assert_string_equal(back.task, "web-1");
    assert_string_equal(back.zone, "eu-west-1a");
    assert_string_equal(back.purpose, "nightly report");
}

static void test_every_flipped_bit_is_noticed(void **state)
{
    uint8_t bytes[LOCK_RECORD_BYTES];
    struct lock_record back;
    lock_record_encode(&example, bytes);
    for (size_t i = 0; i < LOCK_RECORD_BYTES * 8; i++) {
        bytes[i / 8] ^= (uint8_t)(1 << i % 8);
        assert_int_equal(lock_record_decode(bytes, &back), -EBADMSG);
        bytes[i / 8] ^= (uint8_t)(1 << i % 8);
    }
}

static void test_bounds(void **state)
{
    uint8_t bytes[LOCK_RECORD_BYTES];
    struct lock_record record = example;
    record.serial = 0;
    assert_int_equal(lock_record_encode(&record, bytes), -ERANGE);
    record = example; /* the longest texts fit */
    memset(record.task, 'x', LOCK_TEXT_MAX);
    memset(record.zone, 'y', LOCK_TEXT_MAX);
    memset(record.purpose, 'z', LOCK_TEXT_MAX);
    assert_int_equal(lock_record_encode(&record, bytes), 0);
    assert_int_equal(lock_record_decode(bytes, &record), 0);
    assert_int_equal(strlen(record.purpose), LOCK_TEXT_MAX);
}

static void test_the_newer_of_two_counts(void **state)
{
    uint8_t file[LOCK_FILE_BYTES] = {0};
    struct lock_record record = example, back;
    assert_int_equal(lock_record_pick(file, 0, &back), -ENODATA);
    assert_int_equal(lock_record_pick(file, sizeof(file), &back), -ENODATA);
    put(file, &record);
    record.serial = 6;
    record.token.n = 42;
    put(file, &record);
    assert_int_equal(lock_record_pick(file, sizeof(file), &back), 0);
    assert_int_equal(back.token.n, 42);
    file[10] ^= 1; /* serial 6 lies at the start: it was torn, the one before counts */
    assert_int_equal(lock_record_pick(file, sizeof(file), &back), 0);
    assert_int_equal(back.token.n, 41);
    file[LOCK_RECORD_BYTES + 10] ^= 1;
    assert_int_equal(lock_record_pick(file, sizeof(file), &back), -EBADMSG);
}

static void test_the_first_write_of_all_is_torn(void **state)
{
    uint8_t file[LOCK_FILE_BYTES] = {0};
    struct lock_record record = example, back;
    record.serial = 1;
    put(file, &record);
    assert_int_equal(lock_record_pick(file, LOCK_RECORD_BYTES + 100, &back), -ENODATA);
    assert_int_equal(lock_record_pick(file, sizeof(file), &back), 0);
    file[LOCK_RECORD_BYTES + 30] ^= 1;
    assert_int_equal(lock_record_pick(file, sizeof(file), &back), -ENODATA);
}

static void test_tokens(void **state)
{
    char buf[LOCK_TOKEN_TEXT];
    struct lock_token token, other;
    assert_int_equal(lock_token_parse("7.18446744073709551615", &token), 0);
    assert_string_equal(lock_token_format(&token, buf), "7.18446744073709551615");
    assert_int_equal(lock_token_parse("8.0", &other), 0);
    assert_true(lock_token_compare(&token, &other) < 0);
    assert_true(lock_token_compare(&other, &token) > 0);
    assert_int_equal(lock_token_compare(&token, &token), 0);
    const char *bad[] = {"",     ".",   "1",    "1.",   ".1",    "1.2.3",
                         "-1.2", "1.x", "1. 2", "+1.1", "0x1.1", "1.18446744073709551616"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(lock_token_parse(bad[i], &token) < 0, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_every_flipped_bit_is_noticed),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_the_newer_of_two_counts),
        cmocka_unit_test(test_the_first_write_of_all_is_torn),
        cmocka_unit_test(test_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
