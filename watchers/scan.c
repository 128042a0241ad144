#include "watchers/scan.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/fs.h"
#include "lib/log.h"
#include "watchers/tell.h"

static const unsigned origins[] = {
    [SCAN_NEW_REMOTE] = PENDING_FOUND,
    [SCAN_AGAIN] = PENDING_QUIET,
    [SCAN_AGAIN_REMOTE] = PENDING_QUIET,
};

enum { ENTRIES_PER_SLICE = 256 };

static void dequeue(struct tracker *t, struct dir *dir)
{
    if (dir->waiting)
        TAILQ_REMOVE(&t->scan_waiting, dir, scan);
    dir->waiting = false;
    if (!dir->queued)
        return;
    dir->queued = false;
    TAILQ_REMOVE(&t->scan_queue, dir, scan);
    t->scan_queued--;
}

void scan_enqueue(struct tracker *t, struct dir *dir)
{
    if (dir->queued)
        return;
    dequeue(t, dir);
    dir->queued = true;
    TAILQ_INSERT_TAIL(&t->scan_queue, dir, scan);
    t->scan_queued++;
}

/* What is noted already stays noted; another reason joins it. */
static void set_source(const struct tracker *t, struct dir *dir, enum scan_source source)
{
    bool noted = dir->queued || dir->waiting || t->scanning == dir;
    if (!noted || !dir->fresh || source < dir->source)
        dir->source = (uint8_t)source;
}

static void stop_reading(struct tracker *t)
{
    if (t->stream)
        closedir(t->stream);
    t->stream = NULL;
    t->scanning = NULL;
}

void scan_report(struct tracker *t, struct dir *dir, bool deep, enum scan_source source)
{
    set_source(t, dir, source);
    if (t->scanning == dir)
        stop_reading(t); /* from the start again */
    dir->fresh = true;
    dir->deep |= deep;
    scan_enqueue(t, dir);
}

void scan_rearm(struct tracker *t, struct dir *dir, enum scan_source source)
{
    if (dir->queued || dir->waiting || t->scanning == dir)
        return;
    dir->rearm = true;
    dir->source = (uint8_t)source;
    scan_enqueue(t, dir);
}

void scan_moved(struct tracker *t, const struct dir *moved)
{
    for (struct dir *dir = TAILQ_FIRST(&t->scan_waiting), *next; dir; dir = next) {
        next = TAILQ_NEXT(dir, scan);
        if (wd_table_is_under(dir, moved))
            scan_enqueue(t, dir);
    }
}

bool scan_is_idle(const struct tracker *t)
{
    return !t->scanning && TAILQ_EMPTY(&t->scan_queue);
}

void scan_close(struct tracker *t)
{
    if (t->opened && t->opened_fd != t->root_fd)
        close(t->opened_fd);
    t->opened = NULL;
    t->opened_fd = -1;
}

void scan_forget(struct tracker *t, struct dir *dir)
{
    dequeue(t, dir);
    if (t->scanning == dir)
        stop_reading(t);
    if (t->opened == dir)
        scan_close(t);
    if (dir->blind)
        t->blind.stale = true;
}

int scan_open(struct tracker *t, struct dir *dir, int *ret_fd)
{
    if (t->opened != dir) {
        char buffer[CHANGE_PATH_MAX + 1];
        int fd = t->root_fd;
        if (dir != t->dirs.root) {
            const char *path = wd_table_path(dir, "", buffer);
            if (!path)
                return -ENAMETOOLONG;
            int r = fs_open_beneath(t->root_fd, path, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0, &fd);
            if (r < 0)
                return r;
        }
        scan_close(t);
        t->opened = dir;
        t->opened_fd = fd;
    }
    *ret_fd = t->opened_fd;
    return 0;
}

int scan_found(struct tracker *t, struct dir *parent, const char *name, bool fresh,
               enum scan_source source)
{
    struct dir *dir = wd_table_child(&t->dirs, parent, name);
    if (dir) {
        /* Made after the start and read before its event came: then the read did not report. */
        bool again = parent->deep || (fresh && !t->ready) || dir->wd < 0;
        if (again || dir->queued)
            set_source(t, dir, source);
        dir->deep |= parent->deep;
        dir->fresh |= fresh && (again || dir->queued);
        if (again)
            scan_enqueue(t, dir);
        return 0;
    }
    if (t->dirs.count >= t->options->max_dirs)
        tracker_reap(t, SIZE_MAX);
    if (t->dirs.count >= t->options->max_dirs)
        return scan_note_blind(t, parent, name, EDQUOT);
    enum scope_verdict verdict = scope_of(&t->options->scope, parent, name);
    int r = wd_table_add(&t->dirs, parent, name, &dir);
    if (r < 0)
        return r;
    dir->inside = verdict == SCOPE_INSIDE;
    dir->fresh = fresh;
    dir->source = source == SCAN_AGAIN_REMOTE ? SCAN_NEW_REMOTE : (uint8_t)source;
    scan_enqueue(t, dir);
    return 0;
}

