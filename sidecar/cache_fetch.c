#include "sidecar/cache_fetch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/fs.h"
#include "lib/share/change.h"
#include "lib/test_hook.h"
#include "sidecar/cache_record.h"

enum { CHUNK_BYTES = 1024 * 1024, NS_PER_S = 1000000000 };

bool cache_identity_equal(const struct cache_identity *a, const struct cache_identity *b)
{
    return a->inode == b->inode && a->size == b->size && a->mtime_ns == b->mtime_ns &&
           a->ctime_ns == b->ctime_ns;
}

const char *const cache_failure_names[] = {
    [CACHE_FAILED_CHANGED] = "changed", [CACHE_FAILED_GONE] = "gone",
    [CACHE_FAILED_RIGHTS] = "rights",   [CACHE_FAILED_TOO_LARGE] = "too_large",
    [CACHE_FAILED_NO_ROOM] = "no_room", [CACHE_FAILED_ERROR] = "error",
};

enum cache_failure cache_failure_of(int result)
{
    switch (-result) {
    case ESTALE:
    case ECANCELED:
        return CACHE_FAILED_CHANGED;
    case ENOENT:
    case ENOTDIR:
    case ELOOP:
    case EMEDIUMTYPE:
    case EXDEV:
        return CACHE_FAILED_GONE;
    case EACCES:
    case EPERM:
        return CACHE_FAILED_RIGHTS;
    case EFBIG:
        return CACHE_FAILED_TOO_LARGE;
    case ENOSPC:
    case EDQUOT:
        return CACHE_FAILED_NO_ROOM;
    default:
        return CACHE_FAILED_ERROR;
    }
}

int cache_fetch_root(const char *mount_path, struct cache_root *ret_root)
{
    struct stat now;
    if (stat(mount_path, &now) < 0)
        return -errno;
    *ret_root = (struct cache_root){.device = now.st_dev, .inode = now.st_ino};
    return 0;
}

/* ---- the way to the file ---- */

static int open_root(const struct cache_source *source, struct cache_rights *rights, int *ret_fd)
{
    struct stat now;
    _cleanup_close_ int fd = open(source->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &now) < 0)
        return -errno;
    if (now.st_dev != source->root.device || now.st_ino != source->root.inode)
        return -EXDEV;
    int r = cache_rights_add(rights, now.st_mode, now.st_uid, now.st_gid, true);
    if (r == 0)
        *ret_fd = take_fd(&fd);
    return r;
}

static int enter(const struct cache_source *source, const char *name, struct cache_rights *rights,
                 int *fd)
{
    struct stat now;
    _cleanup_close_ int next_fd = -1;
    int r = fs_open_beneath(*fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0, &next_fd);
    if (r < 0)
        return r;
    if (fstat(next_fd, &now) < 0)
        return -errno;
    if (now.st_dev != source->root.device)
        return -EXDEV;
    close(*fd);
    *fd = take_fd(&next_fd);
    return cache_rights_add(rights, now.st_mode, now.st_uid, now.st_gid, true);
}

/* The directory of path, as the server has it now, and the last component. */
static int open_parent(const struct cache_source *source, const char *path,
                       struct cache_rights *rights, int *ret_fd, const char **ret_name)
{
    struct statx synced;
    _cleanup_close_ int fd = -1;
    cache_rights_init(rights, &source->as);
    int r = fs_check_relative(path);
    if (r == 0)
        r = open_root(source, rights, &fd);
    for (const char *end; r == 0 && (end = strchr(path, '/')); path = end + 1) {
        char name[NAME_MAX + 1];
        *(char *)mempcpy(name, path, (size_t)(end - path)) = '\0';
        r = enter(source, name, rights, &fd);
    }
    if (r == 0 &&
        statx(fd, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &synced) < 0)
        r = -errno;
    if (r < 0)
        return r;
    *ret_fd = take_fd(&fd);
    *ret_name = path;
    return 0;
}

static struct cache_origin origin_of(const struct statx *now, uint64_t place)
{
    return (struct cache_origin){
        .place = place,
        .dev = makedev(now->stx_dev_major, now->stx_dev_minor),
        .inode = now->stx_ino,
        .ctime_ns = change_time_ns(&now->stx_ctime),
        .mode = now->stx_mode,
        .links = now->stx_nlink,
        .uid = now->stx_uid,
        .gid = now->stx_gid,
    };
}

