#include "sidecar/taskdirs.h"

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
#include "lib/host_identity.h"
#include "lib/json.h"
#include "lib/own_dir.h"
#include "lib/share/board.h"
#include "lib/share/layout.h"

/* In the image's run directory, which may be another user's: see link_first(). */
#define MOUNTS      "mounts"
#define SECOND_LINK ".task"

enum { RUN_SUBDIR_MODE = 0755 };

static int fits(int n, size_t size)
{
    return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

int taskdirs_link_name(const char *mount_path, char *buf, size_t size)
{
    const char *path = mount_path + strspn(mount_path, "/");
    int r = fits(snprintf(buf, size, "%s", *path ? path : "root"), size);
    for (char *p = buf; r == 0 && (p = strchr(p, '/')) != NULL;)
        *p = '-';
    return r == 0 ? fs_check_name(buf) : r;
}

int taskdirs_path(const struct place *place, char *buf, size_t size)
{
    return fits(snprintf(buf, size, "%s/%s/%s", place->path, place->settings->tasks_dir,
                         place->settings->task_name),
                size);
}

int taskdirs_link(const struct place *place, char *buf, size_t size)
{
    return fits(snprintf(buf, size, "%s/" MOUNTS "/%s/task", place->settings->run_dir, place->name),
                size);
}

static bool leads_to(int at_fd, const char *name, const char *target, uid_t owner)
{
    char now[PATH_MAX];
    struct stat st;
    ssize_t n = readlinkat(at_fd, name, now, sizeof(now));
    return n == (ssize_t)strlen(target) && memcmp(now, target, (size_t)n) == 0 &&
           fstatat(at_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_uid == owner;
}

/* Make at_fd/name a link of ours to target, whatever was there; whoever looks finds the old or the
 * new. -EPERM: what is there is another user's. */
static int set_link(int at_fd, const char *name, const char *target)
{
    char temporary[NAME_MAX + 1];
    if (leads_to(at_fd, name, target, geteuid()))
        return 0;
    snprintf(temporary, sizeof(temporary), ".%s.new", name);
    unlinkat(at_fd, temporary, 0); /* left by one that was killed here */
    if (symlinkat(target, at_fd, temporary) < 0 || renameat(at_fd, temporary, at_fd, name) < 0)
        return -errno;
    return 0;
}

/* A directory of links in the run directory, which is local. */
static int open_links(const struct place *place, const char *path, int *ret_fd, struct error *err)
{
    const char *run_dir = place->settings->run_dir;
    _cleanup_close_ int run_fd = open(run_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (run_fd < 0)
        return error_set_errno(err, errno, "run_dir: %s", run_dir);
    int r = own_dir_make(run_fd, path, RUN_SUBDIR_MODE, ret_fd, err);
    if (r < 0)
        error_prefix(err, "run_dir: no links can be made in %s", run_dir);
    return r;
}

static int make_link(const struct place *place, const char *name, const char *target,
                     struct error *err)
{
    char path[NAME_MAX + 16];
    _cleanup_close_ int links_fd = -1;
    snprintf(path, sizeof(path), MOUNTS "/%s", place->name);
    int r = open_links(place, path, &links_fd, err);
    if (r < 0)
        return r;
    r = set_link(links_fd, name, target);
    if (r < 0)
        return error_set_errno(err, -r, "the link %s/%s/%s cannot be made (run_dir)",
                               place->settings->run_dir, path, name);
    return 0;
}

/*
 * RUN_DIR/task. In a sticky directory that everybody may write the kernel lets others follow only
 * the links of the directory's owner (fs.protected_symlinks). So the image has one there that leads
 * to our second one.
 */
static int link_first(const struct place *place, const char *target, struct error *err)
{
    struct stat st;
    const char *name = "task", *run_dir = place->settings->run_dir;
    _cleanup_close_ int links_fd = -1;
    _cleanup_close_ int run_fd = open(run_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (run_fd < 0 || fstat(run_fd, &st) < 0)
        return error_set_errno(err, errno, "run_dir: %s", run_dir);
    bool has_second = leads_to(run_fd, name, MOUNTS "/" SECOND_LINK, st.st_uid);
    int r = has_second ? open_links(place, MOUNTS, &links_fd, err) : 0;
    if (r < 0)
        return r;
    r = has_second ? set_link(links_fd, SECOND_LINK, target) : set_link(run_fd, name, target);
    if (r < 0)
        return error_set_errno(err, -r, "the link %s/%s cannot be made (run_dir)%s", run_dir, name,
                               r == -EPERM ? ", another user has made what is there" : "");
    return 0;
}

int taskdirs_link_root(const struct place *place, struct error *err)
{
    return make_link(place, "root", place->path, err);
}

int taskdirs_link_task(const struct place *place, struct error *err)
{
    char path[PATH_MAX];
    int r = taskdirs_path(place, path, sizeof(path));
    if (r < 0)
        return error_set_errno(err, -r, "the task's directory on %s has no usable path",
                               place->path);
    r = make_link(place, "task", path, err);
    return r < 0 || !place->first_writable ? r : link_first(place, path, err);
}

static int make_state(const struct place *place, struct error *err)
{
    _cleanup_close_ int state_fd = -1, members_fd = -1, feed_fd = -1;
    int r = place_make_state(place, &state_fd, err);
    if (r == 0)
        r = place_make_dir(place, state_fd, LAYOUT_MEMBERS, LAYOUT_DIR_MODE, &members_fd, err);
    if (r == 0)
        r = place_make_dir(place, state_fd, LAYOUT_FEED, LAYOUT_DIR_MODE, &feed_fd, err);
    if (r < 0)
        return r;
    r = board_create(state_fd, place->settings->state_gid);
    if (r < 0)
        return error_set_errno(err, -r, "the board of %s cannot be made", place->path);
    return 0;
}

/* The directories above the task's are everyone's: only the last one has task.dir_mode. */
static int make_write_dir(const struct place *place, int *ret_tasks_fd, int *ret_task_fd,
                          struct error *err)
{
    const struct settings *settings = place->settings;
    _cleanup_close_ int root_fd = -1, tasks_fd = -1;
    int r = place_open_root(place, &root_fd, err);
    if (r == 0)
        r = place_make_dir(place, root_fd, settings->tasks_dir, LAYOUT_DIR_MODE, &tasks_fd, err);
    if (r == 0)
        r = place_make_dir(place, tasks_fd, settings->task_name, settings->task_dir_mode,
                           ret_task_fd, err);
    if (r == 0)
        *ret_tasks_fd = take_fd(&tasks_fd);
    return r;
}

int taskdirs_make(const struct place *place, struct error *err)
{
    _cleanup_close_ int tasks_fd = -1, task_fd = -1;
    int r = make_state(place, err);
    if (r < 0 || !place->writable)
        return r;
    return make_write_dir(place, &tasks_fd, &task_fd, err);
}

/* Does the name still lead to what is open? Another member may have moved it away meanwhile,
 * because the record that was there until now is of somebody who is over. */
static int check_name(int tasks_fd, const char *name, int task_fd)
{
    struct statx ignored;
    struct stat named, open;
    if (statx(tasks_fd, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_CTIME, &ignored) < 0 ||
        fstatat(tasks_fd, name, &named, AT_SYMLINK_NOFOLLOW) < 0 || fstat(task_fd, &open) < 0)
        return errno == ENOENT ? -ESTALE : -errno;
    return named.st_ino == open.st_ino && named.st_dev == open.st_dev ? 0 : -ESTALE;
}

static bool says_the_same(const struct owner *a, const struct owner *b)
{
    return owner_equal(a, b) && a->bytes == b->bytes && a->files == b->files &&
           (a->measured_wall_ms > 0) == (b->measured_wall_ms > 0);
}

int taskdirs_own(const struct place *place, const struct owner *owner, bool told,
                 struct statx *ret_new, struct error *err)
{
    const char *name = place->settings->task_name;
    _cleanup_close_ int tasks_fd = -1, task_fd = -1;
    struct owner before;
    int r = make_write_dir(place, &tasks_fd, &task_fd, err);
    if (r < 0)
        return r;
    r = owner_read(task_fd, LAYOUT_OWNER, &before);
    if (r < 0 && !told) {
        if (statx(task_fd, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC,
                  STATX_SIZE | STATX_MTIME | STATX_CTIME, ret_new) < 0)
            return error_set_errno(err, errno, "the write directory on %s cannot be read",
                                   place->path);
        return 1;
    }
    if (r < 0 || !says_the_same(&before, owner))
        r = owner_write(task_fd, LAYOUT_OWNER, owner);
    if (r == 0)
        r = check_name(tasks_fd, name, task_fd);
    if (r < 0)
        return error_set_errno(err, -r, "%s/%s/%s/" LAYOUT_OWNER " cannot be written", place->path,
                               place->settings->tasks_dir, name);
    return 0;
}

int taskdirs_open(const struct place *place, int *ret_fd, struct error *err)
{
    char path[PATH_MAX];
    _cleanup_close_ int root_fd = -1;
    int r = place_open_root(place, &root_fd, err);
    if (r < 0)
        return r;
    snprintf(path, sizeof(path), "%s/%s", place->settings->tasks_dir, place->settings->task_name);
    r = fs_open_beneath(root_fd, path, O_RDONLY | O_DIRECTORY, 0, ret_fd);
    if (r < 0)
        return error_set_errno(err, -r, "%s/%s cannot be opened", place->path, path);
    return 0;
}

static int open_members(const struct place *place, int *ret_fd, struct error *err)
{
    _cleanup_close_ int state_fd = -1;
    int r = place_open_state(place, &state_fd, err);
    if (r < 0)
        return r;
    r = fs_open_beneath(state_fd, LAYOUT_MEMBERS, O_RDONLY | O_DIRECTORY, 0, ret_fd);
    if (r < 0)
        return error_set_errno(err, -r, "the members of %s cannot be opened", place->path);
    return 0;
}

static char *describe_member(const struct place *place, uint32_t epoch,
                             const struct host_identity *host)
{
    char now[CLOCK_TEXT];
    _cleanup_json_ json_t *member =
        json_pack("{s:o, s:I, s:s, s:I, s:s, s:s, s:s}", "task",
                  json_string_lossy(place->settings->task_name), "epoch", (json_int_t)epoch,
                  "boot_id", host->boot_id, "net_namespace", (json_int_t)host->net_namespace,
                  "host_name", host->host_name, "version", EFS_SIDECAR_VERSION, "joined",
                  clock_format(clock_wall_ms(), now));
    return member ? json_dumps(member, JSON_INDENT(2)) : NULL;
}

int taskdirs_write_member(const struct place *place, unsigned slot, uint32_t epoch,
                          struct error *err)
{
    _cleanup_close_ int members_fd = -1;
    struct host_identity host;
    char name[32];

    int r = open_members(place, &members_fd, err);
    if (r < 0)
        return r;
    r = host_identity_read("", &host, err);
    if (r < 0)
        return r;
    _cleanup_free_ char *text = describe_member(place, epoch, &host);
    snprintf(name, sizeof(name), "%u.json", slot);
    r = text ? fs_write_atomic(members_fd, name, text, strlen(text), LAYOUT_FILE_MODE) : -ENOMEM;
    if (r < 0)
        return error_set_errno(err, -r, LAYOUT_MEMBERS "/%s of %s cannot be written", name,
                               place->path);
    return 0;
}

int taskdirs_remove_member(const struct place *place, unsigned slot, struct error *err)
{
    _cleanup_close_ int members_fd = -1;
    char name[32];
    int r = open_members(place, &members_fd, err);
    if (r < 0)
        return r;
    snprintf(name, sizeof(name), "%u.json", slot);
    if (unlinkat(members_fd, name, 0) < 0 && errno != ENOENT)
        return error_set_errno(err, errno, "%s cannot be removed from the members of %s", name,
                               place->path);
    return 0;
}
