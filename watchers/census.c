#include "watchers/census.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/fs.h"

enum {
    SETTLE_MS = 2000,       /* more than a tick of any server's clock */
    ENTRIES_PER_CALL = 100, /* of a READDIR with attributes, about */
    ASKED = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_FORCE_SYNC,
    WANTED = STATX_TYPE | STATX_INO | STATX_SIZE | STATX_MTIME | STATX_CTIME,
};

/* ---- stamps ---- */

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * 0x9e3779b97f4a7c15;
    return hash ^ hash >> 29;
}

/* Never 0, which is "not known". */
static uint32_t file_stamp(uint64_t size, int64_t mtime_ns, int64_t ctime_ns)
{
    uint64_t hash = mix(mix(mix(1, size), (uint64_t)mtime_ns), (uint64_t)ctime_ns);
    return (uint32_t)(hash >> 32) | 1;
}

static uint32_t stamp_of(const struct statx *st)
{
    return file_stamp(st->stx_size, change_time_ns(&st->stx_mtime), change_time_ns(&st->stx_ctime));
}

static uint64_t dir_stamp(const struct statx *st)
{
    return mix(mix(mix(1, st->stx_ino), (uint64_t)change_time_ns(&st->stx_mtime)),
               (uint64_t)change_time_ns(&st->stx_ctime)) |
           1;
}

static uint32_t inode_bits(uint64_t inode)
{
    return (uint32_t)(inode ^ inode >> 32) | 1;
}

/* ---- what is found ---- */

static int found(struct census *c, const struct snapshot_dir *dir, const char *name,
                 enum change_op op, bool is_dir)
{
    char buffer[CHANGE_PATH_MAX + 1];
    const char *path = snapshot_path(dir, name, buffer, sizeof(buffer));
    if (!c->has_baseline || !path || !dir->inside)
        return 0;
    return findings_add(&c->findings, path, op, is_dir, clock_now_ms() + c->options->grace_ms);
}

/* The directory must be read again. */
static void unsettle(struct snapshot_dir *dir)
{
    dir->settled = false;
    dir->stamp_ms = clock_now_ms();
}

/* ---- reading a directory ---- */

static enum scope_verdict scope_in(const struct census *c, const struct snapshot_dir *dir,
                                   const char *name)
{
    char buffer[CHANGE_PATH_MAX + 1];
    if (scope_is_silly(name))
        return SCOPE_OUT;
    return scope_of_path(c->options->scope, dir->inside,
                         snapshot_path(dir, name, buffer, sizeof(buffer)), name);
}

/* What is more than the snapshot may hold is not scanned. */
static int over_limit(struct census *c, int r)
{
    if (r != -EDQUOT)
        return r;
    c->left_out++;
    return 0;
}

static int see_dir(struct census *c, struct snapshot_dir *dir, const char *name,
                   enum scope_verdict verdict)
{
    struct snapshot_entry before;
    struct snapshot_dir *child;
    bool known = snapshot_find(dir, name, &before);
    int r = snapshot_put_dir(c->snapshot, dir, name, &child);
    if (r < 0 || (known && before.dir))
        return over_limit(c, r);
    child->inside = verdict == SCOPE_INSIDE;
    if (known)
        r = found(c, dir, name, CHANGE_DELETE, false);
    return r < 0 ? r : found(c, dir, name, CHANGE_CREATE, true);
}

static int see_file(struct census *c, struct snapshot_dir *dir, const char *name, uint64_t inode)
{
    struct snapshot_entry before = {0};
    uint32_t bits = inode_bits(inode);
    bool known = snapshot_find(dir, name, &before);
    bool same = known && !before.dir && (before.inode == bits || before.inode == 0);
    int r = snapshot_put_file(c->snapshot, dir, name, bits, same ? before.stamp : 0);
    if (r < 0 || same)
        return over_limit(c, r);
    if (before.dir)
        r = found(c, dir, name, CHANGE_DELETE, true);
    if (r == 0)
        r = found(c, dir, name, known && !before.dir ? CHANGE_MODIFY : CHANGE_CREATE, false);
    return r;
}

