#include "watchers/peers.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
/* cmocka needs the four above */
#include <cmocka.h>

#include "lib/clock.h"
#include "lib/share/board.h"
#include "lib/share/journal_writer.h"
#include "lib/share/layout.h"
#include "lib/share/notice.h"

enum { PATIENCE_MS = 20 * 1000 };

static char root[64];
static int root_fd, state_fd, feed_fd, board_fd;
static struct peers *peers;
static struct peers_own own;
static uint64_t taken;

/* Another member. */
struct other {
    struct slot slot;
    unsigned number;
    struct journal_writer *journal;
};

static const struct journal_limits limits = {.segment_bytes = 64 * 1024, .segments = 40, .gid = -1};

static void write_slot(const struct other *other)
{
    assert_int_equal(board_write_slot(board_fd, other->number, &other->slot), 0);
}

static void join(struct other *other, unsigned number, uint32_t epoch)
{
    char name[32];
    snprintf(name, sizeof(name), "task-%u-%u", number, epoch);
    *other = (struct other){.number = number,
                            .slot = {.state = SLOT_JOINED,
                                     .reads_from = 1,
                                     .reads_to = 1,
                                     .epoch = epoch,
                                     .segment = 1,
                                     .fence_ms = 30000}};
    assert_int_equal(journal_writer_create(feed_fd, number, epoch, name, &limits, &other->journal),
                     0);
    write_slot(other);
}

static void record(struct other *other, const char *path)
{
    uint8_t payload[CHANGE_ENCODED_MAX];
    uint64_t sequence;
    const struct change change = {.op = CHANGE_CREATE, .path = path};
    int n = change_encode(&change, payload, sizeof(payload));
    assert_true(n > 0);
    assert_int_equal(
        journal_writer_append(other->journal, JOURNAL_CHANGE, payload, (size_t)n, &sequence), 0);
}

static void announce(struct other *other)
{
    assert_int_equal(journal_writer_commit(other->journal), 0);
    other->slot.sequence = journal_writer_sequence(other->journal);
    other->slot.segment = journal_writer_segment(other->journal);
    write_slot(other);
}

static void tell(struct other *other, const char *path)
{
    record(other, path);
    announce(other);
}

static void leave(struct other *other, enum slot_state state)
{
    other->slot.state = state;
    write_slot(other);
    journal_writer_close(other->journal);
}

static void start(int slot)
{
    static const char *const excludes[] = {"state"};
    const struct peers_options options = {
        .root_fd = root_fd,
        .state_fd = state_fd,
        .scope = {.excludes = excludes, .exclude_count = 1},
        .poll_ms = 10,
        .idle_poll_ms = 20,
        .idle_after_ms = 10 * 1000,
        .slot = slot,
        .own = slot >= 0 ? &own : NULL,
    };
    struct error err;
    taken = 0;
    assert_int_equal(peers_open(&options, &peers, &err), 0);
}

static void next(struct peers_item *item)
{
    struct pollfd fds = {.fd = peers_fd(peers), .events = POLLIN};
    int64_t end_ms = clock_now_ms() + PATIENCE_MS;
    while (peers_look(peers) == taken) {
        assert_true(clock_now_ms() < end_ms);
        poll(&fds, 1, 100);
    }
    assert_true(peers_next(peers, item));
    taken++;
}

static void assert_next(const char *observer, const char *path)
{
    struct peers_item item;
    struct change change;
    next(&item);
    assert_int_equal(item.kind, PEERS_CHANGE);
    assert_int_equal(change_decode(item.payload, item.length, &change), 0);
    assert_string_equal(change.path, path);
    assert_string_equal(item.observer, observer);
    assert_int_equal(change.op, CHANGE_CREATE);
}

static void assert_resync(void)
{
    struct peers_item item;
    struct change change;
    next(&item);
    assert_int_equal(change_decode(item.payload, item.length, &change), 0);
    assert_int_equal(change.op, CHANGE_RESYNC);
    assert_int_equal(change.reason, CHANGE_REASON_JOURNAL_GAP);
    assert_string_equal(change.path, "");
}

static struct peers_status status(void)
{
    struct peers_status now;
    peers_status(peers, &now);
    return now;
}

static void wait_polls(unsigned more)
{
    uint64_t polls = status().feed.polls + more;
    int64_t end_ms = clock_now_ms() + PATIENCE_MS;
    while (status().feed.polls < polls) {
        assert_true(clock_now_ms() < end_ms);
        usleep(2000);
    }
}

/* Nothing more is told in the next polls. */
static void assert_quiet(void)
{
    wait_polls(5);
    assert_int_equal(peers_look(peers), taken);
}

static void make_board(void)
{
    assert_int_equal(board_create(state_fd, -1), 0);
    assert_int_equal(board_open(state_fd, false, &board_fd), 0);
}

static int setup(void **state)
{
    strcpy(root, "/tmp/test_peers.XXXXXX");
    if (!mkdtemp(root) || chdir(root) < 0 || mkdir("state", 0755) < 0 ||
        mkdir("state/" LAYOUT_FEED, 0755) < 0)
        return -1;
    root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    state_fd = open("state", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    feed_fd = open("state/" LAYOUT_FEED, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    board_fd = -1;
    return 0;
}

static int teardown(void **state)
{
    char command[128];
    if (peers_close(peers, PATIENCE_MS) != 0)
        return -1;
    peers = NULL;
    close(root_fd);
    close(state_fd);
    close(feed_fd);
    if (board_fd >= 0)
        close(board_fd);
    snprintf(command, sizeof(command), "rm -rf %s", root);
    if (chdir("/") < 0)
        return -1;
    return system(command); /* NOLINT(cert-env33-c): our own mkdtemp name */
}

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

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_news),
        TEST(test_notice),
        TEST(test_late_board),
        TEST(test_next_owner),
        TEST(test_removed_after_leaving),
        TEST(test_rotation),
        TEST(test_slow_reader),
        TEST(test_garbage),
        TEST(test_bad_record),
        TEST(test_torn),
        TEST(test_board_replaced),
        TEST(test_same_stamp),
        TEST(test_own_slot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
