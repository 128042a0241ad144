#include "watchers/merge.h"

#include "watchers/announce.h"
#include "watchers/remote.h"
#include "watchers/scan.h"
#include "watchers/scanner.h"

void merge_open(struct merge *m, struct peers *peers, struct tracker *tracker)
{
    *m = (struct merge){.peers = peers, .tracker = tracker};
}

int merge_fd(const struct merge *m)
{
    return m->peers && m->ticket == 0 ? peers_fd(m->peers) : -1;
}

static int apply(struct merge *m, const struct peers_item *item)
{
    struct change change;
    if (item->kind == PEERS_NOTICE) {
        const struct watch_notice notice = {
            .slot = item->slot,
            .epoch = item->epoch,
            .observer = item->observer,
            .length = item->length,
            .payload = item->payload,
        };
        tracker_tell_soon(m->tracker);
        return pending_notice(&m->tracker->pending, &notice);
    }
    if (change_decode(item->payload, item->length, &change) < 0)
        return 0;
    change.observer = item->observer;
    if (change.source != CHANGE_SOURCE_SCAN)
        change.source = CHANGE_SOURCE_PEER;
    return remote_apply(m->tracker, &change);
}

void merge_look(struct merge *m)
{
    m->until = peers_look(m->peers);
    if (m->until > m->taken) /* else only the status is new */
        m->ticket = tracker_ticket(m->tracker);
}

int merge_scan_fd(const struct merge *m)
{
    struct scanner *scanner = m->tracker->options->scanner;
    return scanner && !pending_is_full(&m->tracker->pending) ? scanner_fd(scanner) : -1;
}

static int take_findings(struct merge *m)
{
    const struct tracker_options *options = m->tracker->options;
    uint8_t buffer[CHANGE_ENCODED_MAX];
    struct change change;
    int r = 0;
    while (r == 0 && options->scanner && !pending_is_full(&m->tracker->pending) &&
           scanner_collect(options->scanner, buffer, &change)) {
        r = remote_apply(m->tracker, &change);
        if (r == 0 && options->announce) {
            r = announce_change(options->announce, &change);
            announce_flush(options->announce);
        }
    }
    return r;
}

static int take_records(struct merge *m)
{
    struct peers_item item;
    if (m->ticket == 0 || m->tracker->reached < m->ticket)
        return 0;
    while (m->taken < m->until && !pending_is_full(&m->tracker->pending) &&
           peers_next(m->peers, &item)) {
        m->taken++;
        int r = apply(m, &item);
        if (r < 0)
            return r;
    }
    scan_close(m->tracker);
    if (m->taken >= m->until) {
        m->ticket = 0;
        tracker_tell_now(m->tracker); /* who announced it has waited for a batch already */
    }
    return 0;
}

int merge_step(struct merge *m)
{
    int r = take_findings(m);
    return r == 0 ? take_records(m) : r;
}
