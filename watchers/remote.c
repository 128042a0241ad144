#include "watchers/remote.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/fs.h"
#include "watchers/events.h"
#include "watchers/scan.h"
#include "watchers/tell.h"

enum { RENAMED_BEHIND_MS = 60 * 1000 };

/* A path of a record, as far as the table knows it, and what is there. */
struct place {
    const char *path;
    enum scope_verdict verdict;
    struct dir *dir;         /* the last known directory on the way */
    char name[NAME_MAX + 1]; /* the component that follows in it; "" for the root */
    bool known;              /* dir is the parent: nothing follows name */
    bool exists;
    struct change now; /* attributes and CHANGE_IS_DIR, if it exists */
};

static void locate(const struct tracker *t, const char *path, struct place *place)
{
    *place = (struct place){
        .path = path,
        .verdict = scope_of_whole(&t->options->scope, path),
        .dir = t->dirs.root,
    };
    while (place->verdict != SCOPE_OUT && *path) {
        size_t n = strcspn(path, "/"); /* at most NAME_MAX: else it is out */
        memcpy(place->name, path, n);
        place->name[n] = '\0';
        path += n;
        if (!*path) {
            place->known = true;
            return;
        }
        path++;
        struct dir *child = wd_table_child(&t->dirs, place->dir, place->name);
        if (!child)
            return;
        place->dir = child;
    }
}

/* What lies there now. If that cannot be found out, what the record says counts. What this client
 * believes of a file may be older than what the record says of it: then the server is asked. */
static void look(struct tracker *t, struct place *place, const struct change *record, bool expected)
{
    char buffer[CHANGE_PATH_MAX + 1];
    const char *slash = strrchr(place->path, '/'), *name = slash ? slash + 1 : place->path;
    _cleanup_close_ int opened = -1;
    int fd, r;
    if (place->known) {
        r = scan_open(t, place->dir, &fd);
    } else {
        snprintf(buffer, sizeof(buffer), "%.*s", (int)(slash - place->path), place->path);
        r = fs_open_beneath(t->root_fd, buffer, O_PATH | O_DIRECTORY, 0, &opened);
        fd = opened;
    }
    if (r == 0)
        r = tell_attributes(&place->now, fd, name, false);
    if (r == 0 && record->flags & CHANGE_HAS_ATTRS && record->ctime_ns > place->now.ctime_ns)
        r = tell_attributes(&place->now, fd, name, true);
    bool gone = r == -ENOENT || r == -ENOTDIR || r == -ESTALE || r == -ELOOP;
    place->exists = r == 0 || (!gone && expected);
}

static void take_attributes(struct change *told, const struct change *now)
{
    if (!(now->flags & CHANGE_HAS_ATTRS))
        return;
    told->flags |= CHANGE_HAS_ATTRS;
    told->size = now->size;
    told->mtime_ns = now->mtime_ns;
    told->ctime_ns = now->ctime_ns;
}

static int note(struct tracker *t, const struct place *place, const struct change *told)
{
    tracker_tell_soon(t);
    return place->known ? pending_note_peer(&t->pending, place->dir, place->name, told)
                        : pending_record_peer(&t->pending, told);
}

static int tell_gone(struct tracker *t, const struct place *place, const struct change *record,
                     bool is_dir)
{
    struct dir *child = wd_table_child(&t->dirs, place->dir, place->name);
    if (place->known) {
        if (child)
            wd_table_drop(&t->dirs, child);
        else if (is_dir && place->dir->blind)
            t->blind.stale = true;
        names_remove(&t->names, place->dir, place->name);
    }
    struct change told = {
        .op = CHANGE_DELETE,
        .flags = (place->known && child) || is_dir ? CHANGE_IS_DIR : 0,
        .source = record->source,
        .path = place->path,
        .observer = record->observer,
    };
    return note(t, place, &told);
}

/* There is a directory at place, or on the way to it, that may be new. */
static int arm(struct tracker *t, const struct place *place)
{
    struct dir *child = wd_table_child(&t->dirs, place->dir, place->name);
    if (child && place->known)
        scan_rearm(t, child, SCAN_NEW_REMOTE);
    if (child || place->dir->blind)
        return 0;
    return scan_found(t, place->dir, place->name, true, SCAN_NEW_REMOTE);
}

