/* What the programs and the libraries of one task say to each other, which may be of two releases:
 * formats_fixture.h says by which rules. */
#include "tests/unit/formats_fixture.h"

#include <errno.h>
#include <sys/mman.h>

#include "lib/frame.h"
#include "lib/share/journal.h"
#include "lib/share/watch_frames.h"
#include "shim/cache_writer.h"

/* ---- efs-watch and the sidecar ---- */

static size_t add_frame(size_t at, uint16_t type, const void *payload, int n)
{
    assert_true(n >= 0);
    return at + (size_t)frame_encode(type, payload, (size_t)n, made + at);
}

static size_t write_frames(void)
{
    static uint8_t buffer[WATCH_ANNOUNCE_MAX + WATCH_NOTICE_MAX];
    const size_t size = sizeof(buffer);
    const struct watch_status status = {
        .directories = 1,
        .scanning = 2,
        .blind = 3,
        .pending = 4,
        .events = 5,
        .changes = 6,
        .overflows = 7,
        .resyncs = 8,
        .feed = {9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19},
        .scan = {WATCH_SCAN_RUNNING, 21, 22, 23},
        .listed = 1,
        .blinds = {{.code = ENOSPC, .path = "a/b"}},
    };
    size_t at =
        add_frame(0, WATCH_FRAME_HELLO, buffer,
                  watch_hello_encode(&(struct watch_hello){WATCH_FRAMES_VERSION, 5}, buffer, size));
    for (size_t i = 0; i < ARRAY_LEN(changes); i++)
        at = add_frame(at, WATCH_FRAME_CHANGE, buffer, change_encode(&changes[i], buffer, size));
    at = add_frame(at, WATCH_FRAME_READY, buffer, watch_status_encode(&status, buffer, size));
    at = add_frame(at, WATCH_FRAME_STATUS, buffer, watch_status_encode(&status, buffer, size));
    at = add_frame(at, WATCH_FRAME_PONG, buffer,
                   watch_pong_encode(&(struct watch_pong){24, 25}, buffer, size));
    at = add_frame(
        at, WATCH_FRAME_ANNOUNCED, buffer,
        watch_announced_encode(&(struct watch_announced){26, -ENOBUFS, 27}, buffer, size));
    at = add_frame(
        at, WATCH_FRAME_NOTICE, buffer,
        watch_notice_encode(&(struct watch_notice){28, 29, "web-1", 3, (const uint8_t *)"abc"},
                            buffer, size));
    put_le32(put_le64(buffer, 30), 2);
    at = add_frame(at, WATCH_FRAME_PING, buffer, WATCH_PING_BYTES);
    at = add_frame(at, WATCH_FRAME_STOP, buffer, 0);
    return add_frame(
        at, WATCH_FRAME_ANNOUNCE, buffer,
        watch_announce_encode(
            &(struct watch_announce){31, JOURNAL_NOTICE, 3, (const uint8_t *)"abc"}, buffer, size));
}

static void test_frames(void **state)
{
    struct watch_hello hello = {0};
    size_t length = same_as_ever("frames", WATCH_FRAMES_VERSION, made, write_frames(), golden);
    assert_true(length > FRAME_HEADER_BYTES + WATCH_HELLO_BYTES);
    assert_int_equal(watch_hello_decode(golden + FRAME_HEADER_BYTES, WATCH_HELLO_BYTES, &hello), 0);
    assert_int_equal(hello.version, WATCH_FRAMES_VERSION);
}

/* ---- the cache, between the sidecar and libefscache.so ---- */

#define FIELD(type, field)                                                                         \
    p += snprintf((char *)made + p, sizeof(made) - p, "%s.%s %zu\n", #type, #field,                \
                  offsetof(struct type, field))
