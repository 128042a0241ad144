/* The queue of data: within its memory, oldest dropped first, what is taken stays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/cleanup.h"
#include "sidecar/metric_queue.h"

enum { CAPACITY = 4096, TAKEN = 20 };
#define DAY_MS (24 * 3600 * 1000LL)

static struct metric_queue queue;

static int set_up(void **state)
{
    metric_queue_init(&queue, CAPACITY);
    return 0;
}

static int tear_down(void **state)
{
    metric_queue_release(&queue);
    return queue.used_bytes != 0;
}

static size_t push(int number)
{
    char text[16];
    snprintf(text, sizeof(text), "%06d", number);
    return metric_queue_push(&queue, number, text, 6);
}

static int number_of(const struct iovec *data)
{
    char text[8] = "";
    memcpy(text, data->iov_base, 6);
    return (int)strtol(text, NULL, 10);
}

static void test_oldest_first(void **state)
{
    struct iovec data[CAPACITY];
    size_t dropped = 0;
    for (int i = 0; i < 1000; i++) {
        dropped += push(i);
        assert_true(queue.used_bytes <= CAPACITY);
    }
    assert_true(queue.n > 20 && dropped == 1000 - queue.n);
    size_t n = metric_queue_take(&queue, CAPACITY, SIZE_MAX, data);
    assert_int_equal(n, queue.n);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(number_of(&data[i]), dropped + i);
}

static void test_taken_stays(void **state)
{
    struct iovec data[TAKEN];
    size_t dropped = 0;
    for (int i = 0; dropped == 0; i++)
        dropped = push(i);
    assert_int_equal(metric_queue_take(&queue, TAKEN, SIZE_MAX, data), TAKEN);
    size_t n = queue.n;
    assert_int_equal(push(5000), 1); /* one behind what is taken had to go */
    assert_int_equal(queue.n, n);
    for (int i = 0; i < TAKEN; i++)
        assert_int_equal(number_of(&data[i]), i + 1);
    metric_queue_forget(&queue, TAKEN);
    assert_int_equal(metric_queue_take(&queue, 1, SIZE_MAX, data), 1);
    assert_int_equal(number_of(data), TAKEN + 2);

    /* All of it is taken: the new one finds no room. */
    struct iovec all[CAPACITY];
    while (push(6000) == 0)
        ;
    metric_queue_take(&queue, CAPACITY, SIZE_MAX, all);
    n = queue.n;
    assert_int_equal(push(7000), 1);
    assert_int_equal(queue.n, n);
    metric_queue_give_back(&queue);
}

static void test_too_large(void **state)
{
    char huge[CAPACITY] = "";
    push(1);
    assert_int_equal(metric_queue_push(&queue, 0, huge, sizeof(huge)), 2);
    assert_int_equal(queue.n, 0);
}

static void test_bytes(void **state)
{
    struct iovec data[10];
    for (int i = 0; i < 10; i++)
        push(i);
    assert_int_equal(metric_queue_take(&queue, 10, 7 * 4, data), 4);
    assert_int_equal(metric_queue_take(&queue, 10, 7 * 4 + 6, data), 4);
    assert_int_equal(metric_queue_take(&queue, 10, 1, data), 1); /* it has to go out some time */
    assert_int_equal(metric_queue_take(&queue, 3, SIZE_MAX, data), 3);
}

static void test_expire(void **state)
{
    static const struct {
        int64_t age_ms;
        bool kept;
    } cases[] = {
        {15 * DAY_MS, false},          {14 * DAY_MS, false},
        {14 * DAY_MS - 120000, true},  {0, true},
        {-119 * 60000LL + 1000, true}, {-2 * 3600000LL, false},
    };
    int64_t now_ms = 1800000000000;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        metric_queue_push(&queue, now_ms - cases[i].age_ms, "x", 1);
        assert_int_equal(metric_queue_expire(&queue, now_ms), !cases[i].kept);
        metric_queue_forget(&queue, queue.n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_oldest_first, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_taken_stays, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_too_large, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bytes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_expire, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
