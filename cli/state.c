#include "cli/state.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/fs.h"
#include "lib/json.h"
#include "lib/share/layout.h"
#include "lib/share/roster.h"
#include "lib/share/version.h"
#include "lib/text.h"

enum { OPTION_JSON, OPTION_FORCE, OPTION_ROOT, OPTION_FILE_SYSTEM }; /* as in the table */
enum { LOCK_WAIT_MS = 10 * 1000, PATH_SIZE = 4096, MEMBER_FILE_MAX = 64 * 1024 };

static const char default_name[] = ".efs-sidecar";

struct state {
    const struct command_call *call;
    char path[PATH_SIZE]; /* of the state directory */
    int fd;
    bool on_nfs;
    int64_t gid; /* its group, for what is made in it */
    struct version version;
    int version_status; /* of version_read() */
    struct error version_error;
    struct roster roster;
};

static bool holds_state(int fd)
{
    return faccessat(fd, LAYOUT_VERSION, F_OK, AT_SYMLINK_NOFOLLOW) == 0 ||
           faccessat(fd, LAYOUT_BOARD, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* DIR is the state directory, or the mount that has it in its usual place. */
static int open_state(struct state *s, const char *dir, struct error *err)
{
    struct statfs fs;
    struct stat st;
    snprintf(s->path, sizeof(s->path), "%s", dir);
    s->fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (s->fd < 0)
        return error_set_errno(err, errno, "cannot open %s", dir);
    if (!holds_state(s->fd)) {
        int fd = openat(s->fd, default_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0 || !holds_state(fd)) {
            if (fd >= 0)
                close(fd);
            return error_set(err, ENOENT,
                             "%s is no state directory of efs-sidecar, and has none in %s; with "
                             "state.mount it is DIR/SHARE on that mount",
                             dir, default_name);
        }
        close(s->fd);
        s->fd = fd;
        snprintf(s->path, sizeof(s->path), "%s/%s", dir, default_name);
    }
    if (fstat(s->fd, &st) < 0)
        return error_set_errno(err, errno, "cannot look at %s", s->path);
    s->gid = st.st_gid;
    s->on_nfs = fstatfs(s->fd, &fs) == 0 && fs.f_type == NFS_SUPER_MAGIC;
    return 0;
}

static int read_state(struct state *s, struct error *err)
{
    s->version_status = version_read(s->fd, &s->version, &s->version_error);
    if (s->version_status < 0 && s->version_status != -ENOENT && s->version_status != -EBADMSG) {
        *err = s->version_error;
        return s->version_status;
    }
    int r = roster_read(s->fd, &s->roster, err);
    return r == -ENOENT ? 0 : r;
}

/* ---- show ---- */

/* Who was in a slot last, as its member wrote it for people; NULL: not known. */
static json_t *task_of(const struct state *s, unsigned number)
{
    char name[sizeof(LAYOUT_MEMBERS) + 16];
    _cleanup_free_ char *text = NULL;
    _cleanup_json_ json_t *member = NULL;
    struct error err;
    size_t length;
    snprintf(name, sizeof(name), LAYOUT_MEMBERS "/%u.json", number);
    if (fs_read_file(s->fd, name, MEMBER_FILE_MAX, &text, &length) < 0 ||
        json_parse(text, length, &member, &err) < 0)
        return NULL;
    json_t *task = json_object_get(member, "task");
    return json_is_string(task) ? json_incref(task) : NULL;
}

static json_t *entry_to_json(const struct state *s, unsigned number)
{
    const struct roster_entry *entry = &s->roster.entries[number];
    const struct slot *slot = &entry->slot;
    json_t *task = task_of(s, number);
    json_t *object = json_pack("{s:i, s:s}", "slot", (int)number, "state", roster_state(entry));
    if (task)
        json_object_set_new(object, "task", task);
    if (object && entry->status == 0)
        json_object_update_new(
            object, json_pack("{s:I, s:I, s:I, s:i, s:i, s:i}", "epoch", (json_int_t)slot->epoch,
                              "sequence", (json_int_t)slot->sequence, "segment",
                              (json_int_t)slot->segment, "reads_from", slot->reads_from, "reads_to",
                              slot->reads_to, "fence_ms", (int)slot->fence_ms));
    return object;
}

static int show_json(const struct state *s)
{
    const struct version *v = &s->version;
    _cleanup_json_ json_t *slots = json_array();
    for (unsigned i = 0; i < BOARD_SLOTS; i++) {
        const struct roster_entry *entry = &s->roster.entries[i];
        if (entry->live || entry->status != -ENODATA)
            json_array_append_new(slots, entry_to_json(s, i));
    }
    _cleanup_json_ json_t *root = json_pack("{s:s, s:O}", "path", s->path, "slots", slots);
    if (root && s->version_status == 0)
        json_object_set_new(root, "version",
                            json_pack("{s:i, s:I, s:s, s:I}", "format", (int)v->format,
                                      "generation", (json_int_t)v->generation, "file_system",
                                      v->root.file_system, "root_inode",
                                      (json_int_t)v->root.inode));
    if (!root)
        return COMMAND_REFUSED;
    json_dumpf(root, stdout, JSON_INDENT(2));
    putchar('\n');
    return 0;
}

static void show_version(const struct state *s)
{
    const struct version *v = &s->version;
    printf("state directory  ");
    text_put(stdout, s->path);
    if (s->version_status == -ENOENT) {
        puts("\nVERSION          not made yet: the first member makes it");
        return;
    }
    if (s->version_status < 0) {
        fputs("\nVERSION          ", stdout);
        text_put(stdout, s->version_error.text);
        putchar('\n');
        return;
    }
    printf("\nformat           %" PRIu32 " (this efsctl reads %d to %d)\n", v->format,
           VERSION_READS_FROM, VERSION_READS_TO);
    printf("generation       %" PRId64 "\n", v->generation);
    printf("file system      ");
    text_put(stdout, v->root.file_system[0] ? v->root.file_system : "not named");
    printf("\nroot inode       %" PRIu64 "\n", v->root.inode);
}

static int show(struct state *s)
{
    bool any = false;
    if (s->call->values[OPTION_JSON])
        return show_json(s);
    show_version(s);
    for (unsigned i = 0; i < BOARD_SLOTS; i++) {
        const struct roster_entry *entry = &s->roster.entries[i];
        const struct slot *slot = &entry->slot;
        if (!entry->live && entry->status == -ENODATA)
            continue;
        if (!any)
            puts("\nslot  state       epoch      sequence   segment  reads  task");
        any = true;
        printf("%4u  %-7s", i, roster_state(entry));
        if (entry->status == 0)
            printf("  %8" PRIu32 "  %12" PRIu64 "  %8" PRIu32 "  %u-%u", slot->epoch,
                   slot->sequence, slot->segment, slot->reads_from, slot->reads_to);
        _cleanup_json_ json_t *task = task_of(s, i);
        if (task && entry->status == 0) {
            fputs("    ", stdout);
            text_put(stdout, json_string_value(task));
        }
        putchar('\n');
    }
    if (!any)
        puts("\nnobody was ever a member");
    return 0;
}

/* ---- upgrade and reset, under the lock of VERSION ---- */

static int upgrade(struct state *s, int lock_fd, struct error *err)
{
    if (s->version_status < 0)
        return *err = s->version_error, s->version_status;
    if (s->version.format >= VERSION_READS_TO) {
        printf("%s has format %" PRIu32 " already, the newest that this efsctl knows\n", s->path,
               s->version.format);
        return 0;
    }
    int r = roster_all_read(&s->roster, VERSION_READS_TO, err);
    if (r < 0)
        return r;
    s->version.format = VERSION_READS_TO;
    r = version_replace(s->fd, lock_fd, &s->version, false, s->gid, err);
    if (r == 0)
        printf("%s has format %" PRIu32 " now\n", s->path, s->version.format);
    return r;
}

/* The root that the directory is to coordinate from now on. */
static int find_root(const struct state *s, struct version_root *ret_root, struct error *err)
{
    const char *given = s->call->values[OPTION_ROOT], *name = s->call->values[OPTION_FILE_SYSTEM];
    char path[PATH_SIZE + 4];
    struct stat st;
    snprintf(path, sizeof(path), "%s%s", given ? given : s->path, given ? "" : "/..");
    if (stat(path, &st) < 0)
        return error_set_errno(err, errno, "cannot look at %s", path);
    if (!S_ISDIR(st.st_mode))
        return error_set(err, ENOTDIR, "--root: %s is no directory", path);
    if (name && strlen(name) > VERSION_FILE_SYSTEM_MAX)
        return error_set(err, EINVAL, "--file-system: \"%.80s...\" is too long for an id", name);
    *ret_root = (struct version_root){.inode = st.st_ino};
    snprintf(ret_root->file_system, sizeof(ret_root->file_system), "%s", name ? name : "");
    return 0;
}

static int reset(struct state *s, int lock_fd, struct error *err)
{
    int64_t old = s->version_status == 0 ? s->version.generation : 0;
    struct version version = {.format = VERSION_FORMAT, .generation = old};
    if (s->roster.live > 0 && !s->call->values[OPTION_FORCE])
        return error_set(err, EBUSY,
                         "%u member%s of %s live%s: stop their tasks first, or use --force if they "
                         "are to be cut off",
                         s->roster.live, s->roster.live == 1 ? "" : "s", s->path,
                         s->roster.live == 1 ? "s" : "");
    int r = find_root(s, &version.root, err);
    if (r == 0)
        r = version_replace(s->fd, lock_fd, &version, true, s->gid, err);
    if (r < 0)
        return r;
    printf("%s: generation %" PRId64 " (was %" PRId64 "), root inode %" PRIu64 " of %s\n", s->path,
           version.generation, old, version.root.inode,
           version.root.file_system[0] ? version.root.file_system : "a file system not named");
    if (s->roster.live > 0)
        puts("members that run keep what they have until their tasks are started again");
    return 0;
}

static const struct {
    const char *name;
    int (*change)(struct state *s, int lock_fd, struct error *err); /* NULL: show */
} actions[] = {{"show", NULL}, {"upgrade", upgrade}, {"reset", reset}};

static int act(struct state *s, size_t action, struct error *err)
{
    _cleanup_close_ int lock_fd = -1;
    int r = 0;
    if (actions[action].change)
        r = version_lock(s->fd, s->on_nfs, s->gid, clock_now_ms() + LOCK_WAIT_MS, &lock_fd, err);
    if (r == 0)
        r = read_state(s, err);
    if (r < 0)
        return r;
    return actions[action].change ? actions[action].change(s, lock_fd, err) : show(s);
}

int state_run(const struct command_call *call)
{
    static struct state state;
    struct error err = {0};
    size_t action = 0;
    if (call->n_arguments != 2)
        return command_misuse(call, "it wants show, upgrade or reset, and a directory");
    while (action < ARRAY_LEN(actions) && strcmp(actions[action].name, call->arguments[0]) != 0)
        action++;
    if (action == ARRAY_LEN(actions))
        return command_misuse(call, "\"%.40s\" is none of show, upgrade, reset",
                              call->arguments[0]);
    state.call = call;
    state.fd = -1;
    int r = open_state(&state, call->arguments[1], &err);
    if (r == 0)
        r = act(&state, action, &err);
    if (state.fd >= 0)
        close(state.fd);
    if (r >= 0)
        return r;
    command_say("state", &err);
    return COMMAND_REFUSED;
}