#define NUMBER(name)                                                                               \
    p += snprintf((char *)made + p, sizeof(made) - p, "%s %lld\n", #name, (long long)(name))

/* Where everything lies, and what it means, as text: most of the files is empty room. */
static size_t describe_cache(void)
{
    static const char *const paths[] = {"a", "12345678", "in/a.jpg", "a/long/path/of/36/bytes"};
    size_t p = (size_t)snprintf((char *)made, sizeof(made), "%s", CACHE_MOUNTS_HEAD);
    NUMBER(sizeof(struct cache_map));
    FIELD(cache_map, magic);
    FIELD(cache_map, size_bytes);
    FIELD(cache_map, serial);
    FIELD(cache_map, mount_dev);
    FIELD(cache_map, mount_inode);
    FIELD(cache_map, slots);
    FIELD(cache_map, retired);
    FIELD(cache_map, all_mark);
    FIELD(cache_map, entries);
    NUMBER(sizeof(struct cache_slot));
    FIELD(cache_slot, sequence);
    FIELD(cache_slot, mode);
    FIELD(cache_slot, hash);
    FIELD(cache_slot, inode);
    FIELD(cache_slot, size_bytes);
    FIELD(cache_slot, mtime_ns);
    FIELD(cache_slot, ctime_ns);
    FIELD(cache_slot, fresh_until_ms);
    FIELD(cache_slot, mark);
    NUMBER(sizeof(struct cache_app));
    FIELD(cache_app, magic);
    FIELD(cache_app, all);
    FIELD(cache_app, ring_next);
    FIELD(cache_app, counters);
    FIELD(cache_app, marks);
    FIELD(cache_app, ring);
    FIELD(cache_app, visited);
    NUMBER(sizeof(struct cache_counters));
    NUMBER(sizeof(struct cache_miss));
    FIELD(cache_miss, stamp);
    FIELD(cache_miss, length);
    FIELD(cache_miss, hash);
    FIELD(cache_miss, path);
    NUMBER(CACHE_OFF);
    NUMBER(CACHE_IMMUTABLE);
    NUMBER(CACHE_VALIDATE);
    NUMBER(CACHE_BOUNDED);
    NUMBER(CACHE_PROBES);
    NUMBER(CACHE_MARKS);
    NUMBER(CACHE_RING);
    NUMBER(CACHE_SHARDS);
    NUMBER(CACHE_COUNTS_ROOM);
    NUMBER(CACHE_PATH_MAX);
    for (size_t i = 0; i < ARRAY_LEN(paths); i++)
        p += (size_t)snprintf((char *)made + p, sizeof(made) - p, "hash %s %016llx\n", paths[i],
                              (unsigned long long)cache_hash(paths[i], strlen(paths[i])));
    for (int i = 0; i < 9; i++) /* more may follow: an older library does not count them */
        p += (size_t)snprintf((char *)made + p, sizeof(made) - p, "count %d %s\n", i,
                              cache_count_name((enum cache_count)i));
    return p;
}

static void test_cache(void **state)
{
    static const char *const names[] = {"data.map", "data.app", NULL};
    enum { SLOTS = CACHE_SLOTS_MIN, VERSION = CACHE_MAP_MAGIC & 0xff };
    static const char path_in_cache[] = "in/a.jpg";
    const uint64_t hash = cache_hash(path_in_cache, strlen(path_in_cache));
    struct cache_map *map = NULL;
    char path[32];
    same_as_ever("cache-layout", VERSION, made, describe_cache(), golden);

    _cleanup_close_ int fd = make_dir(path);
    if (cache_files_create(fd, "data", SLOTS, 7, 0x2a, 2, &map) < 0 || !map) {
        fail();
        return;
    }
    int slot = cache_slot_find(map, SLOTS, hash);
    assert_true(slot >= 0);
    cache_slot_put(map, (uint32_t)slot,
                   &(struct cache_values){.mode = CACHE_BOUNDED,
                                          .hash = hash,
                                          .inode = 11,
                                          .size_bytes = 12,
                                          .mtime_ns = 13,
                                          .ctime_ns = 14,
                                          .fresh_until_ms = 15,
                                          .mark = 16});
    same_as_ever("cache-map", VERSION, map, cache_map_bytes(SLOTS), golden);
    munmap(map, cache_map_bytes(SLOTS));
    remove_dir(path, fd, names);

    struct cache_look look = {0};
    const struct cache_map *old = (const struct cache_map *)(const void *)golden;
    assert_int_equal(cache_map_slots(old, cache_map_bytes(SLOTS)), SLOTS);
    assert_true(cache_slot_get(&old->entries[slot], hash, &look));
    assert_int_equal(look.mode, CACHE_BOUNDED);
    assert_true(look.inode == 11 && look.size_bytes == 12 && look.mtime_ns == 13 &&
                look.ctime_ns == 14 && look.fresh_until_ms == 15);
}

/* A map of another version is no map: the library leaves every file to EFS. */
static void test_other_cache_is_not_used(void **state)
{
    struct cache_map map = {.magic = CACHE_MAP_MAGIC + 1,
                            .slots = CACHE_SLOTS_MIN,
                            .size_bytes = cache_map_bytes(CACHE_SLOTS_MIN)};
    static const char text[] = "efs-cache 2\ndata /mnt/data\n";
    struct cache_mount_name mounts[CACHE_MOUNTS_MAX];
    assert_int_equal(cache_map_slots(&map, map.size_bytes), 0);
    map.magic = CACHE_MAP_MAGIC;
    assert_int_equal(cache_map_slots(&map, map.size_bytes), CACHE_SLOTS_MIN);
    assert_int_equal(cache_mounts_parse(text, strlen(text), mounts), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frames),
        cmocka_unit_test(test_cache),
        cmocka_unit_test(test_other_cache_is_not_used),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
