#include "lib/share/watch_frames.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka needs the four above */
#include <cmocka.h>

static void test_small_frames(void **state)
{
    uint8_t bytes[WATCH_PONG_BYTES];
    struct watch_hello hello = {.version = 1, .epoch = 77}, got_hello;
    assert_int_equal(watch_hello_encode(&hello, bytes, sizeof(bytes)), WATCH_HELLO_BYTES);
    assert_int_equal(watch_hello_decode(bytes, WATCH_HELLO_BYTES, &got_hello), 0);
    assert_memory_equal(&hello, &got_hello, sizeof(hello));
    assert_int_equal(watch_hello_decode(bytes, WATCH_HELLO_BYTES - 1, &got_hello), -EBADMSG);

    struct watch_pong pong = {.nonce = 1ull << 63, .scanning = 3}, got_pong;
    assert_int_equal(watch_pong_encode(&pong, bytes, sizeof(bytes)), WATCH_PONG_BYTES);
    assert_int_equal(watch_pong_decode(bytes, WATCH_PONG_BYTES, &got_pong), 0);
    assert_true(got_pong.nonce == pong.nonce && got_pong.scanning == 3);
    assert_int_equal(watch_pong_decode(bytes, 8, &got_pong), -EBADMSG);
    assert_int_equal(watch_pong_encode(&pong, bytes, 11), -EMSGSIZE);
}

static void test_announce(void **state)
{
    static uint8_t record[WATCH_RECORD_MAX + 1], bytes[WATCH_ANNOUNCE_MAX + 1];
    struct watch_announce announce = {.id = 1ull << 40, .type = 3, .length = 5}, got;
    memset(record, 'h', 5);
    announce.payload = record;
    int n = watch_announce_encode(&announce, bytes, sizeof(bytes));
    assert_int_equal(n, 15);
    assert_int_equal(watch_announce_encode(&announce, bytes, 14), -EMSGSIZE);
    assert_int_equal(watch_announce_decode(bytes, (size_t)n, &got), 0);
    assert_true(got.id == 1ull << 40 && got.type == 3 && got.length == 5);
    assert_memory_equal(got.payload, "hhhhh", 5);
    assert_int_equal(watch_announce_decode(bytes, 10, &got), 0);
    assert_int_equal(got.length, 0);
    assert_int_equal(watch_announce_decode(bytes, 9, &got), -EBADMSG);
    announce.length = WATCH_RECORD_MAX + 1;
    assert_int_equal(watch_announce_encode(&announce, bytes, sizeof(bytes)), -EMSGSIZE);
    assert_int_equal(watch_announce_decode(bytes, sizeof(bytes), &got), -EBADMSG);

    struct watch_announced done = {.id = 9, .result = -ENOSPC, .sequence = 1ull << 39}, got_done;
    assert_int_equal(watch_announced_encode(&done, bytes, sizeof(bytes)), WATCH_ANNOUNCED_BYTES);
    assert_int_equal(watch_announced_decode(bytes, WATCH_ANNOUNCED_BYTES, &got_done), 0);
    assert_true(got_done.id == 9 && got_done.result == -ENOSPC && got_done.sequence == 1ull << 39);
    assert_int_equal(watch_announced_decode(bytes, WATCH_ANNOUNCED_BYTES - 1, &got_done), -EBADMSG);
}