static int ask(int dir_fd, const char *name, int flags, const struct cache_source *source,
               struct cache_sight *sight)
{
    struct statx now;
    sight->sent_ms = clock_now_ms();
    if (statx(dir_fd, name, flags | AT_SYMLINK_NOFOLLOW | AT_STATX_FORCE_SYNC, STATX_BASIC_STATS,
              &now) < 0)
        return -errno;
    if (makedev(now.stx_dev_major, now.stx_dev_minor) != source->root.device)
        return -EXDEV;
    if (!S_ISREG(now.stx_mode))
        return -EMEDIUMTYPE;
    sight->identity = (struct cache_identity){
        .inode = now.stx_ino,
        .size = now.stx_size,
        .mtime_ns = change_time_ns(&now.stx_mtime),
        .ctime_ns = change_time_ns(&now.stx_ctime),
    };
    sight->origin = origin_of(&now, sight->origin.place);
    return cache_rights_add(&sight->rights, now.stx_mode, now.stx_uid, now.stx_gid, false);
}

int cache_fetch_look(const struct cache_source *source, const char *path,
                     struct cache_sight *ret_sight)
{
    _cleanup_close_ int dir_fd = -1;
    struct cache_sight sight = {0};
    const char *name;
    int r = open_parent(source, path, &sight.rights, &dir_fd, &name);
    if (r == 0)
        r = ask(dir_fd, name, 0, source, &sight);
    if (r == 0)
        *ret_sight = sight;
    return r;
}

/* ---- the copy ---- */

static int copy_chunks(int from, int to, uint64_t size, char *buffer, size_t buffer_bytes,
                       const atomic_bool *stop)
{
    for (uint64_t done = 0; done < size;) {
        if (atomic_load(stop))
            return -ECANCELED;
        ssize_t n = pread(from, buffer, buffer_bytes, (off_t)done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -ESTALE; /* it is shorter now */
        if ((uint64_t)n > size - done)
            return -ESTALE;
        int r = fs_write_all(to, buffer, (size_t)n);
        if (r < 0)
            return r;
        done += (uint64_t)n;
        test_hook_step("fill", 3);
    }
    return 0;
}

static int copy_content(int from, int to, uint64_t size, const atomic_bool *stop)
{
    size_t buffer_bytes = size < CHUNK_BYTES ? (size_t)(size | 4095) + 1 : CHUNK_BYTES;
    char *buffer =
        mmap(NULL, buffer_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (buffer == MAP_FAILED)
        return -errno;
    /* All blocks at once: that there is no room is known before anything is read. */
    int r = size > 0 && fallocate(to, 0, 0, (off_t)size) < 0 && errno != EOPNOTSUPP ? -errno : 0;
    if (r == 0)
        r = copy_chunks(from, to, size, buffer, buffer_bytes, stop);
    munmap(buffer, buffer_bytes);
    return r;
}

static int give_rights(int fd, const struct cache_rights *rights)
{
    mode_t mode;
    uid_t uid;
    gid_t gid;
    cache_rights_give(rights, &mode, &uid, &gid);
    bool ours = uid == (uid_t)-1 || uid == geteuid();
    if ((!ours || gid != (gid_t)-1) && fchown(fd, ours ? (uid_t)-1 : uid, gid) < 0)
        return errno == EPERM ? -EACCES : -errno;
    return fchmod(fd, mode) < 0 ? -errno : 0;
}

/* What a server of web pages tells its clients (Last-Modified, ETag) is the same in all tasks. */
static int give_mtime(int fd, int64_t mtime_ns)
{
    int64_t s = mtime_ns / NS_PER_S, ns = mtime_ns % NS_PER_S;
    if (ns < 0) { /* before 1970 */
        s--;
        ns += NS_PER_S;
    }
    const struct timespec times[] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = s, .tv_nsec = ns}};
    return futimens(fd, times) < 0 ? -errno : 0;
}

/* The file that is open is the one that was expected, before, and still has the name, after. */
static int copy_checked(const struct cache_source *source, int parent_fd, const char *name,
                        const struct cache_identity *expected, int to, const atomic_bool *stop,
                        struct cache_sight *sight)
{
    struct cache_rights on_the_way = sight->rights;
    _cleanup_close_ int from = -1;
    int r = fs_open_beneath(parent_fd, name, O_RDONLY | O_NOFOLLOW | (source->nfs ? O_DIRECT : 0),
                            0, &from);
    if (r < 0)
        return r;
    r = ask(from, "", AT_EMPTY_PATH, source, sight);
    if (r == 0 && !cache_identity_equal(&sight->identity, expected))
        r = -ESTALE;
    if (r == 0)
        r = copy_content(from, to, expected->size, stop);
    test_hook_step("fill", 4);
    sight->rights = on_the_way;
    if (r == 0)
        r = ask(parent_fd, name, 0, source, sight);
    if (r == 0 && !cache_identity_equal(&sight->identity, expected))
        r = -ESTALE;
    test_hook_step("fill", 5);
    return r;
}