static int tell_there(struct tracker *t, const struct place *place, const struct change *record)
{
    bool says_what = record->op == CHANGE_CREATE || record->op == CHANGE_MODIFY ||
                     record->op == CHANGE_ATTRIB || record->op == CHANGE_PUBLISH;
    struct change told = *record;
    bool is_dir = place->now.flags & CHANGE_HAS_ATTRS ? place->now.flags & CHANGE_IS_DIR
                                                      : record->flags & CHANGE_IS_DIR;
    told.path = place->path;
    told.from = NULL;
    told.flags = is_dir ? CHANGE_IS_DIR : 0;
    if (says_what)
        told.flags |= record->flags & CHANGE_HAS_ATTRS;
    else
        told.op = CHANGE_CREATE;
    take_attributes(&told, &place->now);
    if (told.op == CHANGE_PUBLISH && record->flags & CHANGE_HAS_DIGEST &&
        told.size == record->size && told.mtime_ns == record->mtime_ns)
        told.flags |= CHANGE_HAS_DIGEST;
    if (place->verdict == SCOPE_ON_THE_WAY && told.op != CHANGE_CREATE)
        return 0;
    struct dir *child = place->known ? wd_table_child(&t->dirs, place->dir, place->name) : NULL;
    if (child && !is_dir)
        wd_table_drop(&t->dirs, child); /* a file took the directory's place */
    if (place->known && !is_dir)
        names_add(&t->names, place->dir, place->name);
    int r = note(t, place, &told);
    if (r < 0 || (place->known && !is_dir))
        return r;
    return told.op == CHANGE_CREATE || !place->known ? arm(t, place) : 0;
}

static int tell_state(struct tracker *t, const struct place *place, const struct change *record)
{
    if (place->verdict == SCOPE_OUT)
        return 0;
    return place->exists ? tell_there(t, place, record)
                         : tell_gone(t, place, record, record->flags & CHANGE_IS_DIR);
}

/* A directory above path may have been renamed since the record was written. If we know of that,
 * the news is about what lies there now. */
static int tell_moved(struct tracker *t, const char *path, const struct change *record)
{
    char buffer[CHANGE_PATH_MAX + 1];
    struct place there;
    path = renames_follow(&t->renames, path, clock_now_ms() - RENAMED_BEHIND_MS, buffer);
    if (!path)
        return 0;
    locate(t, path, &there);
    if (there.verdict == SCOPE_OUT)
        return 0;
    look(t, &there, record, false);
    return tell_state(t, &there, record);
}

/* Tell what lies at a path that the record names. */
static int apply_path(struct tracker *t, const char *path, const struct change *record,
                      bool expected)
{
    struct place place;
    locate(t, path, &place);
    if (place.verdict == SCOPE_OUT || !*path)
        return 0;
    look(t, &place, record, expected);
    if (expected && !place.exists)
        place.dir->missed_ms = clock_now_ms(); /* we may hear of a rename above it */
    int r = tell_state(t, &place, record);
    return r == 0 ? tell_moved(t, path, record) : r;
}

/* Before we heard of a rename, applications here may have gone on in the directory by its old name,
 * and under that name it was announced; and members' records of what is in it may have come too
 * late to find it. So it is read again where something happened lately. */
static void look_behind(struct tracker *t, struct dir *dir, bool here, int64_t since_ms)
{
    struct dir *child;
    if (dir->missed_ms > since_ms || (!here && dir->told_ms > since_ms))
        scan_report(t, dir, false, SCAN_NEW_REMOTE);
    LIST_FOREACH(child, &dir->children, sibling)
    look_behind(t, child, here, since_ms);
}

void remote_renamed(struct tracker *t, struct dir *dir, const char *from, bool here)
{
    char buffer[CHANGE_PATH_MAX + 1];
    const char *to = wd_table_path(dir, "", buffer);
    int64_t now_ms = clock_now_ms();
    if (!t->remote)
        return;
    if (from && to)
        renames_note(&t->renames, from, to, now_ms);
    look_behind(t, dir, here, now_ms > RENAMED_BEHIND_MS ? now_ms - RENAMED_BEHIND_MS : 0);
}

static int move(struct tracker *t, const struct place *from, const struct place *to,
                struct dir *moved, const struct change *change)
{
    struct dir *in_the_way = wd_table_child(&t->dirs, to->dir, to->name);
    struct change told = *change;
    take_attributes(&told, &to->now);
    if (in_the_way)
        wd_table_drop(&t->dirs, in_the_way);
    names_remove(&t->names, from->dir, from->name);
    if (!moved)
        names_add(&t->names, to->dir, to->name);
    tracker_tell_soon(t);
    int r =
        pending_rename_peer(&t->pending, from->dir, from->name, to->dir, to->name, moved, &told);
    if (r < 0 || !moved)
        return r;
    r = wd_table_move(&t->dirs, moved, to->dir, to->name);
    if (r < 0)
        return r;
    scan_moved(t, moved);
    remote_renamed(t, moved, change->from, false);
    return 0;
}

