/* The ring of recent changes: order, numbering, cursors, readers that fall behind, its bound. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sidecar/feed.h"

enum { RING_BYTES = 64 * 1024 };

static int set_up(void **state)
{
    struct feed *feed;
    if (feed_new(RING_BYTES, "task-a", &feed) < 0)
        return -1;
    *state = feed;
    return 0;
}

static int tear_down(void **state)
{
    feed_free(*state);
    return 0;
}

static void push(struct feed *feed, const char *path)
{
    struct change change = {.op = CHANGE_CREATE, .path = path, .epoch = 7, .sequence = 99};
    assert_int_equal(feed_push(feed, &change), 0);
}

static void test_order_and_numbers(void **state)
{
    struct feed *feed = *state;
    struct feed_reader reader, late;
    struct change change;

    push(feed, "before");
    assert_int_equal(feed_seek(feed, NULL, &reader), 0);
    assert_int_equal(feed_next(feed, &reader, &change), 0);
    push(feed, "a");
    struct change foreign = {.op = CHANGE_MODIFY, .path = "b", .observer = "task-b"};
    assert_int_equal(feed_push(feed, &foreign), 0);
    const struct change resync = {.op = CHANGE_RESYNC, .reason = CHANGE_REASON_RESTART, .path = ""};
    assert_int_equal(feed_push(feed, &resync), 0);

    assert_int_equal(feed_next(feed, &reader, &change), 1);
    assert_string_equal(change.path, "a");
    assert_string_equal(change.observer, "task-a");
    assert_int_equal(change.sequence, 2);
    assert_int_equal(feed_next(feed, &reader, &change), 1);
    assert_string_equal(change.observer, "task-b");

    char cursor[CHANGE_CURSOR_TEXT];
    change_cursor_format(reader.epoch, reader.sequence, cursor);
    assert_int_equal(feed_seek(feed, cursor, &late), 0);
    assert_int_equal(feed_next(feed, &late, &change), 1);
    assert_int_equal(change.op, CHANGE_RESYNC);
    assert_int_equal(change.reason, CHANGE_REASON_RESTART);
    assert_int_equal(change.sequence, 4);
    assert_int_equal(feed_next(feed, &late, &change), 0);
}

static void test_refuses_what_is_out_of_bounds(void **state)
{
    struct feed *feed = *state, *tiny;
    struct change change = {.op = CHANGE_CREATE, .path = "../up"};
    assert_int_equal(feed_push(feed, &change), -EINVAL);
    struct feed_reader reader;
    assert_int_equal(feed_seek(feed, "0.0.0", &reader), -EINVAL);
    assert_int_equal(feed_seek(feed, "", &reader), -EINVAL);
    assert_int_equal(feed_new(CHANGE_ENCODED_MAX, "task-a", &tiny), -EINVAL);
}

static void test_strange_cursors(void **state)
{
    struct feed *feed = *state;
    struct feed_reader end, reader;
    struct change change;
    char cursor[CHANGE_CURSOR_TEXT];

    push(feed, "a");
    feed_seek(feed, NULL, &end);
    assert_int_equal(
        feed_seek(feed, change_cursor_format(end.epoch + 1, end.sequence, cursor), &reader),
        -ESTALE);
    assert_int_equal(feed_next(feed, &reader, &change), 0);
    assert_int_equal(
        feed_seek(feed, change_cursor_format(end.epoch, end.sequence + 1, cursor), &reader),
        -ESTALE);
    assert_int_equal(feed_seek(feed, change_cursor_format(end.epoch, 0, cursor), &reader), 0);
    assert_int_equal(feed_next(feed, &reader, &change), 1);
    assert_string_equal(change.path, "a");
}

/* Many changes of many lengths: what a reader gets is in order and whole, or it is told. */
static void test_wraps(void **state)
{
    struct feed *feed = *state;
    struct feed_reader fast, slow;
    struct change change;
    char path[CHANGE_PATH_MAX + 1], first[CHANGE_CURSOR_TEXT];
    unsigned seed = 1;

    feed_seek(feed, NULL, &fast);
    feed_seek(feed, NULL, &slow);
    change_cursor_format(slow.epoch, slow.sequence, first);
    for (unsigned i = 1; i <= 20000; i++) {
        seed = seed * 1103515245 + 12345;
        size_t length = i % 97 == 0 ? CHANGE_PATH_MAX : 1 + (seed >> 16) % 300;
        memset(path, 'a' + (int)(i % 26), length);
        path[length] = '\0';
        push(feed, path);
        assert_int_equal(feed_next(feed, &fast, &change), 1);
        assert_int_equal(change.sequence, i);
        assert_string_equal(change.path, path);
    }
    assert_int_equal(feed_next(feed, &fast, &change), 0);

    struct feed_reader reader;
    assert_int_equal(feed_seek(feed, first, &reader), -ESTALE);
    assert_int_equal(feed_next(feed, &slow, &change), -ESTALE);
    assert_int_equal(feed_next(feed, &slow, &change), 0);
    assert_int_equal(slow.sequence, 20000);

    /* Every cursor is either reached exactly or refused, and the oldest kept ones are contiguous.
     */
    unsigned reached = 0;
    for (unsigned i = 0; i <= 20000; i++) {
        char cursor[CHANGE_CURSOR_TEXT];
        int r = feed_seek(feed, change_cursor_format(fast.epoch, i, cursor), &reader);
        assert_true(r == 0 || (r == -ESTALE && reached == 0));
        if (r == 0 && i < 20000) {
            assert_int_equal(feed_next(feed, &reader, &change), 1);
            assert_int_equal(change.sequence, i + 1);
            reached++;
        }
    }
    assert_in_range(reached, 100, RING_BYTES / 60);
}

static void count_wake(void *arg)
{
    ++*(int *)arg;
}

static void test_subscribers(void **state)
{
    struct feed *feed = *state;
    int a_wakes = 0, b_wakes = 0;
    struct feed_subscriber a = {.wake = count_wake, .arg = &a_wakes},
                           b = {.wake = count_wake, .arg = &b_wakes};
    feed_subscribe(feed, &a);
    feed_subscribe(feed, &b);
    push(feed, "x");
    feed_unsubscribe(&a);
    push(feed, "y");
    feed_unsubscribe(&b);
    push(feed, "z");
    assert_int_equal(a_wakes, 1);
    assert_int_equal(b_wakes, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_order_and_numbers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refuses_what_is_out_of_bounds, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_strange_cursors, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_wraps, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_subscribers, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
