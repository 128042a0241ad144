#include "sidecar/publish_file.h"

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
#include "lib/share/change.h"
#include "lib/share/layout.h"
#include "lib/share/lock_name.h"
#include "lib/test_hook.h"

#define STEP(n) test_hook_step("publish", n)

enum { ATTRIBUTES = STATX_TYPE | STATX_INO | STATX_NLINK | STATX_SIZE | STATX_MTIME | STATX_CTIME };

enum state { MAY_BE_CANCELLED, DECIDED, CANCELLED };

/* A name in a directory. */
struct spot {
    int dir_fd;
    const char *name, *path;
};

static void cleanup_spot_p(struct spot *spot)
{
    cleanup_close_p(&spot->dir_fd);
}
#define _cleanup_spot_ _cleanup_(cleanup_spot_p)

static int fail(struct publish_file *file, int r, const char *path, const char *what)
{
    return error_set_errno(&file->err, -r, "%s on %s cannot be %s", path, file->place->path, what);
}

/* ---- paths ---- */

static bool has_component(const char *path, const char *component)
{
    size_t length = strlen(component);
    for (const char *name = path;; name++) {
        size_t n = strcspn(name, "/");
        if (n == length && memcmp(name, component, n) == 0)
            return true;
        name += n;
        if (!*name)
            return false;
    }
}

static int check_path(const struct publish_file *file, const char *what, const char *path,
                      struct error *err)
{
    int r = fs_check_relative(path);
    if (r < 0)
        return error_set(err, -r, "%s: \"%.200s\" is no path relative to the mount", what, path);
    if (has_component(path, file->place->settings->state_dir) || has_component(path, LAYOUT_STAGE))
        return error_set(err, EINVAL, "%s: %.200s lies in a directory of efs-sidecar itself", what,
                         path);
    return 0;
}

int publish_file_check(const struct publish_file *file, struct error *err)
{
    int r = check_path(file, "from", file->from, err);
    if (r == 0)
        r = check_path(file, "to", file->to, err);
    if (r == 0 && strcmp(file->from, file->to) == 0)
        r = error_set(err, EINVAL, "to: %.200s is the file itself", file->to);
    return r;
}

static int force_sync(int fd, const char *name, struct statx *ret_now)
{
    int flags = AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_FORCE_SYNC;
    return statx(fd, name, flags, ATTRIBUTES, ret_now) < 0 ? -errno : 0;
}

/* Somebody may have made it on another host, and this client remembers that it was missing. */
static int open_again(int root_fd, const char *path, int flags, int *ret_fd)
{
    char parent[PATH_MAX];
    struct statx now;
    int r = force_sync(root_fd, "", &now);
    for (const char *slash = strchr(path, '/'); r == 0 && slash; slash = strchr(slash + 1, '/')) {
        _cleanup_close_ int fd = -1;
        snprintf(parent, sizeof(parent), "%.*s", (int)(slash - path), path);
        r = fs_open_beneath(root_fd, parent, O_PATH | O_DIRECTORY, 0, &fd);
        if (r == 0)
            r = force_sync(fd, "", &now);
    }
    return r == 0 ? fs_open_beneath(root_fd, path, flags, 0, ret_fd) : r;
}

static int open_beneath(int root_fd, const char *path, int flags, int *ret_fd)
{
    int r = fs_open_beneath(root_fd, path, flags, 0, ret_fd);
    return r == -ENOENT ? open_again(root_fd, path, flags, ret_fd) : r;
}

/* The directory that path is in; made with what is missing of it, if that is asked for. */
static int open_spot(struct publish_file *file, int root_fd, const char *path, bool make,
                     struct spot *ret_spot)
{
    const char *slash = strrchr(path, '/');
    char parent[PATH_MAX] = ".";
    int fd = -1, r;
    if (slash)
        snprintf(parent, sizeof(parent), "%.*s", (int)(slash - path), path);
    r = make ? fs_open_beneath(root_fd, parent, O_PATH | O_DIRECTORY, 0, &fd)
             : open_beneath(root_fd, parent, O_PATH | O_DIRECTORY, &fd);
    if (r == -ENOENT && make)
        r = place_make_dir(file->place, root_fd, parent, file->place->settings->task_dir_mode, &fd,
                           &file->err);
    else if (r < 0)
        fail(file, r, parent, "opened");
    if (r == 0)
        *ret_spot = (struct spot){fd, slash ? slash + 1 : path, path};
    return r;
}