static bool is_other_mount(const struct tracker *t, int fd)
{
    struct statx st;
    return statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_MNT_ID, &st) == 0 &&
           st.stx_mask & STATX_MNT_ID && st.stx_mnt_id != t->root_mount;
}

/* Watch what has dir's name now. *ret_other is set when that is another directory than before. */
static int arm(struct tracker *t, struct dir *dir, int *ret_fd, bool *ret_other)
{
    _cleanup_close_ int fd = -1;
    int parent_fd, wd, r;
    if (dir == t->dirs.root) {
        fd = fcntl(t->root_fd, F_DUPFD_CLOEXEC, 0);
    } else {
        r = scan_open(t, dir->parent, &parent_fd);
        if (r < 0)
            return r;
        fd = openat(parent_fd, dir->name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    }
    if (fd < 0)
        return -errno;
    if (is_other_mount(t, fd))
        return -EXDEV;
    r = inotify_source_arm(&t->source, fd, &wd);
    if (r < 0)
        return r;
    if (dir->check || (dir->wd >= 0 && dir->wd != wd)) {
        if (dir->wd >= 0)
            inotify_source_disarm(&t->source, dir->wd);
        if (t->opened == dir)
            scan_close(t); /* that is the one it was */
        *ret_other = true;
    }
    dir->check = false;
    /* One inode under two names: a rename that we have yet to hear of. The name that was just
     * looked up is right; the other has to be looked up again. */
    struct dir *other = wd_table_bind(&t->dirs, dir, wd);
    if (other) {
        other->lost |= !other->rearm;
        other->check |= other->rearm;
        scan_enqueue(t, other);
    }
    *ret_fd = take_fd(&fd);
    return 0;
}

/* Other members changed something there: what this client has cached of it may be old. */
static bool is_remote(const struct dir *dir)
{
    return dir->source == SCAN_NEW_REMOTE || dir->source == SCAN_AGAIN_REMOTE;
}

static bool is_vanished(int r)
{
    return r == -ENOENT || r == -ENOTDIR || r == -ELOOP || r == -ESTALE;
}

/* dir could not be watched. */
static int give_up(struct tracker *t, struct dir *dir, int code)
{
    if (dir == t->dirs.root)
        return -code;
    if (is_vanished(-code) && !dir->check && !is_remote(dir)) {
        /* Its delete, or a rename of it or of a directory above, is in the queue. */
        char buffer[CHANGE_PATH_MAX + 1];
        const char *path = wd_table_path(dir, "", buffer);
        if (path)
            tell_gone_later(t, path, true);
        dir->waiting = true;
        TAILQ_INSERT_TAIL(&t->scan_waiting, dir, scan);
        return 0;
    }
    int r = is_vanished(-code) ? tracker_note(t, dir->parent, dir->name, CHANGE_DELETE,
                                              PENDING_IS_DIR | (is_remote(dir) ? PENDING_QUIET : 0))
                               : scan_note_blind(t, dir->parent, dir->name, code);
    wd_table_drop(&t->dirs, dir);
    return r;
}

/* The type of what readdir does not tell; DT_UNKNOWN: gone. */
static unsigned char type_of(int dir_fd, const char *name)
{
    struct stat st;
    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return DT_UNKNOWN;
    return S_ISDIR(st.st_mode) ? DT_DIR : DT_REG;
}

/* The scan found `name` in dir. */
static int take_name(struct tracker *t, struct dir *dir, const char *name, unsigned char type)
{
    if (type == DT_UNKNOWN || scope_is_silly(name) ||
        scope_of(&t->options->scope, dir, name) == SCOPE_OUT)
        return 0;
    if (type != DT_DIR)
        names_add(&t->names, dir, name);
    if (dir->fresh) {
        int r = tracker_note(t, dir, name, CHANGE_CREATE,
                             origins[dir->source] | (type == DT_DIR ? PENDING_IS_DIR : 0));
        if (r < 0)
            return r;
    }
    return type == DT_DIR ? scan_found(t, dir, name, dir->fresh || dir->retry, dir->source) : 0;
}

static void done(struct dir *dir)
{
    dir->fresh = dir->deep = dir->retry = false;
    dir->source = SCAN_NEW_HERE;
}

/* On the way to the watched paths only the next step matters. */
static int follow_the_way(struct tracker *t, struct dir *dir, int dir_fd)
{
    char buffer[CHANGE_PATH_MAX + 1], name[NAME_MAX + 1];
    const char *path = wd_table_path(dir, "", buffer);
    int r = 0;
    for (size_t i = 0; path && i < t->options->scope.path_count && r == 0; i++) {
        if (scope_next(&t->options->scope, i, path, name))
            r = take_name(t, dir, name, type_of(dir_fd, name));
    }
    done(dir);
    return r;
}

/* See what the server has, and look at the directories that are known whether they are still
 * there. */
static void sync_directory(struct tracker *t, struct dir *dir, int fd)
{
    struct statx st;
    struct dir *child;
    statx(fd, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_CTIME, &st);
    if (dir->deep)
        LIST_FOREACH(child, &dir->children, sibling)
    scan_report(t, child, true, dir->source);
}

/* What was told of dir, or of another one of that name, may not hold any more: let it be forgotten,
 * and tell what is there. */
static int start_anew(struct tracker *t, struct dir *dir)
{
    struct dir *child;
    unsigned flags = origins[dir->source] | PENDING_IS_DIR;
    while ((child = LIST_FIRST(&dir->children)))
        wd_table_drop(&t->dirs, child);
    pending_forget(&t->pending, dir);
    moves_forget(&t->moves, dir);
    names_forget(&t->names, dir);
    dir->lost = false;
    dir->fresh = true;
    int r = tracker_note(t, dir->parent, dir->name, CHANGE_DELETE, flags);
    return r == 0 ? tracker_note(t, dir->parent, dir->name, CHANGE_CREATE, flags) : r;
}

static int begin(struct tracker *t, struct dir *dir)
{
    _cleanup_close_ int fd = -1;
    bool other = false;
    bool only_rearm = dir->rearm && !dir->fresh && !dir->deep && !dir->retry;
    dir->rearm = false;
    int r = arm(t, dir, &fd, &other);
    if (r < 0)
        return give_up(t, dir, -r);
    if (only_rearm && !other && !dir->lost)
        return 0;
    if (other || dir->lost)
        r = start_anew(t, dir);
    if (r < 0)
        return r;
    if (is_remote(dir))
        sync_directory(t, dir, fd);
    if (!dir->inside)
        return follow_the_way(t, dir, fd);
    int stream_fd = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (stream_fd < 0) {
        int code = errno;
        return is_vanished(-code) ? 0 : scan_note_blind(t, dir, "", code);
    }
    t->stream = fdopendir(stream_fd);
    if (!t->stream) {
        close(stream_fd);
        return -ENOMEM;
    }
    t->scanning = dir;
    names_begin_scan(&t->names, dir);
    return 0;
}

/* What was there and is in neither the scan nor an event: removed while open. */
static int note_unseen(struct tracker *t, struct dir *dir)
{
    const char *name;
    int r = 0;
    while (r == 0 && dir->names_known && (name = names_unseen(&t->names, dir))) {
        if (type_of(dirfd(t->stream), name) != DT_UNKNOWN) {
            names_add(&t->names, dir, name); /* the scan missed it */
            continue;
        }
        r = tracker_note(t, dir, name, CHANGE_DELETE, 0);
        names_remove(&t->names, dir, name);
    }
    return r;
}

static int read_slice(struct tracker *t)
{
    struct dir *dir = t->scanning;
    for (int n = 0; n < ENTRIES_PER_SLICE; n++) {
        errno = 0;
        const struct dirent *entry = readdir(t->stream);
        if (!entry) {
            int code = errno;
            int r = code ? 0 : note_unseen(t, dir);
            stop_reading(t);
            if (code && !is_vanished(-code))
                return scan_note_blind(t, dir, "", code);
            done(dir);
            return r;
        }
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        unsigned char type = entry->d_type;
        if (type == DT_UNKNOWN)
            type = type_of(dirfd(t->stream), entry->d_name);
        int r = take_name(t, dir, entry->d_name, type);
        if (r < 0)
            return r;
    }
    return 0;
}

int scan_step(struct tracker *t, int64_t until_ms)
{
    int r = 0;
    while (r == 0 && !scan_is_idle(t) && !pending_is_full(&t->pending)) {
        if (t->scanning && wd_table_is_live(&t->dirs, t->scanning)) {
            r = read_slice(t);
        } else if (t->scanning) {
            stop_reading(t);
        } else {
            struct dir *dir = TAILQ_FIRST(&t->scan_queue);
            dequeue(t, dir);
            if (wd_table_is_live(&t->dirs, dir))
                r = begin(t, dir);
        }
        if (clock_now_ms() >= until_ms)
            break;
    }
    return r;
}
