#include "shim/view.h"

#include <sys/mman.h>

#include "shim/guard.h"
#include "shim/sys.h"

#define APP_SUFFIX ".app"
#define MAP_SUFFIX ".map"

/* Any page size; a mapping is one area of three parts. */
enum { ALIGNMENT = 64 * 1024, RETRY_MS = 1000, FILE_PATH_MAX = VIEW_DIR_MAX + CACHE_NAME_MAX + 32 };

static char cache_dir[VIEW_DIR_MAX + 1]; /* empty: switched off */
static struct shim_view *current;        /* atomic */
static uint64_t retry_ms;                /* atomic */
static uint32_t loads;                   /* atomic */

void view_configure(const char *dir)
{
    size_t n = strlen(dir);
    while (n > 1 && dir[n - 1] == '/')
        n--;
    if (dir[0] != '/' || n > VIEW_DIR_MAX)
        return;
    memcpy(cache_dir, dir, n);
    cache_dir[n] = '\0';
}

const char *view_dir(void)
{
    return cache_dir;
}

static size_t aligned(uint64_t bytes)
{
    return (size_t)((bytes + ALIGNMENT - 1) & ~(uint64_t)(ALIGNMENT - 1));
}

static void *area(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

/* May this caller try now? Only one of those who ask in the same second. */
static bool take_turn(uint64_t *at_ms)
{
    uint64_t now_ms = sys_clock_ms(CLOCK_MONOTONIC_COARSE);
    uint64_t planned = cache_load(at_ms);
    return now_ms >= planned &&
           __atomic_compare_exchange_n(at_ms, &planned, now_ms + RETRY_MS, false, __ATOMIC_RELAXED,
                                       __ATOMIC_RELAXED);
}

static char *append(char *to, const char *text, size_t length)
{
    memcpy(to, text, length);
    return to + length;
}

/* Can nobody but this owner change what is under this name of the cache? In a sticky directory
 * that goes for what he made there. */
static bool is_kept(const char *dir, const char *name, size_t length, uid_t owner)
{
    char path[FILE_PATH_MAX], *end = append(path, cache_dir, strlen(cache_dir));
    struct sys_stat st;
    end = append(end, dir, strlen(dir));
    end = append(end, name, length);
    *end = '\0';
    return sys_statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, &st) == 0 && S_ISDIR(st.mode) &&
           st.uid == owner && (st.mode & (S_IWGRP | S_IWOTH)) == 0;
}

static bool is_kept_as_a_whole(uid_t owner)
{
    struct sys_stat st;
    return sys_statx(AT_FDCWD, cache_dir, 0, &st) == 0 &&
           ((st.mode & (S_IWGRP | S_IWOTH)) == 0 || (st.mode & S_ISVTX) != 0) &&
           is_kept("/" CACHE_CONTROL, "", 0, owner) &&
           is_kept("/" CACHE_VALIDATE_DIR, "", 0, owner);
}

static bool is_mount_kept(const struct shim_mount *mount, uid_t owner)
{
    return is_kept("/", mount->is.name, mount->is.name_length, owner) &&
           is_kept("/" CACHE_VALIDATE_DIR "/", mount->is.name, mount->is.name_length, owner);
}

static int open_control(const char *name, size_t length, const char *suffix, int flags)
{
    char path[FILE_PATH_MAX], *end = append(path, cache_dir, strlen(cache_dir));
    end = append(end, "/" CACHE_CONTROL "/", sizeof("/" CACHE_CONTROL "/") - 1);
    end = append(end, name, length);
    end = append(end, suffix, strlen(suffix));
    *end = '\0';
    return sys_openat(AT_FDCWD, path, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0);
}

/* ---- the list of mounts ---- */

static bool read_mounts(struct shim_view *view)
{
    struct cache_mount_name names[CACHE_MOUNTS_MAX];
    struct sys_stat st;
    int fd = open_control(CACHE_MOUNTS_FILE, sizeof(CACHE_MOUNTS_FILE) - 1, "", O_RDONLY);
    if (fd < 0)
        return false;
    ssize_t length = sys_statx(fd, "", AT_EMPTY_PATH, &st) == 0
                         ? sys_read(fd, view->text, sizeof(view->text))
                         : -1;
    sys_close(fd);
    if (length <= 0 || !is_kept_as_a_whole(st.uid))
        return false;
    view->dev = st.dev;
    view->owner = st.uid;
    view->n = cache_mounts_parse(view->text, (size_t)length, names);
    for (int i = 0; i < view->n; i++)
        view->mounts[i].is = names[i];
    return view->n > 0;
}

