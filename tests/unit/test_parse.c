/* Strict parsing: what is accepted, what is refused, and that a refusal leaves the output alone. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/cleanup.h"
#include "lib/parse.h"

static void test_i64(void **state)
{
    int64_t v = 42;
    assert_int_equal(parse_i64("0", 0, 10, &v), 0);
    assert_int_equal(v, 0);
    assert_int_equal(parse_i64("-5", -5, 10, &v), 0);
    assert_int_equal(v, -5);
    assert_int_equal(parse_i64("9223372036854775807", 0, INT64_MAX, &v), 0);
    assert_true(v == INT64_MAX);
    v = 42;
    static const char *const bad[] = {"", "-", "+1", " 1", "1 ", "0x10", "1e3", "--1", "1.5"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(parse_i64(bad[i], INT64_MIN, INT64_MAX, &v), -EINVAL);
    assert_int_equal(parse_i64("9223372036854775808", 0, INT64_MAX, &v), -ERANGE);
    assert_int_equal(parse_i64("11", 0, 10, &v), -ERANGE);
    assert_int_equal(parse_i64("-1", 0, 10, &v), -ERANGE);
    assert_int_equal(v, 42);
}

static void test_duration(void **state)
{
    static const struct {
        const char *text;
        int64_t ms;
    } good[] = {
        {"250ms", 250}, {"30", 30000}, {"30s", 30000}, {"5m", 300000}, {"2h", 7200000}, {"0s", 0},
    };
    int64_t ms;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        assert_int_equal(parse_duration_ms(good[i].text, 0, INT64_MAX, &ms), 0);
        assert_true(ms == good[i].ms);
    }
    ms = 7;
    static const char *const bad[] = {"", "s", "5 m", "5mm", "1.5s", "-1s", "5M"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(parse_duration_ms(bad[i], 0, INT64_MAX, &ms), -EINVAL);
    assert_int_equal(parse_duration_ms("106751991168d", 0, INT64_MAX, &ms), -ERANGE);
    assert_int_equal(parse_duration_ms("10s", 0, 9999, &ms), -ERANGE);
    assert_true(ms == 7);
}

static void test_size(void **state)
{
    int64_t bytes;
    assert_int_equal(parse_size_bytes("64KiB", 0, INT64_MAX, &bytes), 0);
    assert_true(bytes == 65536);
    assert_int_equal(parse_size_bytes("2G", 0, INT64_MAX, &bytes), 0);
    assert_true(bytes == 2LL << 30);
    assert_int_equal(parse_size_bytes("1kb", 0, INT64_MAX, &bytes), -EINVAL);
    assert_int_equal(parse_size_bytes("99999999999T", 0, INT64_MAX, &bytes), -ERANGE);
}

static void test_bool_mode_ids(void **state)
{
    bool b = false;
    mode_t mode;
    uid_t uid = 7;
    gid_t gid = 7;
    assert_int_equal(parse_bool("Yes", &b), 0);
    assert_true(b);
    assert_int_equal(parse_bool("2", &b), -EINVAL);
    assert_int_equal(parse_mode("02770", &mode), 0);
    assert_int_equal(mode, 02770);
    assert_int_equal(parse_mode("0788", &mode), -EINVAL);
    assert_int_equal(parse_mode("17777", &mode), -ERANGE);
    assert_int_equal(parse_ids("1000:100", &uid, &gid), 0);
    assert_int_equal(uid, 1000);
    assert_int_equal(gid, 100);
    static const char *const bad[] = {"1000", "1000:", ":1", "a:b", "1:2:3", "-1:0", "1000 :1"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(parse_ids(bad[i], &uid, &gid), -EINVAL);
    assert_int_equal(parse_ids("4294967295:0", &uid, &gid), -ERANGE);
    assert_int_equal(uid, 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_i64),
        cmocka_unit_test(test_duration),
        cmocka_unit_test(test_size),
        cmocka_unit_test(test_bool_mode_ids),
    };
    return cmocka_run_group_tests_name("parse", tests, NULL, NULL);
}
