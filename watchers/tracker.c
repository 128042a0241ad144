#include "watchers/tracker.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/clock.h"
#include "watchers/events.h"
#include "watchers/remote.h"
#include "watchers/scan.h"
#include "watchers/tell.h"

enum { EVENTS_PER_STEP = 4096, REAPED_PER_STEP = 512, REST_MS = 2, ROOT_CHECK_MS = 5 * 1000 };

/* ---- what is noted ---- */

void tracker_tell_soon(struct tracker *t)
{
    if (t->flush_ms == CLOCK_NEVER)
        t->flush_ms = clock_now_ms() + t->options->batch_ms;
}

void tracker_tell_now(struct tracker *t)
{
    if (t->flush_ms != CLOCK_NEVER)
        t->flush_ms = clock_now_ms();
}

int tracker_note(struct tracker *t, struct dir *dir, const char *name, enum change_op op,
                 unsigned flags)
{
    tracker_tell_soon(t);
    return pending_note(&t->pending, dir, name, op, flags);
}

int tracker_resync(struct tracker *t, const struct dir *dir, const char *name,
                   enum change_reason reason)
{
    char buffer[CHANGE_PATH_MAX + 1];
    const char *path = wd_table_path(dir, name, buffer);
    if (!path)
        path = wd_table_path(dir, "", buffer); /* one level up is told instead */
    tracker_tell_soon(t);
    return path ? pending_resync(&t->pending, path, reason, 0) : 0;
}

static void forget(struct tracker *t, struct dir *dir)
{
    scan_forget(t, dir);
    pending_forget(&t->pending, dir);
    moves_forget(&t->moves, dir);
    names_forget(&t->names, dir);
    wd_table_free(&t->dirs, dir);
}

void tracker_reap(struct tracker *t, size_t most)
{
    struct dir *dir;
    while (most-- > 0 && (dir = wd_table_reap(&t->dirs))) {
        if (dir->wd >= 0)
            inotify_source_disarm(&t->source, dir->wd);
        forget(t, dir);
    }
}

static void forget_all(struct tracker *t)
{
    wd_table_drop_all(&t->dirs);
    for (struct dir *dir; (dir = wd_table_reap(&t->dirs));)
        forget(t, dir);
    wd_table_release(&t->dirs);
}

/* ---- the queue ---- */

/* Everything that happened before this ticket is noted. */
static int reach(struct tracker *t, uint64_t ticket)
{
    int r = 0;
    t->reached = ticket;
    while (r == 0 && t->pings[0].ticket > 0 && t->pings[0].ticket <= ticket) {
        r = pending_pong(&t->pending, t->pings[0].nonce);
        t->pings[0] = t->pings[1];
        t->pings[1] = (struct ping){0};
        t->flush_ms = clock_now_ms();
    }
    if (r == 0 && t->marked < t->wanted && t->marked < ticket) {
        r = pending_mark(&t->pending, ticket);
        t->marked = ticket;
        t->flush_ms = clock_now_ms();
    }
    return r;
}

static void queue_barrier(struct tracker *t)
{
    if (t->barrier == 0 && t->tickets > t->reached && inotify_source_barrier(&t->source) == 0)
        t->barrier = t->tickets;
}

static int reach_barrier(struct tracker *t)
{
    int r = events_moves_gone(t, CLOCK_NEVER);
    if (r == 0)
        r = reach(t, t->barrier);
    t->barrier = 0;
    queue_barrier(t);
    return r;
}

static int begin_tree(struct tracker *t, bool report, enum change_reason reason)
{
    struct dir *root;
    int r = wd_table_init(&t->dirs, &root);
    if (r < 0)
        return r;
    root->inside = t->options->scope.path_count == 0;
    root->fresh = report;
    root->source = SCAN_AGAIN;
    scan_enqueue(t, root);
    return report ? tracker_resync(t, root, "", reason) : 0;
}

/* Events were lost: forget everything and look again. */
static int start_over(struct tracker *t, struct error *err)
{
    enum change_reason reason = t->fell_behind ? CHANGE_REASON_SLOW_READER : CHANGE_REASON_OVERFLOW;
    t->overflows++;
    t->fell_behind = false;
    t->blind = (struct blind){0};
    pending_clear(&t->pending);
    forget_all(t);
    int r = inotify_source_reset(&t->source, err);
    if (r == 0)
        r = begin_tree(t, true, reason);
    t->barrier = 0;
    return r == 0 ? reach(t, t->tickets) : r;
}