/* ---- preparing ---- */

static void note_attributes(struct publish_file *file, const struct statx *now)
{
    file->size = now->stx_size;
    file->mtime_ns = change_time_ns(&now->stx_mtime);
    file->ctime_ns = change_time_ns(&now->stx_ctime);
}

static int open_source(struct publish_file *file, int *ret_fd)
{
    _cleanup_close_ int root_fd = -1;
    int r = place_open_root(file->place, &root_fd, &file->err);
    if (r < 0)
        return r;
    r = open_beneath(root_fd, file->from, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, ret_fd);
    if (r == -ELOOP)
        return error_set(&file->err, ELOOP,
                         "%s on %s is a symbolic link, or behind one that leads "
                         "out of the mount: name the file itself",
                         file->from, file->place->path);
    if (r == -EXDEV)
        return error_set(&file->err, EXDEV, "%s leads out of %s", file->from, file->place->path);
    return r < 0 ? fail(file, r, file->from, "opened") : 0;
}

static int set_mode(struct publish_file *file, int fd, const struct statx *now)
{
    if (file->mode == 0 || (now->stx_mode & 07777U) == file->mode)
        return 0;
    return fchmod(fd, file->mode) < 0 ? fail(file, -errno, file->from, "given its permission bits")
                                      : 0;
}

static int digest(struct publish_file *file, int fd)
{
    if (file->size > file->digest_most_bytes || file->digest_most_bytes == 0)
        return 0;
    int r = sha256_of_file(fd, file->size, file->sha256, &file->err);
    if (r < 0)
        error_prefix(&file->err, "%s on %s", file->from, file->place->path);
    file->has_digest = r == 0;
    return r;
}

static int check_quiet(struct publish_file *file, int fd)
{
    struct stat now;
    if (fstat(fd, &now) < 0)
        return fail(file, -errno, file->from, "read");
    int64_t mtime_ns = (int64_t)now.st_mtim.tv_sec * 1000000000 + now.st_mtim.tv_nsec;
    if ((uint64_t)now.st_size == file->size && mtime_ns == file->mtime_ns)
        return 0;
    return error_set(&file->err, EBUSY,
                     "%s on %s is still being written to: publish it when it is "
                     "complete",
                     file->from, file->place->path);
}

int publish_file_prepare(struct publish_file *file)
{
    _cleanup_close_ int fd = -1;
    struct statx now;
    STEP(1);
    int r = open_source(file, &fd);
    if (r < 0)
        return r;
    STEP(2);
    if (fsync(fd) < 0)
        return fail(file, -errno, file->from, "synced");
    if (statx(fd, "", AT_EMPTY_PATH, ATTRIBUTES | STATX_MODE, &now) < 0)
        return fail(file, -errno, file->from, "read");
    if (!S_ISREG(now.stx_mode))
        return error_set(&file->err, EINVAL, "%s on %s is no regular file", file->from,
                         file->place->path);
    note_attributes(file, &now);
    file->inode = now.stx_ino;
    file->device_major = now.stx_dev_major;
    file->device_minor = now.stx_dev_minor;
    file->links = now.stx_nlink;
    STEP(3);
    r = set_mode(file, fd, &now);
    STEP(4);
    if (r == 0)
        r = digest(file, fd);
    return r == 0 ? check_quiet(file, fd) : r;
}

/* ---- putting ---- */

enum sight { IS_OURS, IS_ANOTHER, IS_MISSING, IS_UNKNOWN };

/* What the server has there now. */
static enum sight look(struct publish_file *file, const struct spot *spot)
{
    struct statx now;
    int r = force_sync(spot->dir_fd, "", &now);
    if (r == 0)
        r = force_sync(spot->dir_fd, spot->name, &now);
    if (r < 0)
        return r == -ENOENT ? IS_MISSING : IS_UNKNOWN;
    if (now.stx_ino != file->inode || now.stx_dev_major != file->device_major ||
        now.stx_dev_minor != file->device_minor)
        return IS_ANOTHER;
    note_attributes(file, &now);
    return IS_OURS;
}

