#include "init/probe_child.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdalign.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/host_identity.h"
#include "lib/mountinfo.h"
#include "lib/ofd.h"

enum {
    PAGE_BYTES = 4096,
    PROOF_EVERY_MS = 500,
    SWEEP_ENTRIES_MAX = 4096, /* a directory of millions must not cost the start of a task */
    SWEEP_REMOVE_MAX = 64,
    NAME_BYTES = 80,
};

/* The child's hands. Names are of the probe's own file in dir; made_* tell what is there now. */
struct hands {
    const struct probe_wish *wish;
    struct probe_log *log;
    bool nfs;
    int dir, file, locked; /* file: as an app opens it; locked: O_DIRECT where that is possible */
    char name[NAME_BYTES], link[NAME_BYTES], moved[NAME_BYTES], sub[NAME_BYTES];
    time_t now; /* the server's, from the file just made */
};

/* ---- who and where ---- */

static int take_identity(struct hands *h)
{
    const struct probe_wish *wish = h->wish;
    if (wish->change_ids && (geteuid() != wish->uid || getegid() != wish->gid)) {
        if (setgroups(0, NULL) < 0 || setresgid(wish->gid, wish->gid, wish->gid) < 0 ||
            setresuid(wish->uid, wish->uid, wish->uid) < 0)
            return -errno;
        /* Without this /proc/self belongs to root and tells us nothing. */
        (void)prctl(PR_SET_DUMPABLE, 1);
    }
    h->log->uid = geteuid();
    h->log->gid = getegid();
    h->log->groups = getgroups(0, NULL);
    return 0;
}

static bool in_group(gid_t gid)
{
    gid_t groups[1024];
    int n = getgroups((int)ARRAY_LEN(groups), groups);
    for (int i = 0; i < n; i++)
        if (groups[i] == gid)
            return true;
    return getegid() == gid;
}

static void note_owner(struct probe_log *log, const struct statx *attributes)
{
    log->owner = attributes->stx_uid;
    log->group = attributes->stx_gid;
    log->mode = attributes->stx_mode & 07777;
    log->in_group = in_group(attributes->stx_gid);
}

/* The last part of the path that can be looked at: says where it goes wrong. */
static void note_existing_part(struct hands *h)
{
    struct statx attributes;
    char *path = h->log->path;
    snprintf(path, PATH_MAX, "%s", h->wish->path);
    for (;;) {
        char *slash = strrchr(path, '/');
        if (!slash)
            return;
        slash[slash == path ? 1 : 0] = '\0';
        if (statx(AT_FDCWD, path, 0, STATX_BASIC_STATS, &attributes) == 0) {
            note_owner(h->log, &attributes);
            return;
        }
        if (slash == path)
            return;
    }
}

