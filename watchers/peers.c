#include "watchers/peers.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/fs.h"
#include "lib/share/board.h"
#include "lib/share/layout.h"
#include "lib/test_hook.h"
#include "watchers/inbox.h"
#include "watchers/parents.h"
#include "watchers/peer.h"

enum { SETTLE_MS = 2000 };
_Static_assert(2 * PEERS_BATCH_RECORDS <= PARENTS_MAX, "a rename has two");

struct peers {
    struct peers_options options;
    pthread_t thread;

    /* The thread's. */
    int board_fd, feed_fd;
    struct peer peers[BOARD_SLOTS];
    struct statx board; /* as it was when it was polled last */
    int64_t moved_ms;   /* when a poll saw a move first */
    bool settled;       /* a poll was sent so late after the move that it shows all of it */
    bool known;         /* the board has been read */
    bool missed;        /* something was lost that belongs to no journal: say so */
    bool behind;        /* something announced has not been read */
    bool waited;        /* for the caller: what was read of the board is old */
    bool strange;       /* the own slot was not as it should be */
    struct peers_status now;

    struct inbox inbox;
};

/* ---- what is handed over ---- */

/* False: stop. */
static bool hand_over(struct peers *p)
{
    p->now.feed.records += p->inbox.batch_count;
    return inbox_hand_over(&p->inbox, &p->now, &p->waited);
}

static int add_item(struct peers *p, enum peers_kind kind, const struct peer_record *record,
                    const uint8_t *payload, size_t length)
{
    return inbox_add(&p->inbox, &(struct peers_item){.kind = kind,
                                                     .slot = (uint16_t)record->slot,
                                                     .epoch = record->epoch,
                                                     .observer = record->observer,
                                                     .payload = payload,
                                                     .length = length});
}

static int add_resync(struct peers *p, const struct peer_record *record)
{
    uint8_t buffer[CHANGE_ENCODED_MAX];
    const struct change resync = {
        .op = CHANGE_RESYNC, .reason = CHANGE_REASON_JOURNAL_GAP, .path = ""};
    int n = change_encode(&resync, buffer, sizeof(buffer));
    return n < 0 ? n : add_item(p, PEERS_CHANGE, record, buffer, (size_t)n);
}

static bool is_wanted(const struct peers *p, const struct change *change)
{
    const struct scope *scope = &p->options.scope;
    return scope_of_whole(scope, change->path) != SCOPE_OUT ||
           (change->op == CHANGE_RENAME && scope_of_whole(scope, change->from) != SCOPE_OUT);
}

/* A peer_take. What does not decode is something that happened and we do not understand. */
static int take_record(void *arg, const struct peer_record *record)
{
    struct peers *p = arg;
    const struct journal_record *in = &record->record;
    struct change change;
    bool is_change = !record->gap && in->type == JOURNAL_CHANGE;
    int r = 0;
    if (record->gap || (is_change && change_decode(in->payload, in->length, &change) < 0)) {
        p->now.feed.gaps++;
        r = add_resync(p, record);
    } else if (is_change ? is_wanted(p, &change) : in->type == JOURNAL_NOTICE) {
        r = add_item(p, is_change ? PEERS_CHANGE : PEERS_NOTICE, record, in->payload, in->length);
    }
    p->missed |= r < 0;
    return p->inbox.batch_count >= PEERS_BATCH_RECORDS;
}

/* ---- directories ---- */

static void sync_directories(const struct peers *p)
{
    struct parents parents = {.root_fd = p->options.root_fd};
    const struct inbox_item *item;
    if (test_hook_omits("directory_sync"))
        return;
    TAILQ_FOREACH(item, &p->inbox.batch, link)
    {
        struct change change;
        if (item->out.kind != PEERS_CHANGE ||
            change_decode(item->out.payload, item->out.length, &change) < 0)
            continue;
        parents_sync(&parents, change.path);
        if (change.op == CHANGE_RENAME)
            parents_sync(&parents, change.from);
    }
}

/* ---- the board ---- */

/* The own slot must hold what was written last, or what is being written. On a local file system a
 * read may see half a write, so it has to be wrong twice. */
static void check_own(struct peers *p, uint64_t before, const struct slot *slot)
{
    if (!p->options.own)
        return;
    uint64_t word = slot ? slot_word(slot) : 0;
    bool strange = word < before || word > atomic_load(&p->options.own->writing);
    p->now.fenced |= strange && p->strange;
    p->strange = strange;
    p->behind |= strange;
}