static int fill(const struct cache_source *source, int parent_fd, const char *name,
                const struct cache_identity *expected, int to, const atomic_bool *stop,
                struct cache_sight *sight)
{
    int r = copy_checked(source, parent_fd, name, expected, to, stop, sight);
    if (r == 0)
        cache_origin_keep(to, &sight->origin); /* while we may write to it */
    if (r == 0)
        r = give_rights(to, &sight->rights);
    if (r == 0)
        r = give_mtime(to, expected->mtime_ns);
    if (r == 0 && fsync(to) < 0)
        r = -errno;
    test_hook_step("fill", 6);
    return r;
}

int cache_fetch_copy(const struct cache_source *source, const char *path,
                     const struct cache_identity *expected, int dir_fd, const char *name,
                     const atomic_bool *stop, struct cache_sight *ret_sight)
{
    _cleanup_close_ int parent_fd = -1;
    struct cache_sight sight = {
        .origin.place = cache_record_place(source, path, expected->size, expected->mtime_ns)};
    const char *source_name;
    test_hook_step("fill", 1);
    int r = open_parent(source, path, &sight.rights, &parent_fd, &source_name);
    if (r < 0)
        return r;
    _cleanup_close_ int to = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (to < 0)
        return -errno;
    test_hook_step("fill", 2);
    r = fill(source, parent_fd, source_name, expected, to, stop, &sight);
    if (r < 0)
        unlinkat(dir_fd, name, 0);
    else
        *ret_sight = sight;
    return r;
}

/* ---- a directory ---- */

/* As the server has it now. */
static int open_dir(const struct cache_source *source, const char *path, int *ret_fd)
{
    struct cache_rights rights;
    struct statx synced;
    const char *name;
    _cleanup_close_ int fd = -1;
    cache_rights_init(&rights, &source->as);
    int r =
        *path ? open_parent(source, path, &rights, &fd, &name) : open_root(source, &rights, &fd);
    if (r == 0 && *path)
        r = enter(source, name, &rights, &fd);
    if (r < 0)
        return r;
    if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &synced) < 0)
        return -errno;
    int opened = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (opened < 0)
        return -errno;
    *ret_fd = opened;
    return 0;
}

/* 'f' or 'd'; '\0': nothing that is copied. */
static char kind_of(int dir_fd, const struct dirent *entry)
{
    struct stat now;
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
        return '\0';
    if (entry->d_type == DT_REG || entry->d_type == DT_DIR)
        return entry->d_type == DT_REG ? 'f' : 'd';
    if (entry->d_type != DT_UNKNOWN ||
        fstatat(dir_fd, entry->d_name, &now, AT_SYMLINK_NOFOLLOW) < 0)
        return '\0';
    if (S_ISREG(now.st_mode))
        return 'f';
    return S_ISDIR(now.st_mode) ? 'd' : '\0';
}

static int list_names(DIR *dir, FILE *names)
{
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(dir);
        if (!entry)
            return -errno;
        char kind = kind_of(dirfd(dir), entry);
        if (!kind)
            continue;
        if (ftello(names) > CACHE_LIST_MAX)
            return -E2BIG;
        fputc(kind, names);
        fwrite(entry->d_name, 1, strlen(entry->d_name) + 1, names);
    }
}

int cache_fetch_list(const struct cache_source *source, const char *path, char **ret_names,
                     size_t *ret_bytes)
{
    char *text = NULL;
    size_t bytes = 0;
    int fd = -1;
    int r = open_dir(source, path, &fd);
    _cleanup_closedir_ DIR *dir = r < 0 ? NULL : fdopendir(fd);
    FILE *names = dir ? open_memstream(&text, &bytes) : NULL;
    if (r == 0 && !dir)
        close(fd);
    if (!names)
        return r < 0 ? r : -ENOMEM;
    r = list_names(dir, names);
    if (fclose(names) != 0 && r == 0)
        r = -ENOMEM;
    if (r < 0) {
        free(text);
        return r;
    }
    *ret_names = text;
    *ret_bytes = bytes;
    return 0;
}