static int taken(struct publish_file *file)
{
    return error_set(&file->err, EEXIST, "%s exists on %s", file->to, file->place->path);
}

/* From here on it may happen. */
static int decide(struct publish_file *file)
{
    int may = MAY_BE_CANCELLED;
    if (file->lock && clock_now_ms() >= file->valid_until_ms && !test_hook_omits("deadline_check"))
        return error_set(&file->err, ESTALE,
                         "the time of lock \"%s\" was up before %s could be "
                         "published",
                         file->lock, file->to);
    if (!atomic_compare_exchange_strong(&file->state, &may, DECIDED))
        return error_set(&file->err, ECANCELED, "%s was not published in time", file->to);
    return 0;
}

bool publish_file_cancel(struct publish_file *file)
{
    int may = MAY_BE_CANCELLED;
    return atomic_compare_exchange_strong(&file->state, &may, CANCELLED);
}

static int drop(int dir_fd, const char *name)
{
    return unlinkat(dir_fd, name, 0) < 0 && errno != ENOENT ? -errno : 0;
}

/* With what to do about it where people cannot know. A mount that gives up waiting (soft) does not
 * say what the server did. */
static int fail_put(struct publish_file *file, int r, enum sight sight)
{
    static const struct {
        int code;
        const char *advice;
    } known[] = {
        {EXDEV, "it must lie on the same file system as its place"},
        {EMLINK, "the file has too many hard links (EFS allows 177)"},
        {EPERM, "the sidecar may not link it: let it own the file, or give its group read and "
                "write permission"},
        {EDQUOT, "EFS has reached a limit of this mount or of the file system"},
    };
    file->unknown = sight == IS_UNKNOWN || r == -EIO || r == -ETIMEDOUT;
    fail(file, r, file->to, "put in its place");
    size_t length = strlen(file->err.text);
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (known[i].code == -r)
            snprintf(file->err.text + length, sizeof(file->err.text) - length, ": %s",
                     known[i].advice);
    return r;
}

/* It has its place; the old name goes. Should that fail, the file has two names. */
static int end_put(struct publish_file *file, const struct spot *from, const struct spot *to,
                   bool seen)
{
    struct statx now;
    file->published = true;
    STEP(8);
    if (from && drop(from->dir_fd, from->name) < 0)
        fail(file, -errno, from->path, "removed, although it was published"); /* and it was */
    if (!seen && force_sync(to->dir_fd, to->name, &now) == 0 && now.stx_ino == file->inode)
        note_attributes(file, &now);
    STEP(9);
    return 0;
}

static int put_by_rename(struct publish_file *file, const struct spot *from, const struct spot *to)
{
    bool is_there = file->links > 1 && look(file, to) == IS_OURS;
    int r = decide(file);
    if (r < 0)
        return r;
    if (is_there) /* rename() would do nothing */
        return end_put(file, from, to, true);
    STEP(7);
    r = renameat(from->dir_fd, from->name, to->dir_fd, to->name) < 0 ? -errno : 0;
    enum sight sight = r < 0 ? look(file, to) : IS_OURS;
    return sight == IS_OURS ? end_put(file, NULL, to, r < 0) : fail_put(file, r, sight);
}

/* A sidecar that died may have linked it before: who took it from its place would not be the only
 * one that works on it. */
static bool is_elsewhere(struct publish_file *file, const struct spot *to)
{
    return file->links == 2 && look(file, to) == IS_MISSING &&
           !test_hook_omits("second_name_check");
}

static int put_by_link(struct publish_file *file, const struct spot *from, const struct spot *to)
{
    if (is_elsewhere(file, to))
        return error_set(
            &file->err, EEXIST,
            "%s on %s has a second name: it was published before and has been taken "
            "from its place since, or somebody linked it; remove it, or publish a copy",
            file->from, file->place->path);
    int r = decide(file);
    if (r < 0)
        return r;
    STEP(7);
    r = linkat(from->dir_fd, from->name, to->dir_fd, to->name, 0) < 0 ? -errno : 0;
    enum sight sight = r < 0 ? look(file, to) : IS_OURS;
    if (sight == IS_OURS)
        return end_put(file, from, to, r < 0);
    return sight == IS_ANOTHER && r == -EEXIST ? taken(file) : fail_put(file, r, sight);
}