/* Everything that this slot announces and is not read yet. False: stop. */
static bool read_peer(struct peers *p, unsigned number, const struct slot *slot)
{
    const struct peer_journals journals = {
        .feed_fd = p->feed_fd, .slot = number, .direct = p->options.on_nfs};
    for (;;) {
        int r = peer_read(&p->peers[number], &journals, slot, clock_now_ms(), take_record, p);
        if (r == -EAGAIN)
            p->behind = true;
        if (r != 1)
            return true;
        sync_directories(p);
        if (!hand_over(p))
            return false;
        if (p->waited)
            return true;
    }
}

static bool open_feed(struct peers *p)
{
    struct statx now;
    if (p->feed_fd >= 0)
        return true;
    statx(p->options.state_fd, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_CTIME, &now);
    return fs_open_beneath(p->options.state_fd, LAYOUT_FEED, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0,
                           &p->feed_fd) == 0;
}

/* Look at all slots, and read what is new. known: it is not new but known from now on. */
static bool take_slots(struct peers *p, const uint8_t *bytes, uint64_t own_before, bool known)
{
    uint32_t joined = 0;
    p->behind = false;
    for (unsigned i = 0; i < BOARD_SLOTS && !p->waited; i++) {
        struct slot slot = {0};
        int r = slot_decode(bytes + (size_t)i * BOARD_SLOT_BYTES, &slot);
        if ((int)i == p->options.slot) {
            check_own(p, own_before, r == 0 ? &slot : NULL);
            continue;
        }
        if (r < 0) /* never used, or nothing that could be understood */
            continue;
        joined += slot.state == SLOT_JOINED;
        if (known)
            peer_note(&p->peers[i], &slot);
        else if (!peer_is_behind(&p->peers[i], &slot))
            p->peers[i].left = slot.state == SLOT_LEFT;
        else if (!open_feed(p))
            p->behind = true;
        else if (!read_peer(p, i, &slot))
            return false;
    }
    p->now.feed.peers = joined;
    return true;
}

/* 0, 1 stop, or -errno. */
static int read_board(struct peers *p, bool known)
{
    uint8_t bytes[BOARD_BYTES];
    uint64_t own_before = p->options.own ? atomic_load(&p->options.own->written) : 0;
    int r = board_read(p->board_fd, bytes);
    if (r < 0)
        return r;
    p->now.feed.board_reads++;
    if (!take_slots(p, bytes, own_before, known))
        return 1;
    p->known = true;
    return 0;
}

static void close_board(struct peers *p)
{
    if (p->board_fd >= 0)
        close(p->board_fd);
    if (p->feed_fd >= 0)
        close(p->feed_fd);
    p->board_fd = p->feed_fd = -1;
    for (unsigned i = 0; i < BOARD_SLOTS; i++)
        peer_release(&p->peers[i]);
    p->missed = p->known; /* the next one is another */
    p->known = false;
}

static int open_board(struct peers *p)
{
    struct statx now;
    if (p->board_fd >= 0)
        return 0;
    statx(p->options.state_fd, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_CTIME, &now);
    const int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | (p->options.on_nfs ? O_DIRECT : 0);
    return fs_open_beneath(p->options.state_fd, LAYOUT_BOARD, flags, 0, &p->board_fd);
}

static bool has_moved(const struct statx *a, const struct statx *b)
{
    return a->stx_mtime.tv_sec != b->stx_mtime.tv_sec ||
           a->stx_mtime.tv_nsec != b->stx_mtime.tv_nsec ||
           a->stx_ctime.tv_sec != b->stx_ctime.tv_sec ||
           a->stx_ctime.tv_nsec != b->stx_ctime.tv_nsec || a->stx_size != b->stx_size;
}

static void set_polled(struct peers *p, int64_t sent_ms, int64_t sent_us)
{
    p->now.feed.polls++;
    p->now.feed.poll_sent_ms = (uint64_t)sent_ms;
    p->now.feed.poll_us = (uint32_t)(clock_now_us() - sent_us);
    inbox_publish(&p->inbox, &p->now);
}