static bool is_dir(int dir_fd, const struct dirent *entry)
{
    struct statx st;
    if (entry->d_type != DT_UNKNOWN)
        return entry->d_type == DT_DIR;
    return statx(dir_fd, entry->d_name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_TYPE, &st) ==
               0 &&
           S_ISDIR(st.stx_mode);
}

static int forget_unseen(struct census *c, struct snapshot_dir *dir)
{
    char name[NAME_MAX + 1] = "";
    struct snapshot_entry entry;
    while (snapshot_unseen(dir, name, &entry)) {
        int r = found(c, dir, entry.name, CHANGE_DELETE, entry.dir != NULL);
        if (r < 0)
            return r;
        memcpy(name, entry.name, sizeof(name));
        snapshot_remove(c->snapshot, dir, name);
    }
    return 0;
}

/* Entries, or -errno. */
static int read_dir(struct census *c, struct snapshot_dir *dir, int path_fd)
{
    int n = 0, r = 0, fd = openat(path_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_closedir_ DIR *stream = fd < 0 ? NULL : fdopendir(fd);
    if (!stream) {
        r = -errno;
        if (fd >= 0)
            close(fd);
        return r;
    }
    snapshot_begin_read(dir);
    for (struct dirent *entry; errno = 0, (entry = readdir(stream)); n++) {
        const char *name = entry->d_name;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
            continue;
        enum scope_verdict verdict = scope_in(c, dir, name);
        if (verdict == SCOPE_OUT)
            continue;
        if (is_dir(dirfd(stream), entry))
            r = see_dir(c, dir, name, verdict);
        else if (verdict == SCOPE_INSIDE)
            r = see_file(c, dir, name, entry->d_ino);
        if (r < 0)
            return r;
    }
    if (errno) /* what was not read is not gone */
        return -errno;
    r = forget_unseen(c, dir);
    return r < 0 ? r : n;
}

static int open_dir(const struct census *c, const struct snapshot_dir *dir, int *ret_fd)
{
    char buffer[CHANGE_PATH_MAX + 1];
    const char *path = snapshot_path(dir, "", buffer, sizeof(buffer));
    if (!path)
        return -ENAMETOOLONG;
    return fs_open_beneath(c->options->root_fd, *path ? path : ".",
                           O_PATH | O_DIRECTORY | O_NOFOLLOW, 0, ret_fd);
}

static int visit_dir(struct census *c, struct snapshot_dir *dir)
{
    _cleanup_close_ int fd = -1;
    struct statx st = {0};
    int64_t sent_ms = clock_now_ms();
    if (dir->ended)
        return 0;
    c->passed++;
    int r = open_dir(c, dir, &fd);
    if (r == 0 && statx(fd, "", ASKED | AT_EMPTY_PATH, WANTED, &st) < 0)
        r = -errno;
    if (r == -ENOENT || r == -ENOTDIR || r == -ESTALE) {
        if (dir->parent) /* which will miss it */
            unsettle(dir->parent);
        return 1;
    }
    if (r < 0) {
        c->unreadable++;
        return 1;
    }
    if (makedev(st.stx_dev_major, st.stx_dev_minor) != c->device) {
        dir->ended = true;
        return 1;
    }
    uint64_t stamp = dir_stamp(&st);
    if (stamp != dir->stamp) {
        dir->stamp = stamp;
        unsettle(dir);
    }
    if (dir->settled)
        return 1;
    uint64_t left_out = c->left_out;
    r = read_dir(c, dir, fd);
    if (r == -ENOMEM)
        return r;
    if (r < 0) {
        c->unreadable++;
        return 2;
    }
    dir->settled = sent_ms - dir->stamp_ms >= SETTLE_MS && c->left_out == left_out;
    return 2 + r / ENTRIES_PER_CALL;
}

/* ---- files ---- */

/* false: all had their turn. */
static bool next_file(struct census *c, struct snapshot_entry *ret_entry)
{
    for (;;) {
        if (snapshot_after(c->files_dir, c->files_after, ret_entry)) {
            memcpy(c->files_after, ret_entry->name, sizeof(c->files_after));
            if (!ret_entry->dir)
                return true;
            continue;
        }
        c->files_after[0] = '\0';
        c->files_dir = TAILQ_NEXT(c->files_dir, order);
        if (!c->files_dir) {
            c->files_dir = snapshot_root(c->snapshot);
            return false;
        }
    }
}

static int visit_file(struct census *c)
{
    struct snapshot_entry entry;
    struct statx st;
    c->files_done = !next_file(c, &entry);
    if (c->files_done)
        return 0;
    c->files++;
    char buffer[CHANGE_PATH_MAX + 1];
    const char *path = snapshot_path(c->files_dir, entry.name, buffer, sizeof(buffer));
    _cleanup_close_ int fd = -1;
    if (!path || fs_open_beneath(c->options->root_fd, path, O_PATH | O_NOFOLLOW, 0, &fd) < 0 ||
        statx(fd, "", ASKED | AT_EMPTY_PATH, WANTED, &st) < 0) {
        unsettle(c->files_dir);
        return 1;
    }
    uint32_t stamp = stamp_of(&st);
    int r = 0;
    if (entry.stamp && entry.stamp != stamp)
        r = found(c, c->files_dir, entry.name, CHANGE_MODIFY, false);
    if (r == 0 && entry.stamp != stamp)
        r = snapshot_put_file(c->snapshot, c->files_dir, entry.name, entry.inode, stamp);
    return r < 0 ? r : 1;
}

/* ---- the pass ---- */

static void leave_dir(void *arg, struct snapshot_dir *dir)
{
    struct census *c = arg;
    if (c->next_dir == dir)
        c->next_dir = TAILQ_NEXT(dir, order);
    if (c->files_dir == dir) {
        c->files_dir = TAILQ_NEXT(dir, order);
        c->files_after[0] = '\0';
        if (!c->files_dir)
            c->files_dir = snapshot_root(c->snapshot);
    }
}

int census_open(struct census *c, const struct census_options *options)
{
    struct statx st;
    *c = (struct census){.options = options};
    if (statx(options->root_fd, "", AT_EMPTY_PATH, STATX_TYPE, &st) < 0)
        return -errno;
    c->device = makedev(st.stx_dev_major, st.stx_dev_minor);
    findings_init(&c->findings);
    int r = snapshot_new(options->max_entries, &c->snapshot);
    if (r < 0)
        return r;
    snapshot_on_remove(c->snapshot, leave_dir, c);
    c->files_dir = snapshot_root(c->snapshot);
    c->files_dir->inside = options->scope->path_count == 0;
    return 0;
}

void census_close(struct census *c)
{
    findings_clear(&c->findings);
    snapshot_free(c->snapshot);
    c->snapshot = NULL;
}

void census_begin(struct census *c)
{
    c->next_dir = snapshot_root(c->snapshot);
    c->files_done = false;
    c->passed = c->unreadable = c->left_out = c->files = 0;
}

int census_step(struct census *c)
{
    while (c->next_dir) {
        struct snapshot_dir *dir = c->next_dir;
        c->next_dir = TAILQ_NEXT(dir, order);
        int calls = visit_dir(c, dir);
        /* What the read added is at the end of the list. */
        if (!c->next_dir && TAILQ_LAST(snapshot_order(c->snapshot), snapshot_order) != dir)
            c->next_dir = TAILQ_NEXT(dir, order);
        if (calls != 0)
            return calls;
    }
    c->has_baseline = true;
    return c->files_done ? 0 : visit_file(c);
}

/* ---- what others tell ---- */

/* The directory that path lies in, and the name in it; NULL: it is not known. */
static struct snapshot_dir *parent_of(struct census *c, const char *path, const char **ret_name)
{
    char parent[CHANGE_PATH_MAX + 1];
    const char *slash = strrchr(path, '/');
    snprintf(parent, sizeof(parent), "%.*s", slash ? (int)(slash - path) : 0, path);
    *ret_name = slash ? slash + 1 : path;
    return snapshot_walk(c->snapshot, parent);
}

static int note_entry(struct census *c, const struct change *change, struct snapshot_dir *dir,
                      const char *name)
{
    struct snapshot_entry before;
    if (change->flags & CHANGE_IS_DIR) {
        struct snapshot_dir *child;
        int r = snapshot_put_dir(c->snapshot, dir, name, &child);
        if (r == 0)
            child->inside = scope_in(c, dir, name) == SCOPE_INSIDE;
        return over_limit(c, r);
    }
    uint32_t stamp = 0, inode = 0; /* 0: the next read takes what it finds */
    if (change->flags & CHANGE_HAS_ATTRS)
        stamp = file_stamp(change->size, change->mtime_ns, change->ctime_ns);
    bool in_place = change->op == CHANGE_MODIFY || change->op == CHANGE_ATTRIB;
    if (in_place && snapshot_find(dir, name, &before) && !before.dir)
        inode = before.inode;
    return over_limit(c, snapshot_put_file(c->snapshot, dir, name, inode, stamp));
}

int census_note(struct census *c, const struct change *change)
{
    const char *name, *from_name;
    struct snapshot_dir *dir, *from;
    if (change->op == CHANGE_RESYNC || !*change->path)
        return 0;
    dir = parent_of(c, change->path, &name);
    if (dir && scope_in(c, dir, name) == SCOPE_OUT)
        return 0;
    findings_cancel(&c->findings, change->path);
    if (dir)
        unsettle(dir);
    if (change->op == CHANGE_DELETE) {
        if (dir)
            snapshot_remove(c->snapshot, dir, name);
        return 0;
    }
    if (change->op == CHANGE_RENAME) {
        findings_cancel(&c->findings, change->from);
        from = parent_of(c, change->from, &from_name);
        if (from)
            unsettle(from);
        if (from && dir && snapshot_move(c->snapshot, from, from_name, dir, name) == 0)
            return 0;
        if (from)
            snapshot_remove(c->snapshot, from, from_name);
        dir = parent_of(c, change->path, &name); /* that may have been below it */
    }
    return dir ? note_entry(c, change, dir, name) : 0;
}

/* ---- telling ---- */

bool census_take(struct census *c, struct finding *finding, char *path, struct change *ret_change)
{
    const char *name;
    struct statx st;
    snprintf(path, PATH_MAX, "%s", finding->path);
    struct change change = {
        .op = finding->op,
        .source = CHANGE_SOURCE_SCAN,
        .flags = finding->is_dir ? CHANGE_IS_DIR : 0,
        .path = path,
    };
    findings_remove(&c->findings, finding);
    *ret_change = change;
    struct snapshot_dir *dir = parent_of(c, path, &name);
    if (change.op == CHANGE_DELETE)
        return true;
    _cleanup_close_ int fd = -1;
    if (fs_open_beneath(c->options->root_fd, path, O_PATH | O_NOFOLLOW, 0, &fd) < 0 ||
        statx(fd, "", ASKED | AT_EMPTY_PATH, WANTED, &st) < 0) {
        if (dir) /* its end is found then */
            unsettle(dir);
        return dir != NULL;
    }
    change.flags |= CHANGE_HAS_ATTRS;
    change.size = st.stx_size;
    change.mtime_ns = change_time_ns(&st.stx_mtime);
    change.ctime_ns = change_time_ns(&st.stx_ctime);
    *ret_change = change;
    if (dir && !(change.flags & CHANGE_IS_DIR) && !S_ISDIR(st.stx_mode))
        snapshot_put_file(c->snapshot, dir, name, inode_bits(st.stx_ino), stamp_of(&st));
    return true;
}