/* ---- under a lock ---- */

static int open_stage(struct publish_file *file, int root_fd, struct spot *ret_spot)
{
    char name[LOCK_FILE_SIZE], path[LOCK_PATH_SIZE];
    int fd = -1;
    snprintf(path, sizeof(path), LAYOUT_STAGE "/%s", lock_name_file(file->lock, name));
    int r = fs_open_beneath(root_fd, path, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0, &fd);
    if (r == -ENOENT)
        r = place_make_dir(file->place, root_fd, path, LAYOUT_DIR_MODE, &fd, &file->err);
    else if (r < 0)
        fail(file, r, path, "opened");
    if (r == 0)
        *ret_spot = (struct spot){fd, file->staged, file->staged};
    return r;
}

/* Not published, so nothing of it may stay in the stage. */
static int give_up(struct publish_file *file, const struct spot *staged, int r)
{
    file->left_staged = drop(staged->dir_fd, staged->name) < 0;
    return r;
}

static int rename_staged(struct publish_file *file, const struct spot *staged,
                         const struct spot *from, const struct spot *to)
{
    int r = renameat(staged->dir_fd, staged->name, to->dir_fd, to->name) < 0 ? -errno : 0;
    enum sight sight = r < 0 ? look(file, to) : IS_OURS;
    if (sight == IS_OURS)
        return end_put(file, from, to, r < 0);
    if (r == -ENOENT && look(file, staged) == IS_MISSING)
        return error_set(&file->err, ESTALE,
                         "lock \"%s\" has another holder by now, who removed "
                         "what was staged: %s was not published",
                         file->lock, file->to);
    fail_put(file, r, sight);
    return give_up(file, staged, r);
}

static int put_staged(struct publish_file *file, const struct spot *staged, const struct spot *from,
                      const struct spot *to)
{
    bool looks = (!file->replace && !test_hook_omits("no_replace_check")) || file->links > 1;
    enum sight sight = looks ? look(file, to) : IS_MISSING;
    STEP(6);
    int r = decide(file);
    if (r == 0 && sight == IS_OURS) { /* put there before, by a sidecar that died */
        give_up(file, staged, 0);
        return end_put(file, from, to, true);
    }
    if (r == 0 && !file->replace && sight != IS_MISSING)
        r = sight == IS_ANOTHER ? taken(file) : fail(file, -EIO, file->to, "looked at");
    if (r < 0)
        return give_up(file, staged, r);
    STEP(7);
    return rename_staged(file, staged, from, to);
}

/* A link, so that whoever cleans the stage takes nothing away. */
static int put_under_lock(struct publish_file *file, int root_fd, const struct spot *from,
                          const struct spot *to)
{
    _cleanup_spot_ struct spot staged = {.dir_fd = -1};
    int r = open_stage(file, root_fd, &staged);
    if (r < 0)
        return r;
    r = linkat(from->dir_fd, from->name, staged.dir_fd, staged.name, 0) < 0 ? -errno : 0;
    enum sight sight = r < 0 ? look(file, &staged) : IS_OURS;
    if (sight != IS_OURS) {
        fail_put(file, r, sight);
        file->unknown = false; /* at most it is staged */
        return give_up(file, &staged, r);
    }
    STEP(5);
    return put_staged(file, &staged, from, to);
}

int publish_file_put(struct publish_file *file)
{
    _cleanup_close_ int root_fd = -1;
    _cleanup_spot_ struct spot from = {.dir_fd = -1}, to = {.dir_fd = -1};
    int r = place_open_root(file->place, &root_fd, &file->err);
    if (r == 0)
        r = open_spot(file, root_fd, file->from, false, &from);
    if (r == 0)
        r = open_spot(file, root_fd, file->to, file->mkdir, &to);
    if (r < 0)
        return r;
    if (file->lock)
        return put_under_lock(file, root_fd, &from, &to);
    return file->replace ? put_by_rename(file, &from, &to) : put_by_link(file, &from, &to);
}
