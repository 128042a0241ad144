#include "watchers/peer.h"

#include <errno.h>
#include <stddef.h>

#include "lib/test_hook.h"

static void stand_at(struct peer *peer, uint32_t epoch, uint64_t sequence, uint32_t segment)
{
    journal_reader_free(peer->reader);
    peer->reader = NULL;
    peer->epoch = epoch;
    peer->sequence = sequence;
    peer->segment = segment;
    peer->left = false;
    peer->stuck_since_ms = 0;
}

void peer_note(struct peer *peer, const struct slot *slot)
{
    stand_at(peer, slot->epoch, slot->sequence, slot->segment);
    peer->left = slot->state == SLOT_LEFT;
}

void peer_release(struct peer *peer)
{
    journal_reader_free(peer->reader);
    peer->reader = NULL;
}

bool peer_is_behind(const struct peer *peer, const struct slot *slot)
{
    return peer->epoch != slot->epoch || peer->sequence != slot->sequence;
}

static int report_gap(struct peer *peer, const struct peer_journals *journals,
                      const struct slot *slot, peer_take take, void *arg)
{
    const struct peer_record record = {
        .slot = journals->slot,
        .epoch = peer->epoch,
        .observer = peer->reader ? journal_reader_observer(peer->reader) : "",
        .gap = true,
    };
    peer->gaps++;
    int r = test_hook_omits("resync_on_gap") ? 0 : take(arg, &record);
    peer_note(peer, slot);
    return r;
}

static int from_reader(int r)
{
    switch (r) {
    case 0:
        return -EAGAIN;
    case -ESTALE:
    case -EBADMSG:
        return -ENODATA;
    default:
        return -EIO;
    }
}

/* Hand over what this epoch's journal has up to this sequence. 0 or 1 as take(); -EAGAIN: it has no
 * more that is whole; -ENODATA: what we want is lost; -EIO: it cannot be read now. */
static int read_epoch(struct peer *peer, const struct peer_journals *journals, uint64_t until,
                      peer_take take, void *arg)
{
    int r = 0;
    if (!peer->reader) {
        r = journal_reader_new(journals->feed_fd, journals->slot, peer->epoch,
                               peer->segment > 0 ? peer->segment : 1, journals->direct,
                               &peer->reader);
        if (r < 0)
            return -EIO;
        journal_reader_seek(peer->reader, peer->sequence);
    }
    while (r == 0 && peer->sequence < until) {
        struct peer_record out = {.slot = journals->slot, .epoch = peer->epoch};
        r = journal_reader_next(peer->reader, until, &out.record);
        if (r != 1)
            return from_reader(r);
        out.observer = journal_reader_observer(peer->reader);
        peer->sequence = out.record.sequence;
        peer->segment = journal_reader_segment(peer->reader);
        peer->stuck_since_ms = 0;
        r = take(arg, &out);
    }
    return r;
}

/* The slot belongs to a later epoch: finish those before. */
static int go_to_epoch(struct peer *peer, const struct peer_journals *journals,
                       const struct slot *slot, peer_take take, void *arg)
{
    if (slot->epoch - peer->epoch > PEER_EPOCHS_MAX)
        return -ENODATA;
    while (peer->epoch < slot->epoch) {
        int r = peer->epoch == 0 || peer->left
                    ? 0
                    : read_epoch(peer, journals, SLOT_SEQUENCE_MAX, take, arg);
        if (r != 0 && r != -EAGAIN)
            return r;
        stand_at(peer, peer->epoch + 1, 0, 1);
    }
    return 0;
}

static int read_on(struct peer *peer, const struct peer_journals *journals, const struct slot *slot,
                   peer_take take, void *arg)
{
    if (slot->epoch < peer->epoch)
        return -ENODATA; /* somebody put an old board back */
    int r = go_to_epoch(peer, journals, slot, take, arg);
    if (r != 0)
        return r;
    if (slot->sequence < peer->sequence)
        return -ENODATA;
    if (slot->sequence > peer->sequence)
        r = read_epoch(peer, journals, slot->sequence, take, arg);
    if (r == 0)
        peer->left = slot->state == SLOT_LEFT;
    return r;
}

int peer_read(struct peer *peer, const struct peer_journals *journals, const struct slot *slot,
              int64_t now_ms, peer_take take, void *arg)
{
    int r = read_on(peer, journals, slot, take, arg);
    if (r == -EIO)
        r = -EAGAIN;
    if (r == -EAGAIN && peer->stuck_since_ms == 0)
        peer->stuck_since_ms = now_ms > 0 ? now_ms : 1;
    bool lost = r == -EAGAIN && now_ms - peer->stuck_since_ms >= PEER_PATIENCE_MS;
    return r == -ENODATA || lost ? report_gap(peer, journals, slot, take, arg) : r;
}
