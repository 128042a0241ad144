/* What peers announce is told, once and in order. */
#include "tests/unit/watchers/peers_fixture.h"

#include "lib/share/notice.h"

/* What was announced before is history; what comes later is told, in order. */
static void test_news(void **state)
{
    struct other a, b;
    make_board();
    join(&a, 3, 1);
    tell(&a, "old");
    start(-1);
    tell(&a, "first");
    record(&a, "second");
    record(&a, "third");
    announce(&a);
    assert_next("task-3-1", "first");
    assert_next("task-3-1", "second");
    assert_next("task-3-1", "third");
    join(&b, 200, 1);
    tell(&b, "from another");
    assert_next("task-200-1", "from another");
    assert_quiet();
    assert_int_equal(status().feed.peers, 2);
    assert_int_equal(status().feed.records, 4);
    assert_int_equal(status().feed.gaps, 0);
    assert_true(status().feed.fresh_ms > 0);
    leave(&a, SLOT_LEFT);
    leave(&b, SLOT_LEFT);
    assert_quiet();
    assert_int_equal(status().feed.peers, 0);
}

static void test_notice(void **state)
{
    struct other a;
    uint8_t payload[NOTICE_ENCODED_MAX];
    const struct notice notice = {.kind = NOTICE_LOCK_RELEASED, .number = 9, .name = "nightly"};
    struct notice got;
    struct peers_item item;
    uint64_t sequence;
    make_board();
    join(&a, 3, 1);
    start(-1);
    int n = notice_encode(&notice, payload, sizeof(payload));
    assert_int_equal(
        journal_writer_append(a.journal, JOURNAL_NOTICE, payload, (size_t)n, &sequence), 0);
    announce(&a);
    next(&item);
    assert_int_equal(item.kind, PEERS_NOTICE);
    assert_int_equal(item.slot, 3);
    assert_int_equal(item.epoch, 1);
    assert_int_equal(notice_decode(item.payload, item.length, &got), 0);
    assert_string_equal(got.name, "nightly");
    leave(&a, SLOT_LEFT);
}

/* The board may come later than we do; then nothing on it is history. */
static void test_late_board(void **state)
{
    struct other a;
    start(-1);
    make_board();
    join(&a, 0, 1);
    tell(&a, "f");
    assert_next("task-0-1", "f");
    leave(&a, SLOT_LEFT);
}

/* The next owner of a slot, and what its predecessor wrote and did not announce. */
static void test_next_owner(void **state)
{
    struct other a;
    make_board();
    join(&a, 3, 1);
    start(-1);
    tell(&a, "told");
    assert_next("task-3-1", "told");
    record(&a, "died before it was announced");
    assert_int_equal(journal_writer_commit(a.journal), 0);
    journal_writer_close(a.journal);
    join(&a, 3, 2);
    tell(&a, "of the next");
    assert_next("task-3-1", "died before it was announced");
    assert_next("task-3-2", "of the next");
    leave(&a, SLOT_LEFT);
    join(&a, 3, 3);
    tell(&a, "left cleanly");
    leave(&a, SLOT_LEFT);
    join(&a, 3, 4);
    tell(&a, "again");
    assert_next("task-3-3", "left cleanly");
    assert_next("task-3-4", "again");
    assert_quiet();
    assert_int_equal(status().feed.gaps, 0);
    leave(&a, SLOT_LEFT);
}

/* A journal whose owner left is not missed when it is removed. */
static void test_removed_after_leaving(void **state)
{
    struct other a;
    make_board();
    join(&a, 3, 1);
    start(-1);
    tell(&a, "told");
    assert_next("task-3-1", "told");
    leave(&a, SLOT_LEFT);
    assert_quiet();
    /* NOLINTNEXTLINE(cert-env33-c): in our own directory */
    assert_int_equal(system("rm -r state/feed/3-1"), 0);
    join(&a, 3, 2);
    tell(&a, "next");
    assert_next("task-3-2", "next");
    assert_int_equal(status().feed.gaps, 0);
    /* What was there between two polls has to be readable. */
    tell(&a, "last");
    assert_next("task-3-2", "last");
    assert_quiet();
    a.slot.epoch = 9;
    write_slot(&a);
    assert_resync();
    assert_quiet();
    assert_int_equal(status().feed.gaps, 1);
    journal_writer_close(a.journal);
}

static void test_rotation(void **state)
{
    struct other a;
    char path[1024];
    make_board();
    join(&a, 3, 1);
    start(-1);
    for (int i = 0; i < 1000; i++) {
        snprintf(path, sizeof(path), "%0*d", 200, i);
        tell(&a, path);
        assert_next("task-3-1", path);
    }
    assert_true(journal_writer_segment(a.journal) > 1);
    assert_int_equal(status().feed.gaps, 0);
    leave(&a, SLOT_LEFT);
}

/* Two moves with one time stamp: the board is read again for a while. */
static void test_same_stamp(void **state)
{
    struct other a;
    struct stat before;
    make_board();
    join(&a, 3, 1);
    start(-1);
    wait_polls(3);
    tell(&a, "f");
    assert_next("task-3-1", "f");
    wait_polls(1);
    uint64_t reads = status().feed.board_reads;
    assert_int_equal(fstat(board_fd, &before), 0);
    wait_polls(3);
    assert_true(status().feed.board_reads > reads);
    int64_t since_ms = clock_now_ms();
    do {
        reads = status().feed.board_reads;
        wait_polls(3);
        assert_true(clock_now_ms() - since_ms < PATIENCE_MS);
    } while (status().feed.board_reads > reads);
    assert_true(clock_now_ms() - since_ms > 1000);
    leave(&a, SLOT_LEFT);
}

/* Our own slot is not read as a peer's, and holds only what we have written. */
static void test_own_slot(void **state)
{
    struct other a, b;
    make_board();
    join(&a, 3, 1);
    join(&b, 4, 1);
    atomic_store(&own.written, slot_word(&a.slot));
    atomic_store(&own.writing, slot_word(&a.slot));
    start(3);
    struct slot ahead = a.slot;
    ahead.sequence = 1;
    atomic_store(&own.writing, slot_word(&ahead));
    tell(&a, "own");
    tell(&b, "peer");
    assert_next("task-4-1", "peer");
    assert_quiet();
    atomic_store(&own.written, slot_word(&ahead));
    assert_quiet();
    assert_false(status().fenced);
    a.slot.epoch = 2;
    write_slot(&a);
    int64_t end_ms = clock_now_ms() + PATIENCE_MS;
    while (!status().fenced)
        assert_true(clock_now_ms() < end_ms);
    leave(&b, SLOT_LEFT);
    journal_writer_close(a.journal);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_news),
        TEST(test_notice),
        TEST(test_late_board),
        TEST(test_next_owner),
        TEST(test_removed_after_leaving),
        TEST(test_rotation),
        TEST(test_same_stamp),
        TEST(test_own_slot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