static int poll_board(struct peers *p, int64_t sent_ms)
{
    struct statx now = {0};
    int64_t sent_us = clock_now_us();
    int r = open_board(p);
    if (r == 0)
        r = board_stat(p->board_fd, &now);
    if (r == 0 && now.stx_nlink == 0)
        r = -ESTALE;
    if (r < 0)
        return r;
    set_polled(p, sent_ms, sent_us);
    bool lost = p->missed;
    if (lost) {
        r = add_resync(p, &(struct peer_record){.observer = ""});
        if (r < 0)
            return r;
        p->now.feed.gaps++;
        p->missed = false;
    }
    bool moved = lost || has_moved(&now, &p->board);
    bool last_look = !moved && !p->settled && sent_ms >= p->moved_ms + SETTLE_MS;
    bool again = !p->settled && !test_hook_omits("second_board_read");
    p->board = now;
    if (moved) {
        p->moved_ms = clock_now_ms();
        p->settled = false;
    }
    bool known = lost && !p->known;
    if (moved || again || p->behind) {
        do {
            p->waited = false;
            r = read_board(p, known);
        } while (r == 0 && p->waited);
    }
    if (r == 0 && last_look)
        p->settled = true;
    return r;
}

/* False: stop. */
static bool poll_once(struct peers *p)
{
    int64_t sent_ms = clock_now_ms();
    int r = poll_board(p, sent_ms);
    if (r == -ESTALE || r == -ENOENT)
        close_board(p);
    if (r == 1)
        return false;
    if (p->inbox.batch_count > 0) {
        sync_directories(p);
        if (!hand_over(p))
            return false;
    }
    if (r == 0 && !p->behind)
        inbox_set_fresh(&p->inbox, sent_ms);
    p->now.error = r < 0 ? -r : 0;
    inbox_publish(&p->inbox, &p->now);
    inbox_ring(&p->inbox);
    return true;
}

/* ---- the thread ---- */

static int64_t pause_ms(const struct peers *p)
{
    bool busy = p->behind || clock_now_ms() - p->moved_ms < p->options.idle_after_ms;
    return busy ? p->options.poll_ms : p->options.idle_poll_ms;
}

static void *run(void *arg)
{
    struct peers *p = arg;
    int64_t next_ms = clock_now_ms() + p->options.poll_ms;
    while (inbox_rest(&p->inbox, next_ms)) {
        next_ms = clock_now_ms();
        if (!poll_once(p))
            break;
        next_ms += pause_ms(p);
    }
    return NULL;
}

static void destroy(struct peers *p)
{
    close_board(p);
    inbox_release(&p->inbox);
    free(p);
}

/* What is there already is known. */
static int begin(struct peers *p)
{
    int64_t sent_ms = clock_now_ms(), sent_us = clock_now_us();
    p->moved_ms = sent_ms;
    int r = open_board(p);
    if (r == 0)
        r = board_stat(p->board_fd, &p->board);
    if (r == 0)
        r = read_board(p, true);
    if (r == 0)
        set_polled(p, sent_ms, sent_us);
    if (r == 0 || r == -ENOENT)
        inbox_set_fresh(&p->inbox, sent_ms);
    return r == -ENOENT ? 0 : r;
}

int peers_open(const struct peers_options *options, struct peers **ret_peers, struct error *err)
{
    struct peers *p = calloc(1, sizeof(*p));
    if (!p)
        return error_set_errno(err, ENOMEM, "cannot read the feed");
    p->options = *options;
    p->board_fd = p->feed_fd = -1;
    int r = inbox_open(&p->inbox);
    if (r == 0)
        r = begin(p);
    if (r == 0)
        r = -pthread_create(&p->thread, NULL, run, p);
    if (r < 0) {
        destroy(p);
        return error_set_errno(err, -r, "cannot read the board in the state directory");
    }
    *ret_peers = p;
    return 0;
}

int peers_close(struct peers *p, int64_t timeout_ms)
{
    if (!p)
        return 0;
    inbox_stop(&p->inbox);
    struct timespec until = clock_monotonic_in(timeout_ms);
    if (pthread_clockjoin_np(p->thread, NULL, CLOCK_MONOTONIC, &until) != 0)
        return -EBUSY;
    destroy(p);
    return 0;
}

int peers_fd(const struct peers *p)
{
    return p->inbox.event_fd;
}

uint64_t peers_look(struct peers *p)
{
    return inbox_look(&p->inbox);
}

bool peers_next(struct peers *p, struct peers_item *ret_item)
{
    return inbox_next(&p->inbox, ret_item);
}

void peers_status(struct peers *p, struct peers_status *ret_status)
{
    inbox_status(&p->inbox, ret_status);
}
