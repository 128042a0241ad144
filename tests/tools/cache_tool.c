/*
 * A cache as the sidecar fills it, without a sidecar: for tests of libefscache.so.
 *
 *     cache_tool CACHE NAME MOUNT init [SLOTS]
 *     cache_tool CACHE NAME MOUNT fill immutable|validate|bounded:MS PATH...   PATH below MOUNT
 *     cache_tool CACHE NAME MOUNT drop PATH...
 *     cache_tool CACHE NAME MOUNT caught-up           what is marked as a whole is good again
 *     cache_tool CACHE NAME MOUNT retire
 *     cache_tool CACHE NAME MOUNT misses              the paths in the ring
 *     cache_tool CACHE NAME MOUNT mark PATH           the mark, and that of the whole mount
 *     cache_tool CACHE NAME MOUNT counts
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/fs.h"
#include "shim/cache_origin.h"
#include "shim/cache_writer.h"

enum { SLOTS = 4096, PATH_ROOM = 2048, BAD_USAGE = 64 };

struct tool {
    const char *dir, *name, *mount;
    int control_fd;
    struct cache_map *map;
    struct cache_app *app;
};

static void *map_control(const struct tool *tool, const char *suffix)
{
    char name[PATH_ROOM];
    struct stat st;
    snprintf(name, sizeof(name), "%s%s", tool->name, suffix);
    _cleanup_close_ int fd = openat(tool->control_fd, name, O_RDWR | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        err(1, "%s", name);
    void *p = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED)
        err(1, "%s", name);
    return p;
}

static void copy_path(const struct tool *tool, enum cache_mode mode, const char *path,
                      char buf[PATH_ROOM])
{
    snprintf(buf, PATH_ROOM, "%s%s/%s/%s", tool->dir,
             mode == CACHE_VALIDATE ? "/" CACHE_VALIDATE_DIR : "", tool->name, path);
}

static void make_parents(char *path)
{
    for (char *slash = path; (slash = strchr(slash + 1, '/')) != NULL; *slash = '/') {
        *slash = '\0';
        if (mkdir(path, 0755) < 0 && errno != EEXIST)
            err(1, "%s", path);
    }
}

static int64_t in_ns(struct timespec t)
{
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static void make_copy(const char *from, char *to, struct stat *ret_st)
{
    make_parents(to);
    (void)unlink(to);
    _cleanup_close_ int in = open(from, O_RDONLY | O_CLOEXEC);
    _cleanup_close_ int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (in < 0 || out < 0 || fstat(in, ret_st) < 0)
        err(1, "%s to %s", from, to);
    for (off_t done = 0; done < ret_st->st_size;)
        if (sendfile(out, in, &done, (size_t)(ret_st->st_size - done)) <= 0)
            err(1, "%s to %s", from, to);
    cache_origin_keep(out, &(struct cache_origin){.dev = ret_st->st_dev,
                                                  .inode = ret_st->st_ino,
                                                  .ctime_ns = in_ns(ret_st->st_ctim),
                                                  .mode = ret_st->st_mode,
                                                  .links = (uint32_t)ret_st->st_nlink,
                                                  .uid = ret_st->st_uid,
                                                  .gid = ret_st->st_gid});
    if (futimens(out, (struct timespec[]){ret_st->st_atim, ret_st->st_mtim}) < 0 ||
        fchmod(out, 0444) < 0)
        err(1, "%s", to);
}

static void fill(struct tool *tool, const char *how, const char *path)
{
    char source[PATH_ROOM], copy[PATH_ROOM];
    struct stat st;
    struct cache_values values = {.hash = cache_hash(path, strlen(path)),
                                  .fresh_until_ms = CACHE_FOREVER};
    values.mark = *cache_mark_of(tool->app, values.hash);
    if (strcmp(how, "immutable") == 0)
        values.mode = CACHE_IMMUTABLE;
    else if (strcmp(how, "validate") == 0)
        values.mode = CACHE_VALIDATE;
    else if (strncmp(how, "bounded:", 8) == 0)
        values.mode = CACHE_BOUNDED;
    else
        errx(BAD_USAGE, "%s?", how);
    if (values.mode == CACHE_BOUNDED)
        values.fresh_until_ms = (uint64_t)clock_now_ms() + strtoull(how + 8, NULL, 10);
    snprintf(source, sizeof(source), "%s/%s", tool->mount, path);
    copy_path(tool, values.mode, path, copy);
    int slot = cache_slot_find(tool->map, tool->map->slots, values.hash);
    if (slot < 0)
        errx(1, "%s: no slot", path);
    cache_slot_drop(tool->map, (uint32_t)slot);
    make_copy(source, copy, &st);
    values.inode = st.st_ino;
    values.size_bytes = (uint64_t)st.st_size;
    values.mtime_ns = in_ns(st.st_mtim);
    values.ctime_ns = in_ns(st.st_ctim);
    cache_slot_put(tool->map, (uint32_t)slot, &values);
}

static void drop(struct tool *tool, const char *path)
{
    char copy[PATH_ROOM];
    uint64_t hash = cache_hash(path, strlen(path));
    int slot = cache_slot_find(tool->map, tool->map->slots, hash);
    if (slot < 0 || tool->map->entries[slot].hash != hash)
        errx(1, "%s is not cached", path);
    copy_path(tool, (enum cache_mode)tool->map->entries[slot].mode, path, copy);
    cache_slot_drop(tool->map, (uint32_t)slot);
    if (unlink(copy) < 0)
        err(1, "%s", copy);
}

static void init(struct tool *tool, uint32_t slots)
{
    struct stat st;
    char path[PATH_ROOM];
    if (stat(tool->mount, &st) < 0)
        err(1, "%s", tool->mount);
    copy_path(tool, CACHE_IMMUTABLE, "", path);
    make_parents(path);
    copy_path(tool, CACHE_VALIDATE, "", path);
    make_parents(path);
    int r = cache_files_create(tool->control_fd, tool->name, slots, (uint64_t)clock_wall_ms(),
                               st.st_dev, st.st_ino, &tool->map);
    if (r == 0)
        r = cache_mounts_write(tool->control_fd, &tool->name, &tool->mount, 1);
    if (r < 0)
        errx(1, "%s: %s", tool->dir, strerror(-r));
}

static void print_misses(const struct tool *tool)
{
    uint32_t next = tool->app->ring_next;
    for (uint32_t i = next < CACHE_RING ? 0 : next - CACHE_RING; i < next; i++) {
        struct cache_miss miss = tool->app->ring[i % CACHE_RING];
        if (cache_miss_valid(&miss, i))
            printf("%.*s\n", (int)miss.length, miss.path);
    }
}

static void command(struct tool *tool, char **words)
{
    const char *verb = *words++, *how = NULL;
    if (strcmp(verb, "init") == 0) {
        init(tool, *words ? (uint32_t)strtoul(*words, NULL, 10) : SLOTS);
        return;
    }
    tool->map = map_control(tool, ".map");
    tool->app = map_control(tool, ".app");
    if (strcmp(verb, "fill") == 0)
        for (how = *words++; how && *words; words++)
            fill(tool, how, *words);
    else if (strcmp(verb, "drop") == 0)
        for (; *words; words++)
            drop(tool, *words);
    else if (strcmp(verb, "caught-up") == 0)
        tool->map->all_mark = tool->app->all;
    else if (strcmp(verb, "retire") == 0)
        tool->map->retired = 1;
    else if (strcmp(verb, "misses") == 0)
        print_misses(tool);
    else if (strcmp(verb, "mark") == 0 && *words)
        printf("%u %u\n", *cache_mark_of(tool->app, cache_hash(*words, strlen(*words))),
               tool->app->all);
    else if (strcmp(verb, "counts") == 0)
        for (int i = 0; i < CACHE_COUNTS; i++)
            printf("%s=%llu\n", cache_count_name((enum cache_count)i),
                   (unsigned long long)cache_counted(tool->app->counters, (enum cache_count)i));
    else
        errx(BAD_USAGE, "%s?", verb);
}

int main(int argc, char **argv)
{
    char control[PATH_ROOM];
    if (argc < 5)
        errx(BAD_USAGE, "usage: cache_tool CACHE NAME MOUNT VERB ...");
    struct tool tool = {.dir = argv[1], .name = argv[2], .mount = argv[3]};
    snprintf(control, sizeof(control), "%s/" CACHE_CONTROL "/x", tool.dir);
    make_parents(control);
    *strrchr(control, '/') = '\0';
    tool.control_fd = open(control, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (tool.control_fd < 0)
        err(1, "%s", control);
    command(&tool, argv + 4);
    return 0;
}
