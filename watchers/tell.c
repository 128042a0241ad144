#include "watchers/tell.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/fs.h"
#include "lib/test_hook.h"
#include "watchers/scan.h"
#include "watchers/scanner.h"

int tell_attributes(struct change *change, int dir_fd, const char *name, bool sync)
{
    struct statx st;
    const int how = test_hook_omits("force_sync") ? AT_STATX_DONT_SYNC
                    : sync                        ? AT_STATX_FORCE_SYNC
                                                  : 0;
    if (statx(dir_fd, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | how,
              STATX_TYPE | STATX_SIZE | STATX_MTIME | STATX_CTIME, &st) < 0)
        return -errno;
    change->flags |= CHANGE_HAS_ATTRS | (S_ISDIR(st.stx_mode) ? CHANGE_IS_DIR : 0);
    change->size = st.stx_size;
    change->mtime_ns = change_time_ns(&st.stx_mtime);
    change->ctime_ns = change_time_ns(&st.stx_ctime);
    return 0;
}

/* Fill in what name in dir_fd has; if it has nothing the change goes without. */
static int add_attributes(struct change *change, int dir_fd, const char *name, bool sync)
{
    struct change now = {0};
    int r = tell_attributes(&now, dir_fd, name, sync);
    if (r < 0)
        return r;
    change->flags |= CHANGE_HAS_ATTRS;
    change->size = now.size;
    change->mtime_ns = now.mtime_ns;
    change->ctime_ns = now.ctime_ns;
    return 0;
}

/* What was published may be another file by now: the digest is of this size and time. */
static void add_digest(struct change *change, const struct pending_peer *peer)
{
    if (!peer->has_digest || change->op != CHANGE_PUBLISH || change->size != peer->size ||
        change->mtime_ns != peer->mtime_ns)
        return;
    change->flags |= CHANGE_HAS_DIGEST;
    change->sha256 = peer->sha256;
}

static void add_peer(struct change *change, const struct pending_entry *entry)
{
    const struct pending_peer *peer = entry->peer;
    /* What this task publishes comes in the same way, without an observer. */
    if (entry->origin != PENDING_FROM_HERE && (*peer->observer || peer->scanned)) {
        change->source = peer->scanned ? CHANGE_SOURCE_SCAN : CHANGE_SOURCE_PEER;
        change->observer = peer->observer;
    }
    if (entry->origin == PENDING_FROM_PEER && peer->has_attributes && change->op != CHANGE_DELETE) {
        change->flags |= CHANGE_HAS_ATTRS;
        change->size = peer->size;
        change->mtime_ns = peer->mtime_ns;
        change->ctime_ns = peer->ctime_ns;
    }
    add_digest(change, peer);
}

/* Later than a member that tells it as well would, and not all members at the same time. */
static int64_t found_due_ms(const struct tracker *t)
{
    int64_t grace_ms = t->options->found_grace_ms;
    return clock_now_ms() + grace_ms + (grace_ms > 0 ? random() % grace_ms : 0);
}

void tell_gone_later(struct tracker *t, const char *path, bool is_dir)
{
    if (t->options->found_grace_ms > 0)
        grace_gone(&t->grace, path, is_dir, found_due_ms(t));
}

/* To the other members. A resync that makes us look again is owed until that is done. */
static int share(struct tracker *t, const struct change *change, enum pending_origin origin)
{
    struct announce *announce = t->options->announce;
    if (!announce || origin == PENDING_FROM_AGAIN || origin == PENDING_FROM_PEER)
        return 0;
    if (origin == PENDING_FROM_FIND && grace_found(&t->grace, change, found_due_ms(t)))
        return 0;
    bool looks_again = change->op == CHANGE_RESYNC && change->reason != CHANGE_REASON_BLIND;
    if (looks_again && !test_hook_omits("resync_after_scan"))
        return owed_add(&t->owed, change->path, change->reason);
    return announce_change(announce, change);
}

static int tell_change(struct tracker *t, struct change *change, enum pending_origin origin)
{
    change->epoch = t->epoch;
    change->sequence = ++t->sequence;
    t->changes++;
    if (change->op == CHANGE_RESYNC)
        t->resyncs++;
    int r = t->sink->ops->change(t->sink, change);
    if (t->options->scanner && change->source != CHANGE_SOURCE_SCAN)
        scanner_note(t->options->scanner, change);
    return r == 0 ? share(t, change, origin) : r;
}

