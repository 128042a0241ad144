#include "watchers/events.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/clock.h"
#include "watchers/remote.h"
#include "watchers/scan.h"

static int name_gone(struct tracker *t, struct dir *dir, const char *name, bool is_dir)
{
    struct dir *child = is_dir ? wd_table_child(&t->dirs, dir, name) : NULL;
    if (child)
        wd_table_drop(&t->dirs, child);
    else if (is_dir && dir->blind)
        t->blind.stale = true;
    names_remove(&t->names, dir, name);
    return tracker_note(t, dir, name, CHANGE_DELETE, is_dir ? PENDING_IS_DIR : 0);
}

static int move_gone(struct tracker *t, const struct move *move)
{
    if (!wd_table_is_live(&t->dirs, move->dir))
        return 0;
    return name_gone(t, move->dir, move->name, move->is_dir);
}

int events_moves_gone(struct tracker *t, int64_t until_ms)
{
    struct move move;
    int r = 0;
    while (r == 0 && moves_pop(&t->moves, until_ms, &move))
        r = move_gone(t, &move);
    return r;
}

static int renamed_away(struct tracker *t, struct dir *dir, const struct inotify_event *event)
{
    if (moves_is_full(&t->moves)) {
        struct move oldest;
        moves_pop(&t->moves, CLOCK_NEVER, &oldest);
        int r = move_gone(t, &oldest);
        if (r < 0)
            return r;
    }
    names_remove(&t->names, dir, event->name);
    moves_put(&t->moves, event->cookie, dir, event->name, event->mask & IN_ISDIR,
              clock_now_ms() + MOVES_WAIT_MS);
    return 0;
}

/* A name came from where we do not look. */
static int arrived(struct tracker *t, struct dir *dir, const char *name, bool is_dir)
{
    int r = tracker_note(t, dir, name, CHANGE_CREATE, is_dir ? PENDING_IS_DIR : 0);
    return r == 0 && is_dir ? scan_found(t, dir, name, true, SCAN_NEW_HERE) : r;
}

static int renamed(struct tracker *t, const struct move *move, struct dir *dir, const char *name)
{
    struct dir *moved = move->is_dir ? wd_table_child(&t->dirs, move->dir, move->name) : NULL;
    bool same_part = dir->inside && move->dir->inside && wd_table_is_live(&t->dirs, move->dir);
    if (!same_part || (move->is_dir && (!moved || wd_table_is_under(dir, moved)))) {
        int r = move_gone(t, move);
        return r < 0 ? r : arrived(t, dir, name, move->is_dir);
    }
    tracker_tell_soon(t);
    int r = pending_rename(&t->pending, move->dir, move->name, dir, name, moved,
                           move->is_dir ? PENDING_IS_DIR : 0);
    if (r < 0 || !moved)
        return r;
    char buffer[CHANGE_PATH_MAX + 1];
    const char *from = t->remote ? wd_table_path(moved, "", buffer) : NULL;
    r = wd_table_move(&t->dirs, moved, dir, name);
    if (r < 0)
        return r;
    scan_moved(t, moved);
    remote_renamed(t, moved, from, true);
    return 0;
}

/* Two names changed places in one step (RENAME_EXCHANGE): that is told as a rename and its reverse,
 * like a rename there and back; but then something is left under both names. */
static int exchanged(struct tracker *t, const struct move *move, struct dir *dir, const char *name)
{
    const struct move *last = &t->last_move;
    bool reverse = last->dir == dir && t->moved_to == move->dir && strcmp(last->name, name) == 0 &&
                   strcmp(t->moved_name, move->name) == 0;
    t->last_move = *move;
    t->moved_to = dir;
    snprintf(t->moved_name, sizeof(t->moved_name), "%s", name);
    int fd;
    struct stat st;
    if (!reverse || scan_open(t, move->dir, &fd) < 0 ||
        fstatat(fd, move->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return 0;
    return arrived(t, move->dir, move->name, S_ISDIR(st.st_mode));
}

static int renamed_here(struct tracker *t, struct dir *dir, const struct inotify_event *event)
{
    bool is_dir = event->mask & IN_ISDIR;
    struct dir *replaced = wd_table_child(&t->dirs, dir, event->name);
    struct move move;
    bool known = moves_take(&t->moves, event->cookie, &move);
    if (replaced)
        wd_table_drop(&t->dirs, replaced);
    if (!is_dir)
        names_add(&t->names, dir, event->name);
    if (!known)
        return arrived(t, dir, event->name, is_dir);
    int r = renamed(t, &move, dir, event->name);
    return r == 0 ? exchanged(t, &move, dir, event->name) : r;
}

/* Only the removal of a .nfs name is told; which file it was shows the scan (see names.h). */
static int removed_while_open(struct tracker *t, struct dir *dir)
{
    if (dir->names_known || (dir->queued && dir->deep)) {
        scan_enqueue(t, dir);
        return 0;
    }
    scan_report(t, dir, true, SCAN_AGAIN);
    return tracker_resync(t, dir, "", CHANGE_REASON_UNLINKED);
}

/* Names that are out of sight matter only as the other end of a rename. */
static int out_of_sight(struct tracker *t, struct dir *dir, const struct inotify_event *event)
{
    struct move move;
    if (event->mask & IN_MOVED_TO && moves_take(&t->moves, event->cookie, &move))
        return move_gone(t, &move);
    if (event->mask & IN_DELETE && scope_is_silly(event->name) && dir->inside)
        return removed_while_open(t, dir);
    return 0;
}

int events_name(struct tracker *t, struct dir *dir, const struct inotify_event *event)
{
    const char *name = event->name;
    bool is_dir = event->mask & IN_ISDIR;
    unsigned flags = is_dir ? PENDING_IS_DIR : 0;
    enum scope_verdict verdict = scope_of(&t->options->scope, dir, name);
    if (verdict == SCOPE_OUT || scope_is_silly(name))
        return out_of_sight(t, dir, event);

    struct move before;
    if (moves_take_name(&t->moves, dir, name, &before)) { /* in use again: it had moved away */
        int r = move_gone(t, &before);
        if (r < 0)
            return r;
    }
    int r = 0;
    if (event->mask & IN_MOVED_TO)
        return renamed_here(t, dir, event);
    if (event->mask & IN_MOVED_FROM)
        return renamed_away(t, dir, event);
    if (event->mask & IN_DELETE)
        return name_gone(t, dir, name, is_dir);
    if (event->mask & IN_CREATE) {
        struct dir *known = t->remote && is_dir ? wd_table_child(&t->dirs, dir, name) : NULL;
        if (!is_dir)
            names_add(&t->names, dir, name);
        if (known) /* its removal was not ours, and is not told yet */
            scan_rearm(t, known, SCAN_NEW_HERE);
        r = tracker_note(t, dir, name, CHANGE_CREATE, flags | (known ? 0 : PENDING_UNKNOWN));
        return r == 0 && is_dir ? scan_found(t, dir, name, true, SCAN_NEW_HERE) : r;
    }
    if (verdict != SCOPE_INSIDE)
        return 0;
    if (event->mask & (IN_MODIFY | IN_CLOSE_WRITE))
        return tracker_note(t, dir, name, CHANGE_MODIFY, flags);
    if (event->mask & IN_ATTRIB) {
        r = tracker_note(t, dir, name, CHANGE_ATTRIB, flags);
        if (r == 0 && is_dir && dir->blind && !wd_table_child(&t->dirs, dir, name)) {
            t->blind.stale = true; /* perhaps it may be read now */
            r = scan_found(t, dir, name, true, SCAN_NEW_HERE);
        }
    }
    return r;
}
