/* What one host can find out by itself. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "cli/property.h"
#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/ofd.h"

enum { SLOT_BYTES = 64, PAGE_BYTES = 4096, SAMPLES = 100, MEDIAN = 50, P99 = 99 };

static int open_file(const struct property_scene *scene, const char *name, bool direct)
{
    int fd = openat(scene->dir_fd, name,
                    O_RDWR | O_CREAT | O_CLOEXEC | (direct && scene->on_nfs ? O_DIRECT : 0), 0660);
    return fd < 0 ? -errno : fd;
}

/* ---- locks ---- */

static int lock_conflict(const struct property_scene *scene, struct finding *found)
{
    _cleanup_close_ int first = open_file(scene, "lock", false);
    _cleanup_close_ int second = open_file(scene, "lock", false);
    if (first < 0 || second < 0)
        return first < 0 ? first : second;
    int r = ofd_lock(first, F_WRLCK, 0, SLOT_BYTES);
    if (r < 0)
        return r;
    int refused = ofd_lock(second, F_WRLCK, 0, SLOT_BYTES);
    int other = ofd_lock(second, F_WRLCK, SLOT_BYTES, SLOT_BYTES);
    int asked = ofd_query(second, F_WRLCK, 0, 1);
    ofd_unlock(first, 0, SLOT_BYTES);
    int freed = ofd_lock(second, F_WRLCK, 0, SLOT_BYTES);
    return property_holds(found, refused == -EAGAIN && other == 0 && asked == -EAGAIN && freed == 0,
                          "taken bytes %s, bytes beside them %s, after the release %s",
                          refused == -EAGAIN ? "refused" : "NOT refused",
                          other == 0 ? "granted" : "refused", freed == 0 ? "granted" : "refused");
}

static int lock_survives_close(const struct property_scene *scene, struct finding *found)
{
    _cleanup_close_ int first = open_file(scene, "lock", false);
    _cleanup_close_ int second = open_file(scene, "lock", false);
    if (first < 0 || second < 0)
        return first < 0 ? first : second;
    int r = ofd_lock(first, F_WRLCK, 0, 0);
    if (r < 0)
        return r;
    int other = open_file(scene, "lock", false);
    if (other >= 0)
        close(other);
    return property_holds(found, ofd_query(second, F_WRLCK, 0, 0) == -EAGAIN,
                          "after another descriptor of the file was closed");
}

static int lock_removed(const struct property_scene *scene, struct finding *found)
{
    _cleanup_close_ int fd = open_file(scene, "lock", true);
    struct statx stat;
    if (fd < 0)
        return fd;
    int r = ofd_lock(fd, F_WRLCK, 0, 0);
    if (r == 0 && renameat(scene->dir_fd, "lock", scene->dir_fd, "gone") < 0)
        r = -errno;
    if (r == 0)
        r = ofd_prove(fd);
    if (r < 0)
        return r;
    if (unlinkat(scene->dir_fd, "gone", 0) < 0)
        return -errno;
    r = property_look(fd, "", &stat);
    /* this client keeps an open file under a .nfs name; the removal by another one is --peer's */
    return property_holds(found, r == -ESTALE || (r == 0 && stat.stx_nlink <= 1), "%s",
                          r < 0            ? strerror(-r)
                          : stat.stx_nlink ? "kept as .nfs"
                                           : "no link");
}

static int slot_write(const struct property_scene *scene, struct finding *found)
{
    _cleanup_close_ int fd = open_file(scene, "board", true);
    _cleanup_free_ uint8_t *out = aligned_alloc(PAGE_BYTES, PAGE_BYTES);
    _cleanup_free_ uint8_t *in = aligned_alloc(PAGE_BYTES, PAGE_BYTES);
    if (fd < 0)
        return fd;
    if (!out || !in)
        return -ENOMEM;
    int r = ofd_lock(fd, F_WRLCK, 5 * SLOT_BYTES, SLOT_BYTES);
    if (r < 0)
        return r;
    memset(out, 'x', SLOT_BYTES);
    memset(in, 0, PAGE_BYTES);
    if (pwrite(fd, out, SLOT_BYTES, 5 * SLOT_BYTES) != SLOT_BYTES ||
        pread(fd, in, SLOT_BYTES, 5 * SLOT_BYTES) != SLOT_BYTES)
        return errno ? -errno : -EIO;
    r = ofd_prove(fd);
    return property_holds(found, memcmp(in, out, SLOT_BYTES) == 0 && r == 0,
                          "64 bytes at 320%s, proof: %s", scene->on_nfs ? " with O_DIRECT" : "",
                          r < 0 ? strerror(-r) : "held");
}