static int tell_note(struct tracker *t, const struct pending_entry *entry)
{
    char buffer[CHANGE_PATH_MAX + 1];
    int dir_fd;
    if (!wd_table_is_live(&t->dirs, entry->dir))
        return 0; /* the delete of a directory above says it all */
    struct change change = {
        .op = entry->op,
        .flags = entry->is_dir ? CHANGE_IS_DIR : 0,
        .path = wd_table_path(entry->dir, entry->text, buffer),
    };
    if (!change.path)
        return 0; /* too long; its directory was told as blind */
    bool from_here = entry->origin != PENDING_FROM_PEER;
    if (from_here)
        entry->dir->told_ms = clock_now_ms();
    if (from_here && entry->op != CHANGE_DELETE) {
        int r = scan_open(t, entry->dir, &dir_fd);
        if (r == 0)
            r = add_attributes(&change, dir_fd, entry->text, entry->peer);
        if (r == -ENOENT)
            tell_gone_later(t, change.path, entry->is_dir);
    }
    if (entry->op == CHANGE_DELETE)
        findings_cancel(&t->grace.found, change.path);
    if (entry->peer)
        add_peer(&change, entry);
    return tell_change(t, &change, entry->origin);
}

static int tell_record(struct tracker *t, const struct pending_entry *entry)
{
    struct change change = {
        .op = entry->op,
        .reason = entry->reason,
        .flags = entry->is_dir ? CHANGE_IS_DIR : 0,
        .path = entry->text,
        .from = entry->from ? entry->text + entry->from : NULL,
    };
    if (entry->op == CHANGE_RENAME)
        findings_cancel(&t->grace.found, change.from);
    if (entry->peer) {
        add_peer(&change, entry);
    } else if (entry->op == CHANGE_RENAME) {
        char buffer[CHANGE_PATH_MAX + 1];
        snprintf(buffer, sizeof(buffer), "%s", entry->text);
        char *slash = strrchr(buffer, '/');
        _cleanup_close_ int fd = -1;
        if (slash)
            *slash = '\0';
        if (!slash)
            add_attributes(&change, t->root_fd, entry->text, false);
        else if (fs_open_beneath(t->root_fd, buffer, O_PATH | O_DIRECTORY, 0, &fd) == 0)
            add_attributes(&change, fd, slash + 1, false);
    }
    return tell_change(t, &change, entry->origin);
}

static int tell_ready(struct tracker *t)
{
    struct watch_status status;
    tracker_status(t, &status);
    return t->sink->ops->ready(t->sink, t->options->root, &status);
}

static int tell_entry(struct tracker *t, const struct pending_entry *entry)
{
    struct watch_notice notice;
    switch ((enum pending_kind)entry->kind) {
    case PENDING_NOTE:
        return tell_note(t, entry);
    case PENDING_RECORD:
        return tell_record(t, entry);
    case PENDING_READY:
        return tell_ready(t);
    case PENDING_MARK:
        t->told = entry->nonce;
        return 0;
    case PENDING_NOTICE:
        notice = pending_as_notice(entry);
        return t->sink->ops->notice(t->sink, &notice);
    case PENDING_PONG:
        break;
    }
    struct watch_pong pong = {.nonce = entry->nonce, .scanning = tracker_scanning(t)};
    return t->sink->ops->pong(t->sink, &pong);
}

int tell_step(struct tracker *t, int64_t until_ms)
{
    struct pending_entry *entry;
    int r = 0;
    t->stuck = false;
    while ((entry = pending_first(&t->pending)) && clock_now_ms() < until_ms) {
        if (!sink_has_room(t->sink)) {
            r = sink_flush(t->sink);
            t->stuck = r == 0 && !sink_has_room(t->sink);
            if (r < 0 || t->stuck)
                return r;
        }
        r = tell_entry(t, entry);
        if (r < 0)
            return r;
        pending_remove(&t->pending, entry);
    }
    if (!entry)
        t->flush_ms = CLOCK_NEVER;
    if (!entry && t->options->announce)
        announce_flush(t->options->announce);
    return sink_flush(t->sink);
}
