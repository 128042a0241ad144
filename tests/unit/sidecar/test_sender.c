/* The sender under a moved clock: outages, refused data, what is lost and what is not. The service
 * is a function here; tests/integration/test_cloudwatch.py has the real calls. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "sidecar/sender.h"

enum { SENT_MAX = 400000, MINUTE_MS = 60000, HOUR_MS = 60 * MINUTE_MS, BUFFER = 1024 * 1024 };

/* Data are numbers here. */
static struct {
    int answer; /* of the next calls; 0: taken */
    int bad[8]; /* numbers that are refused */
    size_t n_bad;
    int *taken;
    size_t n_taken, calls, largest;
    int64_t last_call_ms, longest_gap_ms;
    unsigned hang_ms;
} service;
static struct sender *sender;
static int next_number;

static int number_of(const struct iovec *data)
{
    char text[16] = "";
    memcpy(text, data->iov_base, data->iov_len < 15 ? data->iov_len : 15);
    return (int)strtol(text, NULL, 10);
}

static bool has_bad(const struct iovec data[], size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < service.n_bad; k++)
            if (number_of(&data[i]) == service.bad[k])
                return true;
    return false;
}

static int put(void *arg, const struct iovec data[], size_t n, int64_t deadline_ms,
               struct error *err)
{
    int64_t now_ms = clock_now_ms();
    if (service.calls++ > 0 && now_ms - service.last_call_ms > service.longest_gap_ms)
        service.longest_gap_ms = now_ms - service.last_call_ms;
    service.last_call_ms = now_ms;
    service.largest = n > service.largest ? n : service.largest;
    assert_true(n > 0 && deadline_ms > now_ms);
    if (service.hang_ms)
        usleep(service.hang_ms * 1000);
    if (service.answer)
        return error_set(err, -service.answer, "the service has its day");
    if (has_bad(data, n))
        return error_set(err, EBADMSG, "one of them is bad");
    for (size_t i = 0; i < n && service.n_taken < SENT_MAX; i++)
        service.taken[service.n_taken++] = number_of(&data[i]);
    return 0;
}

static void open_sender(size_t buffer_bytes)
{
    const struct sender_options options = {
        .put = put, .buffer_bytes = buffer_bytes, .first_ms = MINUTE_MS, .flush_ms = 5 * MINUTE_MS};
    assert_int_equal(sender_open(&options, &sender), 0);
}

static int set_up(void **state)
{
    memset(&service, 0, sizeof(service));
    service.taken = calloc(SENT_MAX, sizeof(int));
    next_number = 0;
    clock_fake_set(1000000, 1800000000000);
    open_sender(BUFFER);
    return 0;
}

static int tear_down(void **state)
{
    free(service.taken);
    clock_fake_off();
    return 0;
}

/* What a mount's core metrics are in an interval: 8 data of about 250 bytes. */
static void push_interval(size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char text[250];
        snprintf(text, sizeof(text), "%-249d", next_number++);
        sender_push(sender, clock_wall_ms(), text, sizeof(text) - 1);
    }
}

/* The thread wakes whenever something is due: here, every second. */
static void live(int64_t ms, size_t data_per_minute)
{
    for (int64_t end_ms = clock_now_ms() + ms; clock_now_ms() < end_ms;) {
        clock_fake_advance(1000);
        if (clock_now_ms() % MINUTE_MS == 0)
            push_interval(data_per_minute);
        sender_turn(sender);
    }
}

static struct sender_state look(void)
{
    struct sender_state now;
    sender_look(sender, &now);
    return now;
}

static void check_in_order(void)
{
    for (size_t i = 1; i < service.n_taken; i++)
        assert_true(service.taken[i] > service.taken[i - 1]);
}

static void test_regular(void **state)
{
    live(HOUR_MS, 8);
    assert_int_equal(service.calls, 12);
    assert_true(service.longest_gap_ms == 5 * MINUTE_MS);
    assert_true(service.n_taken >= 55 * 8 && look().waiting + service.n_taken == 60 * 8);
    size_t lost;
    assert_int_equal(sender_close(sender, 0, &lost), 0);
    assert_int_equal(lost, next_number - (int)service.n_taken);
    check_in_order();
}

/* An hour away: nothing is lost, everything comes in order, calls are few. */
static void test_outage(void **state)
{
    static const int outages[] = {-ETIMEDOUT, -EAGAIN, -EREMOTEIO, -ECONNREFUSED};
    live(10 * MINUTE_MS, 8);
    for (size_t i = 0; i < ARRAY_LEN(outages); i++) {
        size_t before = service.calls;
        service.answer = outages[i];
        live(HOUR_MS, 8);
        assert_in_range(service.calls - before, 12, 120);
        assert_int_equal(look().problem.code, -outages[i]);
        service.answer = 0;
        live(11 * MINUTE_MS, 8);
        assert_int_equal(look().problem.code, 0);
    }
    assert_true(look().dropped == 0 && look().waiting <= 5 * 8);
    assert_int_equal(service.n_taken + look().waiting, next_number);
    check_in_order();
    for (size_t i = 0; i < service.n_taken; i++)
        assert_int_equal(service.taken[i], i);
    sender_close(sender, 0, NULL);
}