static int root_gone(struct tracker *t, struct error *err)
{
    tracker_resync(t, t->dirs.root, "", CHANGE_REASON_ROOT_REPLACED);
    return error_set(err, ESTALE, "%s is no longer the directory that was watched",
                     t->options->root);
}

static int handle_event(struct tracker *t, const struct inotify_event *event, struct error *err)
{
    t->events++;
    if (event->mask & IN_Q_OVERFLOW)
        return start_over(t, err);
    if (inotify_source_is_barrier(&t->source, event))
        return reach_barrier(t);
    struct dir *dir = wd_table_by_wd(&t->dirs, event->wd);
    if (!dir || !wd_table_is_live(&t->dirs, dir))
        return 0;
    if (event->mask & (IN_IGNORED | IN_UNMOUNT)) {
        if (dir == t->dirs.root)
            return root_gone(t, err);
        wd_table_unbind(&t->dirs, dir);
        dir->check = true;
        scan_enqueue(t, dir);
        return 0;
    }
    return event->len ? events_name(t, dir, event) : 0;
}

/* Nothing is told before the batch window ends, so reading a little later costs no time, and many
 * events at once cost less than each at once. The kernel's queue has room for far more. */
static int64_t rest_ms(const struct tracker *t)
{
    return t->options->batch_ms / 4 < REST_MS ? t->options->batch_ms / 4 : REST_MS;
}

static int read_events(struct tracker *t, struct error *err)
{
    const struct inotify_event *event;
    int r = 0;
    if (!tracker_wants_events(t))
        return 0;
    for (int n = 0; n < EVENTS_PER_STEP && !pending_is_full(&t->pending); n++) {
        r = inotify_source_next(&t->source, &event);
        if (r < 0)
            return error_set_errno(err, -r, "cannot read inotify events");
        if (r == 0) { /* all is read */
            t->rest_until_ms = 0;
            t->fell_behind = false;
            if (n > 0)
                t->rest_until_ms = clock_now_ms() + rest_ms(t);
            r = events_moves_gone(t, clock_now_ms()); /* no second half is in the queue */
            if (r == 0 && t->moves.count == 0)
                r = reach(t, t->tickets);
            return r;
        }
        r = handle_event(t, event, err);
        if (r < 0)
            return r;
    }
    return 0;
}

uint64_t tracker_ticket(struct tracker *t)
{
    t->tickets++;
    t->rest_until_ms = 0;
    queue_barrier(t); /* without one: reached when the queue is empty */
    return t->tickets;
}

uint64_t tracker_mark(struct tracker *t)
{
    t->wanted = tracker_ticket(t);
    return t->wanted;
}

void tracker_ping(struct tracker *t, uint64_t nonce)
{
    struct ping *ping = &t->pings[t->pings[0].ticket > 0 ? 1 : 0];
    *ping = (struct ping){.ticket = tracker_ticket(t), .nonce = nonce};
}

/* ---- the whole ---- */

bool tracker_wants_events(const struct tracker *t)
{
    return !pending_is_full(&t->pending) && clock_now_ms() >= t->rest_until_ms;
}

int64_t tracker_deadline_ms(const struct tracker *t)
{
    if (t->stuck && pending_is_full(&t->pending))
        return CLOCK_NEVER; /* only the reader can help */
    if ((!scan_is_idle(t) && !pending_is_full(&t->pending)) || !LIST_EMPTY(&t->dirs.dropped))
        return 0;
    int64_t deadline = t->root_check_ms, other = moves_deadline_ms(&t->moves);
    if (other < deadline)
        deadline = other;
    if (!pending_is_full(&t->pending) && t->rest_until_ms > 0 && t->rest_until_ms < deadline)
        deadline = t->rest_until_ms;
    if (!t->stuck && t->flush_ms < deadline)
        deadline = t->flush_ms;
    other = grace_due_ms(&t->grace);
    if (other < deadline)
        deadline = other;
    other = scan_retry_ms(t);
    if (other < deadline)
        deadline = other;
    return deadline;
}

/* No event tells that a directory is gone which somebody has open, as we have the root. What the
 * client has cached about it is good enough, so this asks no server. */
static int check_root(struct tracker *t, int64_t now_ms, struct error *err)
{
    const int flags = AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT;
    struct statx here, held;
    if (now_ms < t->root_check_ms)
        return 0;
    t->root_check_ms = now_ms + ROOT_CHECK_MS;
    if (statx(t->root_fd, "", flags | AT_EMPTY_PATH, STATX_INO | STATX_NLINK, &held) < 0)
        return errno == ESTALE ? root_gone(t, err) : 0;
    if (statx(AT_FDCWD, t->options->root, flags, STATX_INO, &here) < 0)
        return errno == ENOENT || errno == ENOTDIR ? root_gone(t, err) : 0;
    bool same = here.stx_ino == held.stx_ino && here.stx_dev_major == held.stx_dev_major &&
                here.stx_dev_minor == held.stx_dev_minor;
    return same && held.stx_nlink > 0 ? 0 : root_gone(t, err);
}