static int apply_rename(struct tracker *t, const struct change *change)
{
    struct place from, to;
    bool is_dir = change->flags & CHANGE_IS_DIR;
    locate(t, change->from, &from);
    locate(t, change->path, &to);
    if (from.verdict != SCOPE_OUT)
        look(t, &from, change, false);
    if (to.verdict != SCOPE_OUT)
        look(t, &to, change, true);
    bool shows =
        from.verdict == SCOPE_INSIDE && to.verdict == SCOPE_INSIDE && to.exists && !from.exists;
    if (shows && !from.known && !to.known && !is_dir) {
        tracker_tell_soon(t);
        return pending_record_peer(&t->pending, change);
    }
    struct dir *moved = is_dir && from.known ? wd_table_child(&t->dirs, from.dir, from.name) : NULL;
    if (shows && from.known && to.known && is_dir == (moved != NULL) &&
        !(moved && wd_table_is_under(to.dir, moved)))
        return move(t, &from, &to, moved, change);
    int r = apply_path(t, change->from, change, false);
    return r == 0 ? apply_path(t, change->path, change, true) : r;
}

/* Report what lies at path, which is not a directory that is watched. */
static int report_unknown(struct tracker *t, const struct place *place, const char *observer)
{
    char buffer[CHANGE_PATH_MAX + 1];
    struct place there;
    locate(t, wd_table_path(place->dir, place->name, buffer), &there);
    const struct change found = {.op = CHANGE_CREATE, .path = there.path, .observer = observer};
    look(t, &there, &found, false);
    return there.exists ? tell_there(t, &there, &found) : 0;
}

static int apply_resync(struct tracker *t, const struct change *change)
{
    struct place place;
    locate(t, change->path, &place);
    if (place.verdict == SCOPE_OUT)
        return 0;
    tracker_tell_soon(t);
    int r = pending_record_peer(&t->pending, change);
    if (r < 0)
        return r;
    struct dir *dir = place.dir;
    if (place.known)
        dir = wd_table_child(&t->dirs, dir, place.name);
    if (!dir || (*change->path && !place.known))
        return report_unknown(t, &place, change->observer);
    scan_report(t, dir, true, SCAN_AGAIN_REMOTE);
    return 0;
}

/* Our own consumers hear of it again: it may be another file by now, or none, removed by a host
 * that does not watch its directory yet. */
static int tell_again(struct tracker *t, const struct finding *found)
{
    struct place place;
    locate(t, found->path, &place);
    if (place.verdict == SCOPE_OUT || !place.known)
        return 0;
    look(t, &place, &(struct change){.op = CHANGE_CREATE}, true);
    if (place.exists && grace_is_told(&t->grace, found->path, place.now.ctime_ns))
        return 0;
    struct dir *child = wd_table_child(&t->dirs, place.dir, place.name);
    bool is_dir = place.exists ? place.now.flags & CHANGE_IS_DIR : found->is_dir;
    if (child && !place.exists)
        wd_table_drop(&t->dirs, child);
    return tracker_note(t, place.dir, place.name, place.exists ? CHANGE_CREATE : CHANGE_DELETE,
                        is_dir ? PENDING_IS_DIR : 0);
}

int remote_found(struct tracker *t, int64_t now_ms)
{
    struct finding *found;
    int r = 0;
    while (r == 0 && (found = grace_due(&t->grace, now_ms))) {
        r = tell_again(t, found);
        grace_remove(&t->grace, found);
    }
    return r;
}

int remote_apply(struct tracker *t, const struct change *change)
{
    t->remote = true;
    scan_close(t); /* what was open under a directory's name may be another one by now */
    if (change->flags & CHANGE_HAS_ATTRS)
        grace_heard(&t->grace, change->path, change->ctime_ns);
    if (change->op == CHANGE_RESYNC)
        return apply_resync(t, change);
    if (change->op == CHANGE_RENAME)
        return apply_rename(t, change);
    return apply_path(t, change->path, change, change->op != CHANGE_DELETE);
}
