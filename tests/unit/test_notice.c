#include "lib/share/notice.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka needs the four above */
#include <cmocka.h>

static void test_layout_and_round_trip(void **state)
{
    static const uint8_t expected[] = {1, 0, 0, 0, 0, 0,   0,   0, 0,   0, 0,
                                       8, 2, 0, 3, 0, 'a', 'b', 0, 'x', 0, 'z'};
    struct notice notice = {.kind = NOTICE_LOCK_RELEASED,
                            .number = 1ull << 59,
                            .name = "ab",
                            .data = "x\0z",
                            .data_length = 3},
                  got;
    uint8_t bytes[NOTICE_ENCODED_MAX];
    assert_int_equal(notice_encode(&notice, bytes, sizeof(bytes)), sizeof(expected));
    assert_memory_equal(bytes, expected, sizeof(expected));
    assert_int_equal(notice_decode(bytes, sizeof(expected), &got), 0);
    assert_int_equal(got.kind, NOTICE_LOCK_RELEASED);
    assert_true(got.number == 1ull << 59);
    assert_string_equal(got.name, "ab");
    assert_int_equal(got.data_length, 3);
    assert_memory_equal(got.data, "x\0z", 3);
}

static void test_a_later_kind_is_kept(void **state)
{
    uint8_t bytes[NOTICE_ENCODED_MAX];
    struct notice notice = {.kind = 999}, got;
    int n = notice_encode(&notice, bytes, sizeof(bytes));
    assert_int_equal(n, NOTICE_HEADER_BYTES + 1);
    assert_int_equal(notice_decode(bytes, (size_t)n, &got), 0);
    assert_int_equal(got.kind, 999);
    assert_string_equal(got.name, "");
    assert_int_equal(got.data_length, 0);
}

static void test_bounds(void **state)
{
    static char name[NOTICE_NAME_MAX + 2], data[NOTICE_DATA_MAX + 1];
    static uint8_t bytes[NOTICE_ENCODED_MAX];
    memset(name, 'n', NOTICE_NAME_MAX);
    struct notice notice = {
        .kind = NOTICE_PUBLISHED_SET, .name = name, .data = data, .data_length = NOTICE_DATA_MAX};
    assert_int_equal(notice_encode(&notice, bytes, sizeof(bytes)), NOTICE_ENCODED_MAX);
    assert_int_equal(notice_encode(&notice, bytes, sizeof(bytes) - 1), -EMSGSIZE);
    assert_int_equal(notice_decode(bytes, sizeof(bytes), &notice), 0);
    notice.data_length++;
    assert_int_equal(notice_encode(&notice, bytes, sizeof(bytes)), -EINVAL);
    notice.data_length = 0;
    name[NOTICE_NAME_MAX] = 'n';
    notice.name = name;
    assert_int_equal(notice_encode(&notice, bytes, sizeof(bytes)), -EINVAL);
    notice = (struct notice){.kind = 0};
    assert_int_equal(notice_encode(&notice, bytes, sizeof(bytes)), -EINVAL);
}

static void test_every_cut_is_refused(void **state)
{
    uint8_t bytes[NOTICE_ENCODED_MAX] = {0};
    struct notice notice = {.kind = 2, .name = "some name", .data = "data", .data_length = 4};
    struct notice got = {.kind = 99};
    int n = notice_encode(&notice, bytes, sizeof(bytes));
    for (int cut = 0; cut < n; cut++) {
        /* a copy of just that size, so that a sanitizer sees a read behind it */
        uint8_t *exact = malloc((size_t)cut + 1);
        memcpy(exact, bytes, (size_t)cut);
        assert_int_equal(notice_decode(exact, (size_t)cut, &got), -EBADMSG);
        free(exact);
    }
    assert_int_equal(notice_decode(bytes, (size_t)n + 1, &got), -EBADMSG);
    bytes[NOTICE_HEADER_BYTES + 3] = '\0'; /* a name shorter than it says */
    assert_int_equal(notice_decode(bytes, (size_t)n, &got), -EBADMSG);
    assert_int_equal(got.kind, 99);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layout_and_round_trip),
        cmocka_unit_test(test_a_later_kind_is_kept),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_every_cut_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