/* ---- names ---- */

static int link_exclusive(const struct property_scene *scene, struct finding *found)
{
    struct statx stat;
    int dir = scene->dir_fd, r = property_write(scene, "a", "a");
    if (r == 0)
        r = property_write(scene, "b", "b");
    if (r < 0)
        return r;
    bool refused = linkat(dir, "a", dir, "b", 0) < 0 && errno == EEXIST;
    if (linkat(dir, "a", dir, "c", 0) < 0)
        return -errno;
    r = property_look(dir, "a", &stat);
    if (r < 0)
        return r;
    return property_holds(found, refused && stat.stx_nlink == 2, "over a name: %s; links: %u",
                          refused ? "EEXIST" : "NOT refused", stat.stx_nlink);
}

static int create_exclusive(const struct property_scene *scene, struct finding *found)
{
    int fd = openat(scene->dir_fd, "x", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0660);
    if (fd < 0)
        return -errno;
    close(fd);
    fd = openat(scene->dir_fd, "x", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0660);
    int code = errno;
    if (fd >= 0)
        close(fd);
    return property_holds(found, fd < 0 && code == EEXIST, "the second time: %s",
                          fd < 0 ? strerror(code) : "made again");
}

static int rename_replaces(const struct property_scene *scene, struct finding *found)
{
    char text[8], fresh[8];
    int dir = scene->dir_fd, r = property_write(scene, "new", "new");
    if (r == 0)
        r = property_write(scene, "at", "old");
    if (r < 0)
        return r;
    _cleanup_close_ int open_before = openat(dir, "at", O_RDONLY | O_CLOEXEC);
    if (open_before < 0 || renameat(dir, "new", dir, "at") < 0)
        return -errno;
    ssize_t n = read(open_before, text, sizeof(text));
    r = property_read(scene, "at", fresh, sizeof(fresh));
    if (r < 0)
        return r;
    bool kept = n == 3 && memcmp(text, "old", 3) == 0;
    return property_holds(found, kept && strcmp(fresh, "new") == 0,
                          "an open descriptor reads the %s file, the name the %s one",
                          kept ? "old" : "WRONG", fresh);
}