static struct shim_view *load_view(struct shim_view *old)
{
    if (cache_load(&loads) >= VIEW_LOADS_MAX)
        return NULL;
    struct shim_view *view = area(sizeof(*view));
    if (!view)
        return NULL;
    if (read_mounts(view) && __atomic_compare_exchange_n(&current, &old, view, false,
                                                         __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
        __atomic_fetch_add(&loads, 1, __ATOMIC_RELAXED);
        return view;
    }
    munmap(view, sizeof(*view));
    view = cache_load_acquire(&current); /* somebody else's, or none */
    return view && cache_load(&view->retired) == 0 ? view : NULL;
}

struct shim_view *view_get(bool at_once)
{
    struct shim_view *view = cache_load_acquire(&current);
    if (view && cache_load(&view->retired) == 0)
        return view;
    if (cache_dir[0] == '\0' || (!at_once && !take_turn(&retry_ms)))
        return NULL;
    return load_view(view);
}

void view_retire(struct shim_view *view)
{
    cache_store(&view->retired, 1);
}

/* Also when the sidecar has gone: its copies are open still. */
bool view_trusts(uint64_t dev, uid_t owner)
{
    const struct shim_view *view = cache_load_acquire(&current);
    if (!view)
        view = view_get(false);
    return view && view->dev == dev && (owner == view->owner || owner == geteuid());
}

/* ---- one mount ---- */

/* Maps the first `bytes` bytes of the file over the area, if it has just as many. */
static bool map_file(int fd, void *at, uint64_t bytes, int protection)
{
    struct sys_stat st;
    if (sys_statx(fd, "", AT_EMPTY_PATH, &st) != 0 || !S_ISREG(st.mode) || st.size_bytes != bytes)
        return false;
    void *mapped = mmap(at, (size_t)bytes, protection, MAP_SHARED | MAP_FIXED, fd, 0);
    return mapped != MAP_FAILED;
}

static bool map_app(const struct shim_mount *mount, void *at, uint32_t slots)
{
    int fd = open_control(mount->is.name, mount->is.name_length, APP_SUFFIX, O_RDWR);
    if (fd < 0)
        return false;
    bool good = map_file(fd, at, cache_app_bytes(slots), PROT_READ | PROT_WRITE);
    sys_close(fd);
    return good && cache_load(&((struct cache_app *)at)->magic) == CACHE_MAP_MAGIC;
}

/* A directory of a larger file system, as on a developer's machine, has the device of its parent.
 * That is asked for by its name: the mount is not touched. */
static bool has_own_device(const struct shim_mount *mount, uint64_t dev)
{
    char parent[CACHE_PATH_MAX + 2];
    struct sys_stat st;
    *append(parent, mount->is.path, mount->is.path_length) = '\0';
    char *slash = strrchr(parent, '/');
    slash[slash == parent] = '\0';
    return sys_statx(AT_FDCWD, parent, AT_STATX_DONT_SYNC, &st) != 0 || st.dev != dev;
}

static struct shim_mapping *map_files(const struct shim_mount *mount, int map_fd,
                                      size_t *ret_map_at, size_t *ret_bytes)
{
    struct cache_map head;
    struct sys_stat st;
    if (sys_statx(map_fd, "", AT_EMPTY_PATH, &st) != 0 ||
        sys_read(map_fd, &head, sizeof(head)) != sizeof(head))
        return NULL;
    const uint32_t slots = cache_map_slots(&head, st.size_bytes);
    if (slots == 0 || head.retired != 0)
        return NULL;
    const size_t map_at = aligned(sizeof(struct shim_mapping));
    const size_t app_at = map_at + aligned(cache_map_bytes(slots));
    const size_t bytes = app_at + aligned(cache_app_bytes(slots));
    char *base = area(bytes);
    if (!base)
        return NULL;
    if (!map_file(map_fd, base + map_at, cache_map_bytes(slots), PROT_READ) ||
        !map_app(mount, base + app_at, slots)) {
        munmap(base, bytes);
        return NULL;
    }
    struct shim_mapping *mapping = (struct shim_mapping *)base;
    *mapping = (struct shim_mapping){.view = {.map = (struct cache_map *)(base + map_at),
                                              .app = (struct cache_app *)(base + app_at),
                                              .slots = slots},
                                     .dev = head.mount_dev,
                                     .inode = head.mount_inode,
                                     .own_device = has_own_device(mount, head.mount_dev)};
    *ret_bytes = bytes;
    *ret_map_at = map_at;
    return mapping;
}

struct shim_mapping *view_map(const struct shim_view *view, struct shim_mount *mount, bool at_once)
{
    struct shim_mapping *mapping = cache_load_acquire(&mount->mapping), *none = NULL;
    size_t map_at = 0, bytes = 0;
    if (mapping || (!at_once && !take_turn(&mount->retry_ms)))
        return mapping;
    if (!is_mount_kept(mount, view->owner))
        return NULL;
    int fd = open_control(mount->is.name, mount->is.name_length, MAP_SUFFIX, O_RDONLY);
    if (fd < 0)
        return NULL;
    mapping = map_files(mount, fd, &map_at, &bytes);
    sys_close(fd);
    if (!mapping)
        return NULL;
    if (!__atomic_compare_exchange_n(&mount->mapping, &none, mapping, false, __ATOMIC_ACQ_REL,
                                     __ATOMIC_ACQUIRE)) {
        munmap(mapping, bytes);
        return none;
    }
    guard_add((char *)mapping, map_at, bytes);
    return mapping;
}

/* Is what lies at this path, in this container, what the sidecar calls so? */
bool view_is_its_mount(const struct shim_mount *mount, struct shim_mapping *mapping)
{
    char path[CACHE_PATH_MAX + 2];
    struct sys_stat st;
    uint32_t verified = cache_load(&mapping->verified);
    if (verified == 0) {
        *append(path, mount->is.path, mount->is.path_length) = '\0';
        if (sys_statx(AT_FDCWD, path, AT_STATX_DONT_SYNC, &st) != 0)
            return false;
        verified = st.dev == mapping->dev && st.inode == mapping->inode ? 1 : 2;
        cache_store(&mapping->verified, verified);
    }
    return verified == 1;
}
