/* What is lost, torn, garbage or put back is told late or as a resync. */
#include "tests/unit/watchers/peers_fixture.h"

/* Nobody takes what is read: it stays in the journals, and what they do not keep is one resync. */
static void test_slow_reader(void **state)
{
    struct other a;
    char path[256];
    struct peers_item item;
    struct change change = {0};
    make_board();
    join(&a, 3, 1);
    start(-1);
    for (int i = 0; i < 20000; i++) {
        snprintf(path, sizeof(path), "%0*d", 100, i);
        record(&a, path);
        if (i % 100 == 99)
            announce(&a);
    }
    int resyncs = 0;
    do {
        next(&item);
        assert_int_equal(change_decode(item.payload, item.length, &change), 0);
        resyncs += change.op == CHANGE_RESYNC;
    } while (resyncs == 0 && strcmp(change.path, path) != 0);
    assert_int_equal(resyncs, 1);
    assert_int_equal(status().feed.gaps, 1);
    assert_quiet();
    tell(&a, "after");
    assert_next("task-3-1", "after");
    leave(&a, SLOT_LEFT);
}

/* Garbage on the board is nobody's; a slot that names what is not there is a resync. */
static void test_garbage(void **state)
{
    struct other a, b;
    uint8_t garbage[BOARD_SLOT_BYTES];
    make_board();
    join(&a, 3, 1);
    start(-1);
    memset(garbage, 0xa5, sizeof(garbage));
    for (unsigned i = 10; i < 20; i++)
        assert_int_equal(pwrite(board_fd, garbage, sizeof(garbage), i * BOARD_SLOT_BYTES),
                         sizeof(garbage));
    assert_quiet();
    tell(&a, "f");
    assert_next("task-3-1", "f");
    b = (struct other){.number = 30,
                       .slot = {.state = SLOT_JOINED, .epoch = 1, .sequence = 5, .segment = 1}};
    write_slot(&b);
    assert_resync();
    assert_quiet();
    a.slot.sequence = 0; /* an old board was put back */
    write_slot(&a);
    assert_resync();
    assert_quiet();
    leave(&a, SLOT_LEFT);
}

/* A payload that is no change is something that happened. */
static void test_bad_record(void **state)
{
    struct other a;
    uint64_t sequence;
    make_board();
    join(&a, 3, 1);
    start(-1);
    assert_int_equal(journal_writer_append(a.journal, JOURNAL_CHANGE, "rubbish", 7, &sequence), 0);
    record(&a, "state/is/out/of/scope");
    tell(&a, "after");
    assert_resync();
    assert_next("task-3-1", "after");
    leave(&a, SLOT_LEFT);
}

/* The word may go ahead of what can be read. */
static void test_torn(void **state)
{
    struct other a;
    make_board();
    join(&a, 3, 1);
    start(-1);
    a.slot.sequence = 1;
    write_slot(&a);
    assert_quiet();
    uint64_t fresh_ms = status().feed.fresh_ms;
    wait_polls(5);
    assert_int_equal(status().feed.fresh_ms, fresh_ms);
    record(&a, "f");
    assert_int_equal(journal_writer_commit(a.journal), 0);
    assert_next("task-3-1", "f");
    assert_quiet();
    assert_true(status().feed.fresh_ms > fresh_ms);
    leave(&a, SLOT_LEFT);
}

static void test_board_replaced(void **state)
{
    struct other a;
    make_board();
    join(&a, 3, 1);
    start(-1);
    tell(&a, "f");
    assert_next("task-3-1", "f");
    assert_int_equal(unlink("state/board"), 0);
    close(board_fd);
    make_board();
    write_slot(&a);
    assert_resync();
    tell(&a, "g");
    assert_next("task-3-1", "g");
    leave(&a, SLOT_LEFT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_slow_reader), TEST(test_garbage),        TEST(test_bad_record),
        TEST(test_torn),        TEST(test_board_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