static void test_notice(void **state)
{
    static uint8_t record[WATCH_RECORD_MAX], bytes[WATCH_NOTICE_MAX];
    char observer[CHANGE_OBSERVER_MAX + 2];
    memset(observer, 'o', sizeof(observer) - 1);
    observer[sizeof(observer) - 1] = '\0';
    struct watch_notice notice = {.slot = 255,
                                  .epoch = 1 << 23,
                                  .observer = observer,
                                  .length = 1,
                                  .payload = record},
                        got;
    assert_int_equal(watch_notice_encode(&notice, bytes, sizeof(bytes)), -EMSGSIZE);
    observer[CHANGE_OBSERVER_MAX] = '\0';
    notice.length = WATCH_RECORD_MAX;
    assert_int_equal(watch_notice_encode(&notice, bytes, sizeof(bytes)), WATCH_NOTICE_MAX);
    assert_int_equal(watch_notice_decode(bytes, WATCH_NOTICE_MAX, &got), 0);
    assert_true(got.slot == 255 && got.epoch == 1 << 23 && got.length == WATCH_RECORD_MAX);
    assert_string_equal(got.observer, observer);
    for (size_t cut = 0; cut < 8 + CHANGE_OBSERVER_MAX + 1; cut++) {
        uint8_t *exact = malloc(cut + 1);
        memcpy(exact, bytes, cut);
        assert_int_equal(watch_notice_decode(exact, cut, &got), -EBADMSG);
        free(exact);
    }
    bytes[10] = '\0'; /* in the middle of the name */
    assert_int_equal(watch_notice_decode(bytes, WATCH_NOTICE_MAX, &got), -EBADMSG);
}

static void test_status(void **state)
{
    char long_path[WATCH_BLIND_PATH_MAX + 100];
    memset(long_path, 'x', sizeof(long_path) - 1);
    long_path[sizeof(long_path) - 1] = '\0';
    struct watch_status status = {
        .directories = 1,
        .scanning = 2,
        .blind = 900,
        .pending = 4,
        .events = 5,
        .changes = 6,
        .overflows = 7,
        .resyncs = 8,
        .feed = {.peers = 9, .poll_us = 10, .fresh_ms = 1ull << 62, .gaps = 12},
        .scan = {.state = WATCH_SCAN_RUNNING, .entries = 14, .fresh_ms = 15},
        .listed = WATCH_BLIND_LISTED};
    for (int i = 0; i < WATCH_BLIND_LISTED; i++)
        status.blinds[i] = (struct watch_blind){.code = ENOSPC, .path = long_path};
    status.blinds[0] = (struct watch_blind){.code = EDQUOT, .path = ""};

    uint8_t bytes[WATCH_STATUS_MAX];
    int n = watch_status_encode(&status, bytes, sizeof(bytes));
    assert_true(n > 0);
    struct watch_status got;
    assert_int_equal(watch_status_decode(bytes, (size_t)n, &got), 0);
    assert_int_equal(got.directories, 1);
    assert_int_equal(got.scanning, 2);
    assert_int_equal(got.blind, 900);
    assert_int_equal(got.pending, 4);
    assert_true(got.events == 5 && got.changes == 6 && got.overflows == 7 && got.resyncs == 8);
    assert_memory_equal(&got.feed, &status.feed, sizeof(got.feed));
    assert_memory_equal(&got.scan, &status.scan, sizeof(got.scan));
    assert_int_equal(got.blinds[0].code, EDQUOT);
    assert_string_equal(got.blinds[0].path, "");
    assert_int_equal(got.blinds[7].code, ENOSPC);
    assert_int_equal(strlen(got.blinds[7].path), WATCH_BLIND_PATH_MAX);

    for (int cut = 0; cut < n; cut++) {
        uint8_t *exact = malloc((size_t)cut + 1);
        memcpy(exact, bytes, (size_t)cut);
        assert_int_equal(watch_status_decode(exact, (size_t)cut, &got), -EBADMSG);
        free(exact);
    }
    status.listed = 0;
    n = watch_status_encode(&status, bytes, sizeof(bytes));
    assert_int_equal(watch_status_decode(bytes, (size_t)n, &got), 0);
    bytes[n - 4] = WATCH_BLIND_LISTED + 1;
    assert_int_equal(watch_status_decode(bytes, (size_t)n, &got), -EBADMSG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small_frames),
        cmocka_unit_test(test_announce),
        cmocka_unit_test(test_notice),
        cmocka_unit_test(test_status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
