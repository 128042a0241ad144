#include "watchers/inbox.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* cmocka needs the four above */
#include <cmocka.h>

#include "lib/clock.h"

enum { PAYLOAD_BYTES = 1000, PATIENCE_MS = 20 * 1000 };

static struct inbox inbox;
static struct peers_status now;

static int setup(void **state)
{
    now = (struct peers_status){0};
    return inbox_open(&inbox);
}

static int teardown(void **state)
{
    inbox_release(&inbox);
    return 0;
}

static void add(unsigned number)
{
    static const uint8_t payload[PAYLOAD_BYTES];
    char observer[16];
    snprintf(observer, sizeof(observer), "task-%u", number);
    const struct peers_item item = {.slot = (uint16_t)number,
                                    .observer = observer,
                                    .payload = payload,
                                    .length = sizeof(payload)};
    assert_int_equal(inbox_add(&inbox, &item), 0);
}

static void assert_next(unsigned number)
{
    struct peers_item item;
    char observer[16];
    snprintf(observer, sizeof(observer), "task-%u", number);
    assert_true(inbox_next(&inbox, &item));
    assert_int_equal(item.slot, number);
    assert_string_equal(item.observer, observer);
    assert_int_equal(item.length, PAYLOAD_BYTES);
}

static bool is_rung(void)
{
    struct pollfd fds = {.fd = inbox.event_fd, .events = POLLIN};
    return poll(&fds, 1, 0) == 1;
}

static uint64_t fresh_ms(void)
{
    struct peers_status status;
    inbox_status(&inbox, &status);
    return status.feed.fresh_ms;
}

static void test_order(void **state)
{
    struct peers_item item;
    bool waited = false;
    add(1);
    add(2);
    assert_false(inbox_next(&inbox, &item)); /* not handed over yet */
    assert_false(is_rung());
    assert_true(inbox_hand_over(&inbox, &now, &waited));
    add(3);
    assert_true(inbox_hand_over(&inbox, &now, &waited));
    assert_true(is_rung());
    assert_int_equal(inbox_look(&inbox), 3);
    assert_false(is_rung());
    for (unsigned i = 1; i <= 3; i++)
        assert_next(i);
    assert_false(inbox_next(&inbox, &item));
    assert_false(waited);
}

/* The status is not ahead of what was taken. */
static void test_fresh(void **state)
{
    struct peers_status status;
    bool waited = false;
    inbox_set_fresh(&inbox, 100);
    assert_int_equal(fresh_ms(), 100);
    add(1);
    add(2);
    now.feed.polls = 7;
    inbox_hand_over(&inbox, &now, &waited);
    inbox_set_fresh(&inbox, 200);
    assert_int_equal(fresh_ms(), 100);
    assert_next(1);
    assert_int_equal(fresh_ms(), 100);
    assert_next(2);
    assert_int_equal(fresh_ms(), 200);
    inbox_status(&inbox, &status);
    assert_int_equal(status.feed.polls, 7);
    now.error = 5;
    inbox_publish(&inbox, &now);
    inbox_status(&inbox, &status);
    assert_int_equal(status.error, 5);
    assert_int_equal(status.feed.fresh_ms, 200);
}

/* Hands over until it is to stop. */
static void *producer(void *arg)
{
    bool *waited = arg;
    do
        add(1);
    while (inbox_hand_over(&inbox, &now, waited));
    return NULL;
}

/* Handed over so far, when nothing more comes. */
static uint64_t settled(uint64_t at_least)
{
    int64_t end_ms = clock_now_ms() + PATIENCE_MS;
    while (inbox_look(&inbox) < at_least) {
        assert_true(clock_now_ms() < end_ms);
        usleep(1000);
    }
    usleep(50 * 1000);
    return inbox_look(&inbox);
}

static void test_is_bounded(void **state)
{
    const uint64_t full = PEERS_QUEUE_BYTES / (PAYLOAD_BYTES + sizeof(struct inbox_item) + 8);
    pthread_t thread;
    bool waited = false;
    assert_int_equal(pthread_create(&thread, NULL, producer, &waited), 0);
    uint64_t total = settled(full);
    assert_in_range(total, full, full + 10);
    for (unsigned i = 0; i < 100; i++)
        assert_next(1);
    assert_int_equal(settled(total + 100), total + 100);
    inbox_stop(&inbox);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(waited);
    assert_false(inbox_rest(&inbox, CLOCK_NEVER));
}

static void test_rest(void **state)
{
    int64_t until_ms = clock_now_ms() + 20;
    assert_true(inbox_rest(&inbox, until_ms));
    assert_true(clock_now_ms() >= until_ms);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_order),
        TEST(test_fresh),
        TEST(test_is_bounded),
        TEST(test_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
