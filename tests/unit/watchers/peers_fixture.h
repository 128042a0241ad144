/* A board, other members with their journals, and one reader of all that. */
#ifndef TESTS_UNIT_WATCHERS_PEERS_FIXTURE_H
#define TESTS_UNIT_WATCHERS_PEERS_FIXTURE_H

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
#include "watchers/peers.h"

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

static inline void write_slot(const struct other *other)
{
    assert_int_equal(board_write_slot(board_fd, other->number, &other->slot), 0);
}

static inline void join(struct other *other, unsigned number, uint32_t epoch)
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

static inline void record(struct other *other, const char *path)
{
    uint8_t payload[CHANGE_ENCODED_MAX];
    uint64_t sequence;
    const struct change change = {.op = CHANGE_CREATE, .path = path};
    int n = change_encode(&change, payload, sizeof(payload));
    assert_true(n > 0);
    assert_int_equal(
        journal_writer_append(other->journal, JOURNAL_CHANGE, payload, (size_t)n, &sequence), 0);
}

static inline void announce(struct other *other)
{
    assert_int_equal(journal_writer_commit(other->journal), 0);
    other->slot.sequence = journal_writer_sequence(other->journal);
    other->slot.segment = journal_writer_segment(other->journal);
    write_slot(other);
}

static inline void tell(struct other *other, const char *path)
{
    record(other, path);
    announce(other);
}

static inline void leave(struct other *other, enum slot_state state)
{
    other->slot.state = state;
    write_slot(other);
    journal_writer_close(other->journal);
}

static inline void start(int slot)
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

static inline void next(struct peers_item *item)
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

static inline void assert_next(const char *observer, const char *path)
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

static inline void assert_resync(void)
{
    struct peers_item item;
    struct change change;
    next(&item);
    assert_int_equal(change_decode(item.payload, item.length, &change), 0);
    assert_int_equal(change.op, CHANGE_RESYNC);
    assert_int_equal(change.reason, CHANGE_REASON_JOURNAL_GAP);
    assert_string_equal(change.path, "");
}

static inline struct peers_status status(void)
{
    struct peers_status now;
    peers_status(peers, &now);
    return now;
}

static inline void wait_polls(unsigned more)
{
    uint64_t polls = status().feed.polls + more;
    int64_t end_ms = clock_now_ms() + PATIENCE_MS;
    while (status().feed.polls < polls) {
        assert_true(clock_now_ms() < end_ms);
        usleep(2000);
    }
}

/* Nothing more is told in the next polls. */
static inline void assert_quiet(void)
{
    wait_polls(5);
    assert_int_equal(peers_look(peers), taken);
}

static inline void make_board(void)
{
    assert_int_equal(board_create(state_fd, -1), 0);
    assert_int_equal(board_open(state_fd, false, &board_fd), 0);
}

static inline int setup(void **state)
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

static inline int teardown(void **state)
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

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

#endif