/* Sixteen mounts, two weeks and more: the memory stays, the newest are kept, all is accounted. */
static void test_long_outage(void **state)
{
    service.answer = -ETIMEDOUT;
    live(6 * HOUR_MS, 8 * 16);
    struct sender_state full = look();
    assert_true(full.waiting * 250 < BUFFER && full.waiting * 350 > BUFFER);
    assert_int_equal(full.dropped + full.waiting, next_number);
    service.answer = 0;
    live(11 * MINUTE_MS, 0);
    assert_int_equal(service.n_taken, full.waiting);
    assert_int_equal(service.taken[0], full.dropped);
    assert_int_equal(service.taken[service.n_taken - 1], next_number - 1);
    check_in_order();

    /* What waited for two weeks is of no use. */
    service.answer = -ETIMEDOUT;
    push_interval(100);
    live(HOUR_MS, 0);
    clock_fake_advance(14 * 24 * (int64_t)HOUR_MS - 90 * MINUTE_MS);
    push_interval(50);
    live(HOUR_MS, 0);
    service.answer = 0;
    live(6 * MINUTE_MS, 0);
    assert_int_equal(look().dropped - full.dropped, 100);
    assert_int_equal(service.taken[service.n_taken - 1], next_number - 1);
    assert_int_equal(service.n_taken, full.waiting + 50);
    sender_close(sender, 0, NULL);
}

static void test_bad_data(void **state)
{
    static const int bad[] = {0, 1, 500, 999, 1700};
    memcpy(service.bad, bad, sizeof(bad));
    service.n_bad = ARRAY_LEN(bad);
    push_interval(2000);
    live(MINUTE_MS, 0);
    assert_int_equal(service.n_taken, 2000 - ARRAY_LEN(bad));
    assert_int_equal(look().dropped, ARRAY_LEN(bad));
    assert_int_equal(look().waiting, 0);
    assert_in_range(service.calls, 10, 5 * 12 + 10);
    check_in_order();
    assert_int_equal(sender_close(sender, 0, NULL), 0);
}

/* When nothing at all is wanted, it is not the data: few are given up before somebody looks. */
static void test_everything_refused(void **state)
{
    service.answer = -EBADMSG;
    push_interval(1000);
    live(4 * MINUTE_MS, 0);
    assert_in_range(look().dropped, 1, 8);
    assert_int_equal(look().problem.code, EBADMSG);
    assert_in_range(service.calls, 1, 100);
    service.answer = 0;
    live(6 * MINUTE_MS, 0);
    assert_int_equal(service.n_taken + look().dropped, 1000);
    sender_close(sender, 0, NULL);
}

static void test_denied(void **state)
{
    static const int answers[] = {-EACCES, -ENOKEY, -EINVAL};
    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        size_t before = service.calls;
        service.answer = answers[i];
        live(HOUR_MS, 8);
        assert_in_range(service.calls - before, 10, 16); /* slowly: nothing heals by itself */
    }
    assert_int_equal(look().dropped, 0);
    service.answer = 0;
    sender_flush(sender);
    sender_turn(sender);
    assert_int_equal(service.n_taken, next_number);
    sender_close(sender, 0, NULL);
}

/* ---- with its thread, and real time ---- */

static void test_close(void **state)
{
    size_t lost;
    clock_fake_off();
    assert_int_equal(sender_start(sender), 0);
    push_interval(1500);
    assert_int_equal(sender_close(sender, 10000, &lost), 0);
    assert_int_equal(lost, 0);
    assert_int_equal(service.n_taken, 1500);
    check_in_order();

    /* Away at the end: it tries until its time is up. */
    int64_t begun_ms = clock_now_ms();
    open_sender(BUFFER);
    assert_int_equal(sender_start(sender), 0);
    push_interval(10);
    service.answer = -EREMOTEIO;
    service.calls = 0;
    assert_int_equal(sender_close(sender, 1500, &lost), 0);
    assert_int_equal(lost, 10);
    assert_in_range(clock_now_ms() - begun_ms, 1000, 2500);
    assert_in_range(service.calls, 2, 1000);

    /* Not allowed: one more try, then no waiting for what will not come. */
    begun_ms = clock_now_ms();
    open_sender(BUFFER);
    assert_int_equal(sender_start(sender), 0);
    push_interval(10);
    service.answer = -EACCES;
    assert_int_equal(sender_close(sender, 5000, &lost), 0);
    assert_int_equal(lost, 10);
    assert_true(clock_now_ms() - begun_ms < 2000);

    /* Nothing to do and no time for it. */
    open_sender(BUFFER);
    assert_int_equal(sender_start(sender), 0);
    assert_int_equal(sender_close(sender, 0, &lost), 0);
    assert_int_equal(lost, 0);
}

static void test_stuck(void **state)
{
    size_t lost;
    clock_fake_off();
    assert_int_equal(sender_start(sender), 0);
    push_interval(10);
    service.hang_ms = 2500;
    int64_t begun_ms = clock_now_ms();
    assert_int_equal(sender_close(sender, 500, &lost), -EBUSY);
    assert_in_range(clock_now_ms() - begun_ms, 400, 1500);
    assert_int_equal(lost, 10);
    sleep(3); /* it may use its memory until then */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_regular, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_outage, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_long_outage, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bad_data, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_everything_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_denied, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_close, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_stuck, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