static int rename_into_removed(const struct property_scene *scene, struct finding *found)
{
    int dir = scene->dir_fd, r = property_write(scene, "item", "x");
    if (r < 0)
        return r;
    if (mkdirat(dir, "claims", 0770) < 0)
        return -errno;
    _cleanup_close_ int claims = openat(dir, "claims", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (claims < 0 || unlinkat(dir, "claims", AT_REMOVEDIR) < 0)
        return -errno;
    bool refused =
        renameat(dir, "item", claims, "item") < 0 && (errno == ENOENT || errno == ESTALE);
    return property_holds(found, refused && faccessat(dir, "item", F_OK, 0) == 0, "%s",
                          refused ? "refused, and the file is where it was" : "NOT refused");
}

static int strange_names(const struct property_scene *scene, struct finding *found)
{
    char longest[256];
    memset(longest, 'n', 255);
    longest[255] = '\0';
    const char *const names[] = {longest, "line\nbreak", "not utf-8 \xff\xfe", " ", "-rf"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        int r = property_write(scene, names[i], "x");
        if (r < 0)
            return property_holds(
                found, false, "the %s one: %s",
                (const char *[]){"longest", "broken", "binary", "blank", "dashed"}[i],
                strerror(-r));
    }
    return property_holds(found, true, "255 bytes, a line break, no UTF-8, a blank, a dash");
}

static int modes(const struct property_scene *scene, struct finding *found)
{
    struct statx dir, file;
    int r;
    if (mkdirat(scene->dir_fd, "d", 0700) < 0 || fchmodat(scene->dir_fd, "d", 02770, 0) < 0)
        return -errno;
    int fd = openat(scene->dir_fd, "d/f", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || fchmod(fd, 0660) < 0 || close(fd) < 0)
        return -errno;
    if ((r = property_look(scene->dir_fd, "d", &dir)) < 0 ||
        (r = property_look(scene->dir_fd, "d/f", &file)) < 0)
        return r;
    return property_holds(found,
                          (dir.stx_mode & 07777) == 02770 && (file.stx_mode & 07777) == 0660 &&
                              file.stx_gid == dir.stx_gid,
                          "directory %04o, file %04o of %s group", dir.stx_mode & 07777,
                          file.stx_mode & 07777, file.stx_gid == dir.stx_gid ? "its" : "ANOTHER");
}

static int open_beneath(const struct property_scene *scene, struct finding *found)
{
    struct open_how how = {.flags = O_RDONLY | O_CLOEXEC, .resolve = RESOLVE_BENEATH};
    int r = property_write(scene, "f", "x");
    if (r < 0 || symlinkat("/etc/hostname", scene->dir_fd, "out") < 0)
        return r < 0 ? r : -errno;
    long inside = syscall(SYS_openat2, scene->dir_fd, "f", &how, sizeof(how));
    if (inside < 0 && errno == ENOSYS)
        return property_measured(found, "this kernel has no openat2: paths are walked instead");
    long outside = syscall(SYS_openat2, scene->dir_fd, "out", &how, sizeof(how));
    bool refused = outside < 0 && errno == EXDEV;
    return property_holds(found, inside >= 0 && refused, "a link out of the mount is %s",
                          refused ? "refused" : "FOLLOWED");
}

/* ---- attributes and time ---- */

static int64_t time_ns(const struct statx_timestamp *time)
{
    return time->tv_sec * 1000000000 + time->tv_nsec;
}

static int directory_moves(const struct property_scene *scene, struct finding *found)
{
    int dir = scene->dir_fd;
    struct statx before, after;
    for (unsigned i = 0; i < 3; i++) {
        int r = property_look(dir, "", &before);
        if (r < 0)
            return r;
        usleep(50 * 1000); /* time stamps of servers have ticks */
        if (i == 0 && (r = property_write(scene, "a", "x")) < 0)
            return r;
        if ((i == 1 && renameat(dir, "a", dir, "b") < 0) || (i == 2 && unlinkat(dir, "b", 0) < 0))
            return -errno;
        r = property_look(dir, "", &after);
        if (r < 0)
            return r;
        if (time_ns(&before.stx_mtime) == time_ns(&after.stx_mtime))
            return property_holds(found, false, "not by %s",
                                  (const char *[]){"create", "rename", "unlink"}[i]);
    }
    return property_holds(found, true, "by create, rename and unlink");
}

static int rewrite_seen(const struct property_scene *scene, struct finding *found)
{
    struct statx before, after;
    int r = property_write(scene, "f", "aaaa");
    if (r < 0 || (r = property_look(scene->dir_fd, "f", &before)) < 0)
        return r;
    nanosleep(&(struct timespec){.tv_sec = 2, .tv_nsec = 100 * 1000 * 1000},
              NULL); /* the cache's wait */
    if ((r = property_write(scene, "f", "bbbb")) < 0 ||
        (r = property_look(scene->dir_fd, "f", &after)) < 0)
        return r;
    int64_t moved_ms = (time_ns(&after.stx_ctime) - time_ns(&before.stx_ctime)) / 1000000;
    return property_holds(found, moved_ms > 0, "ctime moved by %lld ms in 2100 ms",
                          (long long)moved_ms);
}

static int time_tick(const struct property_scene *scene, struct finding *found)
{
    int64_t smallest_ns = INT64_MAX, last_ns = 0;
    unsigned same = 0;
    _cleanup_close_ int fd = open_file(scene, "f", false);
    if (fd < 0)
        return fd;
    for (unsigned i = 0; i < SAMPLES; i++) {
        struct statx stat;
        if (pwrite(fd, "x", 1, 0) != 1 || fsync(fd) < 0)
            return -errno;
        int r = property_look(fd, "", &stat);
        if (r < 0)
            return r;
        int64_t at_ns = time_ns(&stat.stx_ctime);
        same += i > 0 && at_ns == last_ns;
        if (i > 0 && at_ns > last_ns && at_ns - last_ns < smallest_ns)
            smallest_ns = at_ns - last_ns;
        last_ns = at_ns;
    }
    return property_measured(found, "smallest step %.3f ms; %u of %u writes left ctime as it was",
                             smallest_ns == INT64_MAX ? 0.0 : (double)smallest_ns / 1e6, same,
                             SAMPLES - 1);
}

/* ---- cost ---- */

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int get_attributes(const struct property_scene *scene, int fd)
{
    struct statx stat;
    return property_look(fd, "", &stat);
}

static int write_and_sync(const struct property_scene *scene, int fd)
{
    return pwrite(fd, "x", 1, 0) == 1 && fsync(fd) == 0 ? 0 : -errno;
}

static int lock_and_unlock(const struct property_scene *scene, int fd)
{
    int r = ofd_lock(fd, F_WRLCK, 0, 0);
    return r < 0 ? r : ofd_unlock(fd, 0, 0);
}

static int create_and_remove(const struct property_scene *scene, int fd)
{
    int made = openat(scene->dir_fd, "x", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0660);
    if (made < 0)
        return -errno;
    close(made);
    return unlinkat(scene->dir_fd, "x", 0) < 0 ? -errno : 0;
}

static int latency(const struct property_scene *scene, struct finding *found)
{
    static const struct {
        const char *what;
        int (*call)(const struct property_scene *scene, int fd);
    } calls[] = {{"attributes", get_attributes},
                 {"write+fsync", write_and_sync},
                 {"lock+unlock", lock_and_unlock},
                 {"create+unlink", create_and_remove}};
    char text[sizeof(found->observed)] = "";
    _cleanup_close_ int fd = open_file(scene, "f", false);
    if (fd < 0)
        return fd;
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        int64_t took_us[SAMPLES];
        for (unsigned n = 0; n < SAMPLES; n++) {
            int64_t from_us = clock_now_us();
            int r = calls[i].call(scene, fd);
            if (r < 0)
                return r;
            took_us[n] = clock_now_us() - from_us;
        }
        qsort(took_us, SAMPLES, sizeof(took_us[0]), compare);
        size_t length = strlen(text);
        snprintf(text + length, sizeof(text) - length, "%s%s %.2f/%.2f", i ? ", " : "",
                 calls[i].what, (double)took_us[MEDIAN] / 1e3, (double)took_us[P99] / 1e3);
    }
    return property_measured(found, "ms, median/p99: %s", text);
}

