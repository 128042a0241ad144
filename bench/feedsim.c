/*
 * feedsim: members of a feed without a sidecar, for benches and scenarios that need many.
 *
 *     feedsim STATE_DIR MEMBERS EVERY_MS [COUNT]
 *
 * Takes so many slots on the board, joins in each as a sidecar does, prints "joined", and then lets
 * one member after the other announce that a file was modified: one announcement every EVERY_MS
 * (0: none), COUNT in all (for ever). At SIGTERM the slots are given back.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/parse.h"
#include "lib/share/board.h"
#include "lib/share/change.h"
#include "lib/share/journal_writer.h"
#include "lib/share/layout.h"

enum { MEMBERS_MAX = BOARD_SLOTS };

struct member {
    int board_fd;
    unsigned number;
    struct slot slot;
    struct journal_writer *journal;
};

static struct member members[MEMBERS_MAX];
static volatile sig_atomic_t stopped;

static void on_signal(int number)
{
    stopped = number;
}

static int join(struct member *member, int state_fd, int feed_fd, unsigned first)
{
    static const struct journal_limits limits = {1024 * 1024, 8, -1};
    static uint8_t bytes[BOARD_BYTES] __attribute__((aligned(4096)));
    struct slot before = {0};
    int r = board_open(state_fd, true, &member->board_fd);
    if (r == 0)
        r = board_take(member->board_fd, first, &member->number);
    if (r == 0)
        r = board_read(member->board_fd, bytes);
    if (r < 0)
        return r;
    slot_decode(bytes + member->number * BOARD_SLOT_BYTES, &before);
    member->slot = (struct slot){
        .state = SLOT_JOINED,
        .reads_from = 1,
        .reads_to = 1,
        .epoch = before.epoch + 1,
        .segment = 1,
        .fence_ms = 30000,
    };
    r = journal_writer_create(feed_fd, member->number, member->slot.epoch, "feedsim", &limits,
                              &member->journal);
    return r == 0 ? board_write_slot(member->board_fd, member->number, &member->slot) : r;
}

static int announce(struct member *member, unsigned n)
{
    uint8_t payload[CHANGE_ENCODED_MAX];
    char path[32];
    snprintf(path, sizeof(path), "simulated-%u", n % 100);
    struct change change = {.op = CHANGE_MODIFY, .path = path};
    int length = change_encode(&change, payload, sizeof(payload));
    uint64_t sequence;
    int r = length < 0 ? length
                       : journal_writer_append(member->journal, JOURNAL_CHANGE, payload,
                                               (size_t)length, &sequence);
    if (r == 0)
        r = journal_writer_commit(member->journal);
    member->slot.sequence = journal_writer_sequence(member->journal);
    member->slot.drained = member->slot.sequence;
    member->slot.segment = journal_writer_segment(member->journal);
    return r == 0 ? board_write_slot(member->board_fd, member->number, &member->slot) : r;
}

static int work(unsigned count, int64_t every_ms, int64_t announcements)
{
    for (int64_t n = 0; !stopped; n++) {
        bool more = every_ms > 0 && n < announcements;
        usleep((useconds_t)(more ? every_ms : 1000) * 1000); /* a signal ends it */
        int r = more ? announce(&members[n % count], (unsigned)n) : 0;
        if (r < 0)
            return r;
    }
    return 0;
}

static void leave(struct member *member)
{
    member->slot.state = SLOT_LEFT;
    board_write_slot(member->board_fd, member->number, &member->slot);
    journal_writer_close(member->journal);
    close(member->board_fd);
}

static int simulate(const char *state_dir, unsigned count, int64_t every_ms, int64_t announcements)
{
    _cleanup_close_ int state_fd = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (state_fd < 0)
        return -errno;
    _cleanup_close_ int feed_fd = openat(state_fd, LAYOUT_FEED, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (feed_fd < 0)
        return -errno;
    unsigned joined = 0;
    int r = 0;
    while (joined < count && r == 0) {
        r = join(&members[joined], state_fd, feed_fd, 100 + joined);
        joined += r == 0;
    }
    if (r == 0) {
        puts("joined");
        r = work(count, every_ms, announcements);
    }
    while (joined > 0)
        leave(&members[--joined]);
    return r;
}

int main(int argc, char **argv)
{
    int64_t count, every_ms, announcements = INT64_MAX;
    if (argc < 4 || argc > 5 || parse_i64(argv[2], 1, MEMBERS_MAX, &count) < 0 ||
        parse_i64(argv[3], 0, 3600000, &every_ms) < 0 ||
        (argc == 5 && parse_i64(argv[4], 1, INT64_MAX, &announcements) < 0)) {
        fputs("usage: feedsim STATE_DIR MEMBERS EVERY_MS [COUNT]\n", stderr);
        return 64;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    int r = simulate(argv[1], (unsigned)count, every_ms, announcements);
    if (r < 0)
        fprintf(stderr, "feedsim: %s: %s\n", argv[1], strerror(-r));
    return r < 0;
}