int tracker_step(struct tracker *t, struct error *err)
{
    int r = read_events(t, err);
    int64_t now_ms = clock_now_ms();
    if (r == 0)
        r = scan_step(t, now_ms + TRACKER_SLICE_MS);
    if (r == 0 && !t->ready && scan_is_idle(t)) {
        t->ready = true;
        t->flush_ms = now_ms;
        r = pending_ready(&t->pending);
    }
    now_ms = clock_now_ms();
    if (r == 0 && (t->flush_ms <= now_ms || pending_is_full(&t->pending)))
        r = tell_step(t, now_ms + TRACKER_SLICE_MS);
    if (r == 0 && t->owed.count > 0 && t->ready && scan_is_idle(t))
        r = owed_tell(&t->owed, t->options->announce);
    if (r == 0)
        r = remote_found(t, now_ms);
    t->fell_behind |= t->stuck && pending_is_full(&t->pending);
    tracker_reap(t, REAPED_PER_STEP);
    scan_close(t);
    if (r == 0) {
        scan_retry(t, now_ms);
        r = check_root(t, now_ms, err);
    }
    if (r < 0 && err->code == 0)
        error_set(err, -r, "watching %s ended: %s", t->options->root, scan_cause(-r));
    return r;
}

int tracker_drain(struct tracker *t)
{
    int r = tell_step(t, clock_now_ms() + TRACKER_SLICE_MS);
    return r == 0 && t->owed.count > 0 ? owed_tell(&t->owed, t->options->announce) : r;
}

uint32_t tracker_scanning(const struct tracker *t)
{
    return (uint32_t)t->scan_queued + (t->scanning ? 1 : 0);
}

void tracker_status(const struct tracker *t, struct watch_status *ret_status)
{
    *ret_status = (struct watch_status){
        .directories = (uint32_t)t->dirs.watched,
        .scanning = tracker_scanning(t),
        .blind = t->blind.total,
        .pending = (uint32_t)t->pending.count,
        .events = t->events,
        .changes = t->changes,
        .overflows = t->overflows,
        .resyncs = t->resyncs,
        .listed = t->blind.listed,
    };
    for (uint32_t i = 0; i < t->blind.listed; i++)
        ret_status->blinds[i] =
            (struct watch_blind){.code = t->blind.codes[i], .path = t->blind.paths[i]};
}

int tracker_open(struct tracker *t, const struct tracker_options *options, struct sink *sink,
                 struct error *err)
{
    *t = (struct tracker){
        .options = options,
        .sink = sink,
        .opened_fd = -1,
        .flush_ms = CLOCK_NEVER,
        .retry_ms = clock_now_ms(),
        .root_check_ms = clock_now_ms() + ROOT_CHECK_MS,
    };
    TAILQ_INIT(&t->scan_queue);
    TAILQ_INIT(&t->scan_waiting);
    pending_init(&t->pending);
    grace_init(&t->grace);
    if (getrandom(&t->epoch, sizeof(t->epoch), 0) < 0)
        t->epoch = (uint32_t)clock_wall_ms();

    t->root_fd = open(options->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (t->root_fd < 0)
        return error_set_errno(err, errno, "cannot open %s", options->root);
    struct statx st;
    if (statx(t->root_fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &st) == 0 && st.stx_mask & STATX_MNT_ID)
        t->root_mount = st.stx_mnt_id;
    int r = inotify_source_open(&t->source, err);
    if (r < 0) {
        close(t->root_fd);
        return r;
    }
    r = options->keep_names ? names_enable(&t->names) : 0;
    if (r == 0)
        r = begin_tree(t, options->existing, CHANGE_REASON_RESTART);
    if (r == 0 && options->announce && options->owed)
        r = owed_add(&t->owed, "", options->owed);
    if (r < 0) {
        tracker_close(t);
        return error_set_errno(err, -r, "cannot watch %s", options->root);
    }
    return 0;
}

void tracker_close(struct tracker *t)
{
    scan_close(t);
    if (t->dirs.root)
        forget_all(t);
    pending_release(&t->pending);
    owed_release(&t->owed);
    grace_release(&t->grace);
    renames_release(&t->renames);
    names_release(&t->names);
    inotify_source_close(&t->source);
    close(t->root_fd);
}
