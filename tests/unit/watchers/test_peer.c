#include "watchers/peer.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* cmocka needs the four above */
#include <cmocka.h>

#include "lib/share/journal_writer.h"

static char root[64];
static struct peer_journals journals;
static struct journal_writer *writer;
static unsigned told, gaps, most;

static int setup(void **state)
{
    static const struct journal_limits limits = {
        .segment_bytes = 64 * 1024, .segments = 2, .gid = -1};
    strcpy(root, "/tmp/test_peer.XXXXXX");
    if (!mkdtemp(root))
        return -1;
    journals = (struct peer_journals){.feed_fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
                                      .slot = 5};
    told = gaps = 0;
    most = 1000;
    return journal_writer_create(journals.feed_fd, 5, 1, "task", &limits, &writer);
}

static int teardown(void **state)
{
    char command[128];
    journal_writer_close(writer);
    close(journals.feed_fd);
    snprintf(command, sizeof(command), "rm -rf %s", root);
    return system(command); /* NOLINT(cert-env33-c): our own mkdtemp name */
}

static int take(void *arg, const struct peer_record *record)
{
    assert_int_equal(record->slot, 5);
    gaps += record->gap;
    told += !record->gap;
    return told >= most;
}

static uint64_t write_records(unsigned n)
{
    uint64_t sequence;
    while (n-- > 0)
        assert_int_equal(journal_writer_append(writer, JOURNAL_CHANGE, "payload", 7, &sequence), 0);
    assert_int_equal(journal_writer_commit(writer), 0);
    return journal_writer_sequence(writer);
}

static int read_to(struct peer *peer, uint32_t epoch, uint64_t sequence, int64_t now_ms)
{
    const struct slot slot = {
        .state = SLOT_JOINED, .epoch = epoch, .sequence = sequence, .segment = 1};
    return peer_read(peer, &journals, &slot, now_ms, take, NULL);
}

/* Nothing beyond what is announced, and no more at a time than is wanted. */
static void test_positions(void **state)
{
    struct peer peer = {0};
    write_records(10);
    peer_note(&peer, &(struct slot){.state = SLOT_JOINED, .epoch = 1, .sequence = 2, .segment = 1});
    assert_int_equal(read_to(&peer, 1, 2, 1), 0);
    assert_int_equal(told, 0);
    most = 3;
    assert_int_equal(read_to(&peer, 1, 7, 1), 1);
    assert_int_equal(told, 3);
    most = 1000;
    assert_int_equal(read_to(&peer, 1, 7, 1), 0);
    assert_int_equal(told, 5);
    assert_int_equal(peer.sequence, 7);
    assert_int_equal(read_to(&peer, 1, 10, 1), 0);
    assert_int_equal(told, 8);
    assert_int_equal(gaps, 0);
    peer_release(&peer);
}

/* What is announced and cannot be read is waited for, and then it is one gap. */
static void test_patience(void **state)
{
    struct peer peer = {0};
    write_records(1);
    assert_int_equal(read_to(&peer, 1, 2, 1000), -EAGAIN);
    assert_int_equal(told, 1);
    assert_int_equal(read_to(&peer, 1, 2, 1000 + PEER_PATIENCE_MS - 1), -EAGAIN);
    write_records(1);
    assert_int_equal(read_to(&peer, 1, 2, 1000 + PEER_PATIENCE_MS), 0);
    assert_int_equal(gaps, 0);
    assert_int_equal(read_to(&peer, 1, 3, 50000), -EAGAIN);
    assert_int_equal(read_to(&peer, 1, 3, 50000 + PEER_PATIENCE_MS), 0);
    assert_int_equal(gaps, 1);
    assert_int_equal(read_to(&peer, 1, 3, 50000 + PEER_PATIENCE_MS), 0);
    assert_int_equal(gaps, 1);
    peer_release(&peer);
}

/* Epochs and sequences only grow, and too many at once are not looked for. */
static void test_jumps(void **state)
{
    struct peer peer = {0};
    write_records(5);
    assert_int_equal(read_to(&peer, 1, 5, 1), 0);
    assert_int_equal(read_to(&peer, 1, 4, 1), 0);
    assert_int_equal(gaps, 1);
    assert_int_equal(peer.sequence, 4);
    assert_int_equal(read_to(&peer, 1, 5, 1), 0);
    assert_int_equal(told, 6);
    assert_int_equal(read_to(&peer, SLOT_EPOCH_MAX, 5, 1), 0);
    assert_int_equal(gaps, 2);
    assert_int_equal(read_to(&peer, 1, 5, 1), 0);
    assert_int_equal(gaps, 3);
    assert_int_equal(peer.epoch, 1);
    peer_release(&peer);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_positions), TEST(test_patience), TEST(test_jumps)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