static int open_directory(struct hands *h)
{
    struct probe_log *log = h->log;
    struct statx attributes;
    char link[64];

    h->dir = open(h->wish->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (h->dir < 0 || statx(h->dir, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_BASIC_STATS,
                            &attributes) < 0) {
        int code = errno;
        note_existing_part(h);
        return -code;
    }
    note_owner(log, &attributes);
    snprintf(link, sizeof(link), "/proc/self/fd/%d", h->dir);
    ssize_t n = readlink(link, log->path, sizeof(log->path) - 1);
    log->path[n < 0 ? 0 : n] = '\0';

    _cleanup_mountinfo_ struct mountinfo *table = NULL;
    struct mount mount;
    int r = mount_id_of_fd(h->dir, &log->mount_id);
    if (r == 0)
        r = mountinfo_read(NULL, &table, NULL);
    if (r == 0)
        r = mountinfo_by_id(table, log->mount_id, &mount);
    h->nfs = r == 0 && mount.nfs; /* the parent will not find the mount either, and says so */
    log->not_nfs = !h->nfs;
    return 0;
}

/* ---- what an app does ---- */

static void fill_page(char *page)
{
    for (int i = 0; i < PAGE_BYTES; i++)
        page[i] = (char)(i * 7 + i / 256);
}

static int create_file(struct hands *h)
{
    struct host_identity host;
    uint64_t random;
    struct stat attributes;
    int r = host_identity_read("", &host, NULL);
    if (r < 0)
        return r;
    if (getrandom(&random, sizeof(random), 0) != sizeof(random))
        return -EIO;
    snprintf(h->name, sizeof(h->name), PROBE_PREFIX "%.*s.%d.%0*lx", PROBE_BOOT_DIGITS,
             host.boot_id, (int)getpid(), PROBE_RANDOM_DIGITS, (unsigned long)random);
    h->file = openat(h->dir, h->name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (h->file < 0)
        return -errno;
    if (fstat(h->file, &attributes) < 0)
        return -errno;
    h->log->made = true;
    h->log->file_owner = attributes.st_uid;
    h->log->file_group = attributes.st_gid;
    return 0;
}

static int write_file(struct hands *h)
{
    char page[PAGE_BYTES];
    fill_page(page);
    ssize_t n = pwrite(h->file, page, sizeof(page), 0);
    return n == PAGE_BYTES ? 0 : n < 0 ? -errno : -EIO;
}

static int sync_file(struct hands *h)
{
    return fsync(h->file) < 0 ? -errno : 0;
}

static int read_back(struct hands *h)
{
    alignas(PAGE_BYTES) char page[PAGE_BYTES];
    char expected[PAGE_BYTES];
    struct stat attributes;
    h->locked = openat(h->dir, h->name, O_RDWR | O_NOFOLLOW | O_CLOEXEC | (h->nfs ? O_DIRECT : 0));
    if (h->locked < 0 || fstat(h->locked, &attributes) < 0)
        return -errno;
    h->now = attributes.st_mtime;
    ssize_t n = pread(h->locked, page, sizeof(page), 0);
    if (n < 0)
        return -errno;
    fill_page(expected);
    return n == PAGE_BYTES && memcmp(page, expected, PAGE_BYTES) == 0 ? 0 : -EBADMSG;
}

static int lock_file(struct hands *h)
{
    int r = ofd_lock(h->locked, F_WRLCK, 0, 0);
    if (r < 0)
        return r;
    /* A lock that another descriptor does not meet is none. */
    r = ofd_query(h->file, F_WRLCK, 0, 0);
    return r == -EAGAIN ? 0 : r < 0 ? r : -ENOLCK;
}

static int prove_lock(struct hands *h)
{
    int64_t sent_ms = clock_now_ms();
    atomic_store(&h->log->step_since_ms, sent_ms);
    int r = ofd_prove(h->locked);
    int64_t took_ms = clock_now_ms() - sent_ms;
    if (took_ms > h->log->longest_proof_ms)
        h->log->longest_proof_ms = took_ms;
    if (r == 0)
        h->log->proofs++;
    return r;
}

static int hold_lock(struct hands *h)
{
    int64_t end_ms = clock_now_ms() + h->wish->hold_ms;
    while (clock_now_ms() < end_ms && !atomic_load(&h->log->cancel)) {
        usleep(PROOF_EVERY_MS * 1000);
        int r = prove_lock(h);
        if (r < 0)
            return r;
    }
    return 0;
}

static const char *with_tail(const struct hands *h, const char *tail, char *name)
{
    snprintf(name, NAME_BYTES, "%.70s%s", h->name, tail);
    return name;
}

static int link_file(struct hands *h)
{
    return linkat(h->dir, h->name, h->dir, with_tail(h, PROBE_TAIL_LINK, h->link), 0) < 0 ? -errno
                                                                                          : 0;
}

static int rename_file(struct hands *h)
{
    const char *moved = with_tail(h, PROBE_TAIL_MOVED, h->moved);
    return renameat(h->dir, h->name, h->dir, moved) < 0 ? -errno : 0;
}

static int make_directory(struct hands *h)
{
    return mkdirat(h->dir, with_tail(h, PROBE_TAIL_DIR, h->sub), 0700) < 0 ? -errno : 0;
}

static int remove_directory(struct hands *h)
{
    return unlinkat(h->dir, h->sub, AT_REMOVEDIR) < 0 ? -errno : 0;
}

/* Closed first: an open file that is unlinked stays on NFS as .nfs... */
static void close_files(struct hands *h)
{
    cleanup_close_p(&h->locked);
    cleanup_close_p(&h->file);
    h->locked = h->file = -1;
}

static int remove_files(struct hands *h)
{
    close_files(h);
    return unlinkat(h->dir, h->link, 0) < 0 || unlinkat(h->dir, h->moved, 0) < 0 ? -errno : 0;
}

/* After a failure nobody knows which of them exist. */
static void remove_all(struct hands *h)
{
    const char *const names[] = {h->link, h->moved, h->name};
    close_files(h);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (names[i][0])
            (void)unlinkat(h->dir, names[i], 0);
    if (h->sub[0])
        (void)unlinkat(h->dir, h->sub, AT_REMOVEDIR);
}

/* ---- looking around ---- */

static int open_listing(const struct hands *h, DIR **ret_list)
{
    _cleanup_close_ int fd = openat(h->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    DIR *list = fdopendir(fd);
    if (!list)
        return -errno;
    (void)take_fd(&fd);
    *ret_list = list;
    return 0;
}

static int list_directory(struct hands *h)
{
    _cleanup_closedir_ DIR *list = NULL;
    int r = open_listing(h, &list);
    if (r < 0)
        return r;
    errno = 0;
    return readdir(list) || errno == 0 ? 0 : -errno;
}

/* Can it be locked, so that no live probe holds it? */
static bool is_free(const struct hands *h, const char *name)
{
    _cleanup_close_ int fd =
        openat(h->dir, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    return fd >= 0 && ofd_lock(fd, F_WRLCK, 0, 0) == 0;
}

static bool remove_leftover(const struct hands *h, const char *name)
{
    struct stat attributes;
    if (fstatat(h->dir, name, &attributes, AT_SYMLINK_NOFOLLOW) < 0 ||
        h->now - attributes.st_mtime < PROBE_LEFTOVER_AGE_S) /* both are times of the server */
        return false;
    if (S_ISDIR(attributes.st_mode))
        return unlinkat(h->dir, name, AT_REMOVEDIR) == 0;
    return S_ISREG(attributes.st_mode) && is_free(h, name) && unlinkat(h->dir, name, 0) == 0;
}

/* Not being able to list or remove is no reason to keep an app from starting. */
static int sweep(struct hands *h)
{
    _cleanup_closedir_ DIR *list = NULL;
    const struct dirent *entry;
    if (open_listing(h, &list) < 0)
        return 0;
    for (int i = 0; i < SWEEP_ENTRIES_MAX && (entry = readdir(list)) != NULL; i++)
        if (probe_is_leftover_name(entry->d_name) && remove_leftover(h, entry->d_name))
            if (++h->log->leftovers == SWEEP_REMOVE_MAX)
                break;
    return 0;
}

/* ---- what the user expects ---- */

static int look_at_markers(struct hands *h)
{
    h->log->wrong_place =
        !content_look_at(h->dir, EXPECT_MARKER, &h->wish->content, &h->log->content);
    return 0;
}

static int make_directories(struct hands *h)
{
    (void)content_look_at(h->dir, EXPECT_CREATE, &h->wish->content, &h->log->content);
    return 0;
}

static int look_at_required(struct hands *h)
{
    (void)content_look_at(h->dir, EXPECT_REQUIRE, &h->wish->content, &h->log->content);
    return 0;
}

static int find_databases(struct hands *h)
{
    content_find_databases(h->dir, &h->log->content);
    return 0;
}

/* ---- the run ---- */

enum { ALWAYS, WRITES, READS };

static const struct {
    int (*run)(struct hands *h);
    int when;
} steps[PROBE_END] = {
    [PROBE_IDENTITY] = {take_identity, ALWAYS},
    [PROBE_OPEN] = {open_directory, ALWAYS},
    [PROBE_MARKER] = {look_at_markers, ALWAYS},
    [PROBE_CREATE] = {create_file, WRITES},
    [PROBE_WRITE] = {write_file, WRITES},
    [PROBE_FSYNC] = {sync_file, WRITES},
    [PROBE_READ] = {read_back, WRITES},
    [PROBE_LOCK] = {lock_file, WRITES},
    [PROBE_PROVE] = {prove_lock, WRITES},
    [PROBE_LINK] = {link_file, WRITES},
    [PROBE_RENAME] = {rename_file, WRITES},
    [PROBE_MKDIR] = {make_directory, WRITES},
    [PROBE_HOLD] = {hold_lock, WRITES},
    [PROBE_RMDIR] = {remove_directory, WRITES},
    [PROBE_REMOVE] = {remove_files, WRITES},
    [PROBE_MAKE] = {make_directories, WRITES},
    [PROBE_LIST] = {list_directory, READS},
    [PROBE_REQUIRE] = {look_at_required, ALWAYS},
    [PROBE_SWEEP] = {sweep, WRITES},
    [PROBE_DATABASES] = {find_databases, ALWAYS},
};

static int run_step(struct hands *h, enum probe_step step)
{
    struct probe_log *log = h->log;
    if (steps[step].when == (h->wish->read_only ? WRITES : READS))
        return 0;
    if (step == PROBE_HOLD && h->wish->hold_ms == 0)
        return 0;
    if (atomic_load(&log->cancel))
        return -ECANCELED;
    atomic_store(&log->step_since_ms, clock_now_ms());
    atomic_store(&log->step, (int)step);
    int64_t start_us = clock_now_us();
    int r = steps[step].run(h);
    if (r == 0)
        log->took_us[step] = clock_now_us() - start_us;
    return r;
}

/* May the steps behind this one be done? */
static bool go_on(const struct hands *h, enum probe_step step, pid_t parent)
{
    switch (step) {
    case PROBE_IDENTITY:
        return child_die_with(parent); /* only now: the kernel forgets it when ids change */
    case PROBE_OPEN:
        return !h->log->not_nfs || h->wish->allow_local;
    case PROBE_MARKER:
        return !h->log->wrong_place;
    default:
        return true;
    }
}

void probe_child_run(const void *wish, void *shared, pid_t parent)
{
    struct probe_log *log = shared;
    struct hands h = {.wish = wish, .log = log, .dir = -1, .file = -1, .locked = -1};

    for (enum probe_step step = 0; step < PROBE_END; step++) {
        int r = run_step(&h, step);
        if (r < 0) {
            log->failed = step;
            log->error = -r;
            remove_all(&h);
            break;
        }
        if (!go_on(&h, step, parent))
            break;
    }
    atomic_store(&log->step, PROBE_END);
}