/* lib/mountstats knows more, but needs libmount, which efsctl-static goes without. */
static int lease(const struct property_scene *scene, struct finding *found)
{
    char *line = NULL, at[4096];
    size_t size = 0, longest = 0;
    bool ours = false;
    long lease_s = -1;
    _cleanup_free_ char *full = realpath(scene->path, NULL);
    FILE *file = fopen("/proc/self/mountstats", "re");
    while (full && file && getline(&line, &size, file) >= 0) {
        const char *told = strstr(line, "lease_time=");
        if (sscanf(line, "device %*s mounted on %4095s with fstype", at) == 1) {
            size_t length = strlen(at);
            ours = strncmp(full, at, length) == 0 && length >= longest &&
                   (!full[length] || full[length] == '/');
            if (ours)
                longest = length;
        } else if (ours && told) {
            lease_s = strtol(told + strlen("lease_time="), NULL, 10);
        }
    }
    free(line);
    if (file)
        fclose(file);
    if (lease_s < 0)
        return property_measured(found, "not NFS, or this kernel does not tell");
    return property_measured(found, "%ld s", lease_s);
}

const struct property properties_alone[] = {
    {"lock-conflict", "a lock keeps others off its bytes, and goes with its release",
     lock_conflict},
    {"lock-close", "a lock outlives the closing of another descriptor", lock_survives_close},
    {"lock-removed", "a locked file that lost its name is told by its links", lock_removed},
    {"slot-write", "64 bytes are written and proven through the locked descriptor", slot_write},
    {"link-exclusive", "link() replaces nothing, and links are counted", link_exclusive},
    {"create-exclusive", "O_EXCL makes a file once", create_exclusive},
    {"rename-replaces", "rename() replaces whole; open files stay", rename_replaces},
    {"rename-removed", "nothing is moved into a directory that was removed", rename_into_removed},
    {"names", "any name of up to 255 bytes", strange_names},
    {"modes", "set-group-id directories and modes are as they were set", modes},
    {"open-beneath", "paths can be kept below the mount", open_beneath},
    {"directory-moves", "a directory's time moves with its entries", directory_moves},
    {"rewrite-seen", "a rewrite of the same size is seen two seconds later", rewrite_seen},
    {"time-tick", "how fine the server's time stamps are", time_tick},
    {"latency", "how long calls take", latency},
    {"lease", "how long the server keeps locks of a silent client", lease},
    {NULL, NULL, NULL},
};
