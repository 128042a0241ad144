#include "watchers/parts.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>

#include "lib/cleanup.h"
#include "lib/fs.h"

enum {
    ANNOUNCE_QUEUE_BYTES = 4 * 1024 * 1024,
    ANNOUNCE_CLOSE_MS = 5000,
    PEERS_CLOSE_MS = 200,
    SCANNER_CLOSE_MS = 200,
    SCANNER_GRACE_MS = 2000, /* for a member's own word, behind a poll of the board */
};

/* A member's journal and slot. */
static int open_announce(struct parts *parts, const struct parts_options *o, const char *state_dir,
                         struct error *err)
{
    const struct settings *settings = o->settings;
    const struct announce_options options = {
        .state_dir = state_dir,
        .member = {.board_fd = o->own->board_fd,
                   .number = (unsigned)o->own->slot,
                   .epoch = (uint32_t)o->own->epoch,
                   .root_fd = parts->root_fd,
                   .own = &parts->own_slot,
                   .limits = {.segment_bytes = settings->feed_segment_bytes,
                              .segments = settings->feed_segments,
                              .gid = settings->state_gid}},
        .queue_bytes = ANNOUNCE_QUEUE_BYTES,
    };
    return announce_open(&options, &parts->announce, err);
}

/* One member scans for all of the domain, so everything is in its scope; who is no member scans for
 * itself. */
static int open_scanner(struct parts *parts, const struct parts_options *o, const char *state_dir,
                        struct error *err)
{
    const struct settings *settings = o->settings;
    bool member = o->own->board_fd >= 0;
    struct scanner_options options = {
        .root_fd = parts->root_fd,
        .state_fd = member ? parts->state_fd : -1,
        .on_nfs = fs_is_nfs(state_dir),
        .state_gid = settings->state_gid,
        .scope = *o->scope,
        .interval_ms = settings->scan_interval_ms,
        .rate = (unsigned)settings->scan_rate,
        .grace_ms = settings->feed_poll_idle_ms + SCANNER_GRACE_MS,
        .max_entries = (size_t)settings->scan_max_entries,
    };
    if (settings->scan_interval_ms == 0)
        return 0;
    if (member)
        options.scope.path_count = 0;
    return scanner_open(&options, &parts->scanner, err);
}

static int open_peers(struct parts *parts, const struct parts_options *o, const char *state_dir,
                      struct error *err)
{
    const struct settings *settings = o->settings;
    struct peers_options options = {
        .root_fd = parts->root_fd,
        .state_fd = parts->state_fd,
        .on_nfs = fs_is_nfs(state_dir),
        .scope = *o->scope,
        .poll_ms = settings->feed_poll_ms,
        .idle_poll_ms = settings->feed_poll_idle_ms,
        .idle_after_ms = settings->feed_idle_after_ms,
        .slot = o->own->board_fd >= 0 ? o->own->slot : -1,
        .own = o->own->board_fd >= 0 ? &parts->own_slot : NULL,
    };
    atomic_store(&parts->own_slot.writing, UINT64_MAX); /* not known before announce has read it */
    if (parts->state_fd < 0)
        return 0; /* nobody announces anything here */
    return peers_open(&options, &parts->peers, err);
}

int parts_open(struct parts *parts, const struct parts_options *o, struct error *err)
{
    char state_dir[PATH_MAX];
    int n = o->own->state
                ? snprintf(state_dir, sizeof(state_dir), "%s", o->own->state)
                : snprintf(state_dir, sizeof(state_dir), "%s/%s", o->root, o->settings->state_dir);
    if (n >= (int)sizeof(state_dir))
        return error_set(err, ENAMETOOLONG, "the path of the state directory is too long");
    parts->root_fd = open(o->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (parts->root_fd < 0)
        return error_set_errno(err, errno, "cannot open %s", o->root);
    parts->state_fd = open(state_dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (parts->state_fd < 0 && (errno != ENOENT || o->own->state || o->own->board_fd >= 0))
        return error_set_errno(err, errno, "cannot open the state directory %s", state_dir);
    int r = open_peers(parts, o, state_dir, err);
    if (r == 0)
        r = open_scanner(parts, o, state_dir, err);
    return r == 0 && o->own->board_fd >= 0 ? open_announce(parts, o, state_dir, err) : r;
}

static void add_feed_status(const struct parts *parts, struct watch_status *status)
{
    struct announce_status now;
    struct peers_status peers;
    if (parts->peers) {
        peers_status(parts->peers, &peers);
        status->feed = peers.feed;
    }
    if (!parts->announce)
        return;
    announce_status(parts->announce, &now);
    status->feed.announced = now.sequence;
    status->feed.announce_pending = now.pending;
    status->feed.announce_error = (uint32_t)now.error;
}

static void add_scan_status(const struct parts *parts, struct watch_scan_status *ret_scan)
{
    static const enum watch_scan_state states[] = {
        [SCANNER_WAITING] = WATCH_SCAN_STANDBY,
        [SCANNER_BASELINE] = WATCH_SCAN_RUNNING,
        [SCANNER_SCANNING] = WATCH_SCAN_RUNNING,
        [SCANNER_RESTING] = WATCH_SCAN_IDLE,
    };
    struct scanner_status now;
    if (!parts->scanner)
        return;
    scanner_status(parts->scanner, &now);
    *ret_scan = (struct watch_scan_status){
        .state = states[now.state],
        .permille = now.permille,
        .entries = now.entries,
        .fresh_ms = now.complete_ms < 0 ? 0 : (uint64_t)now.complete_ms,
    };
}

void parts_add_status(const struct parts *parts, struct watch_status *status)
{
    add_feed_status(parts, status);
    add_scan_status(parts, &status->scan);
}

int parts_close(struct parts *parts)
{
    int announced = announce_close(parts->announce, ANNOUNCE_CLOSE_MS);
    int read = peers_close(parts->peers, PEERS_CLOSE_MS);
    int scanned = scanner_close(parts->scanner, SCANNER_CLOSE_MS);
    if (announced == -ETIMEDOUT || read < 0 || scanned < 0)
        return announced; /* what was left behind uses the descriptors */
    cleanup_close_p(&parts->root_fd);
    cleanup_close_p(&parts->state_fd);
    return announced;
}
