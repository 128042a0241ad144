/*
 * What is stored, or shared with another version of the programs, byte by byte
 * (docs/compatibility.md). tests/data/formats/RELEASE/NAME.VERSION is what that release wrote;
 * today's code must read it, and must write the same as long as it gives it the same version.
 *
 * A format that changes gets a new version, and then its file, with FORMATS_WRITE=DIRECTORY. A file
 * that is there is never written again.
 */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/bytes.h"
#include "lib/cleanup.h"
#include "lib/crc32c.h"
#include "lib/frame.h"
#include "lib/fs.h"
#include "lib/json.h"
#include "lib/share/change.h"
#include "lib/share/journal.h"
#include "lib/share/layout.h"
#include "lib/share/lock_record.h"
#include "lib/share/notice.h"
#include "lib/share/owner.h"
#include "lib/share/slot.h"
#include "lib/share/version.h"
#include "lib/share/watch_frames.h"
#include "shim/cache_writer.h"

#define FOLDER "tests/data/formats/"

enum { BYTES_MAX = 64 * 1024 };

/* ---- the files ---- */

/* NAME.VERSION of whichever release made it first. */
static size_t load(const char *name, unsigned version, char **ret_bytes)
{
    char pattern[128];
    glob_t found;
    size_t length;
    snprintf(pattern, sizeof(pattern), FOLDER "*/%s.%u", name, version);
    if (glob(pattern, 0, NULL, &found) != 0)
        return 0;
    if (found.gl_pathc != 1)
        fail_msg("%s: %zu releases claim to have made it first", pattern, found.gl_pathc);
    assert_int_equal(fs_read_file(AT_FDCWD, found.gl_pathv[0], BYTES_MAX, ret_bytes, &length), 0);
    globfree(&found);
    return length;
}

static void write_first(const char *name, unsigned version, const void *bytes, size_t length)
{
    char path[4096];
    const char *directory = getenv("FORMATS_WRITE");
    if (!directory)
        fail_msg("%s has version %u now, which no file in " FOLDER
                 " has: say in docs/compatibility.md what older and newer readers do, then run "
                 "this with FORMATS_WRITE=" FOLDER "%s",
                 name, version, EFS_SIDECAR_VERSION);
    snprintf(path, sizeof(path), "%s/%s.%u", directory, name, version);
    _cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(fs_write_all(fd, bytes, length), 0);
}

/* What is written today under this version is what was written when the version was new. */
static size_t same_as_ever(const char *name, unsigned version, const void *bytes, size_t length,
                           uint8_t golden[static BYTES_MAX])
{
    _cleanup_free_ char *old = NULL;
    size_t old_length = load(name, version, &old);
    if (old_length == 0) {
        write_first(name, version, bytes, length);
        old_length = load(name, version, &old);
    }
    size_t i = 0;
    while (i < length && i < old_length && ((const uint8_t *)bytes)[i] == (uint8_t)old[i])
        i++;
    if (length != old_length || i < length)
        fail_msg("%s is written differently from byte %zu on (%zu bytes, not %zu), and its version "
                 "is still %u: other releases would read it wrongly",
                 name, i, length, old_length, version);
    memcpy(golden, old, old_length);
    return old_length;
}

static uint8_t made[BYTES_MAX], golden[BYTES_MAX];

/* The same for an object to which fields may be added under the same version. */
static size_t same_fields_as_ever(const char *name, unsigned version, int dir_fd, const char *file)
{
    _cleanup_free_ char *text = NULL, *old = NULL;
    _cleanup_json_ json_t *now = NULL, *then = NULL;
    const char *key;
    json_t *value;
    size_t length;
    assert_int_equal(fs_read_file(dir_fd, file, BYTES_MAX, &text, &length), 0);
    size_t old_length = load(name, version, &old);
    if (old_length == 0) {
        write_first(name, version, text, length);
        old_length = load(name, version, &old);
    }
    assert_int_equal(json_parse(text, length, &now, NULL), 0);
    assert_int_equal(json_parse(old, old_length, &then, NULL), 0);
    json_object_foreach(then, key, value) if (!json_equal(json_object_get(now, key), value))
        fail_msg("%s is written without the field \"%s\", or with another value, and its version "
                 "is still %u: other releases would miss it",
                 name, key, version);
    memcpy(golden, old, old_length);
    return old_length;
}

/* ---- the state directory ---- */

static int make_dir(char path[static 32])
{
    snprintf(path, 32, "/tmp/test_formats.XXXXXX");
    assert_non_null(mkdtemp(path));
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static void remove_dir(const char *path, int fd, const char *const *names)
{
    for (; *names; names++)
        unlinkat(fd, *names, 0);
    assert_int_equal(rmdir(path), 0);
}

static void put(int dir_fd, const char *name, const void *bytes, size_t length)
{
    _cleanup_close_ int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(fs_write_all(fd, bytes, length), 0);
}

static void test_version(void **state)
{
    static const char *const names[] = {LAYOUT_VERSION, LAYOUT_VERSION ".lock", NULL};
    const struct version_root root = {.file_system = "fs-0123456789abcdef0", .inode = 2};
    struct version version = {.format = VERSION_FORMAT, .generation = 1795440371, .root = root};
    char path[32];
    _cleanup_close_ int fd = make_dir(path);
    _cleanup_close_ int lock_fd = -1;
    assert_int_equal(version_lock(fd, false, -1, 0, &lock_fd, NULL), 0);
    assert_int_equal(version_replace(fd, lock_fd, &version, false, -1, NULL), 0);
    size_t length = same_fields_as_ever("version", VERSION_FORMAT, fd, LAYOUT_VERSION);

    put(fd, LAYOUT_VERSION, golden, length);
    struct version read = {0};
    assert_int_equal(version_read(fd, &read, NULL), 0);
    assert_int_equal(read.format, version.format);
    assert_int_equal(read.generation, version.generation);
    assert_string_equal(read.root.file_system, root.file_system);
    assert_int_equal(read.root.inode, root.inode);
    remove_dir(path, fd, names);
}

/* Tells both: what is there, and what this program can read. */
static void test_newer_state_is_refused(void **state)
{
    static const char newer[] = "{\"format\":7,\"generation\":5,\"file_system\":\"fs-0\","
                                "\"root_inode\":2,\"of a later release\":[1]}";
    static const char *const names[] = {LAYOUT_VERSION, NULL};
    struct version version = {0};
    struct error err = {0};
    char path[32];
    _cleanup_close_ int fd = make_dir(path);
    put(fd, LAYOUT_VERSION, newer, strlen(newer));
    assert_int_equal(version_read(fd, &version, &err), 0);
    assert_int_equal(version_check(&version, &version.root, &err), -EPROTONOSUPPORT);
    assert_non_null(strstr(err.text, "has format 7"));
    assert_non_null(strstr(err.text, "(" EFS_SIDECAR_VERSION ") reads 1 to 1"));
    remove_dir(path, fd, names);
}

static void test_slot(void **state)
{
    const struct slot slot = {.state = SLOT_JOINED,
                              .reads_from = 1,
                              .reads_to = 1,
                              .epoch = 0x030201,
                              .sequence = 0x0807060504,
                              .drained = 0x0807060503,
                              .segment = 0x0a0b0c0d,
                              .fence_ms = 30000};
    struct slot read = {0};
    assert_int_equal(slot_encode(&slot, made), 0);
    same_as_ever("slot", SLOT_FORMAT, made, SLOT_BYTES, golden);
    assert_int_equal(slot_decode(golden, &read), 0);
    assert_true(read.state == slot.state && read.reads_from == slot.reads_from &&
                read.reads_to == slot.reads_to && read.epoch == slot.epoch &&
                read.sequence == slot.sequence && read.drained == slot.drained &&
                read.segment == slot.segment && read.fence_ms == slot.fence_ms);
}

/* One of each kind. */
static const uint8_t digest[CHANGE_DIGEST_BYTES] = {0x00, 0x9f, [31] = 0xff};
static const struct change changes[] = {
    {.op = CHANGE_CREATE,
     .flags = CHANGE_HAS_ATTRS,
     .size = 6,
     .mtime_ns = 1763891754123456789,
     .ctime_ns = 1763891754123456790,
     .path = "report.csv"},
    {.op = CHANGE_RENAME, .flags = CHANGE_IS_DIR, .path = "new\xff", .from = "old name"},
    {.op = CHANGE_PUBLISH,
     .flags = CHANGE_HAS_ATTRS | CHANGE_HAS_DIGEST,
     .size = UINT64_C(1) << 40,
     .mtime_ns = -1,
     .path = "in/a.jpg",
     .sha256 = digest},
    {.op = CHANGE_RESYNC, .reason = CHANGE_REASON_PEER_DIED, .path = ""},
    {.op = CHANGE_DELETE, .path = "x", .source = CHANGE_SOURCE_SCAN, .observer = "web-1"},
};

static const struct notice notices[] = {
    {.kind = NOTICE_LOCK_RELEASED, .number = 41, .name = "nightly"},
    {.kind = NOTICE_PUBLISHED_SET, .number = 2, .name = "out", .data = "a\0b", .data_length = 3},
};

static size_t add_record(size_t at, uint16_t type, uint64_t sequence, const void *payload, int n)
{
    assert_true(n > 0);
    journal_record_encode(type, sequence, payload, (size_t)n, made + at);
    return at + journal_record_bytes((size_t)n);
}

static const struct journal_header header = {
    .slot = 3, .epoch = 5, .segment = 2, .observer = "ip-10-0-1-17"};

static size_t write_journal(void)
{
    uint8_t payload[JOURNAL_PAYLOAD_MAX], *next = put_le32(payload, 3);
    uint64_t sequence = 70;
    size_t at = add_record(0, JOURNAL_HEADER, sequence, payload,
                           journal_header_encode(&header, payload, sizeof(payload)));
    for (size_t i = 0; i < ARRAY_LEN(changes); i++)
        at = add_record(at, JOURNAL_CHANGE, sequence++, payload,
                        change_encode(&changes[i], payload, sizeof(payload)));
    for (size_t i = 0; i < ARRAY_LEN(notices); i++)
        at = add_record(at, JOURNAL_NOTICE, sequence++, payload,
                        notice_encode(&notices[i], payload, sizeof(payload)));
    put_le32(payload, 3);
    return add_record(at, JOURNAL_NEXT, sequence, payload, (int)(next - payload));
}

static const char *or_empty(const char *text)
{
    return text ? text : "";
}

static void check_change(const struct change *read, const struct change *wrote)
{
    assert_int_equal(read->op, wrote->op);
    assert_int_equal(read->reason, wrote->reason);
    assert_int_equal(read->source, wrote->source);
    assert_int_equal(read->flags, wrote->flags);
    assert_true(read->size == wrote->size && read->mtime_ns == wrote->mtime_ns &&
                read->ctime_ns == wrote->ctime_ns);
    assert_string_equal(read->path, wrote->path);
    assert_string_equal(or_empty(read->from), or_empty(wrote->from));
    assert_string_equal(or_empty(read->observer), or_empty(wrote->observer));
    if (wrote->sha256)
        assert_memory_equal(read->sha256, wrote->sha256, CHANGE_DIGEST_BYTES);
}

static void check_notice(const struct notice *read, const struct notice *wrote)
{
    assert_int_equal(read->kind, wrote->kind);
    assert_true(read->number == wrote->number);
    assert_string_equal(read->name, wrote->name);
    assert_int_equal(read->data_length, wrote->data_length);
    if (wrote->data)
        assert_memory_equal(read->data, wrote->data, wrote->data_length);
}

static void test_journal(void **state)
{
    size_t length = same_as_ever("journal", JOURNAL_FORMAT, made, write_journal(), golden);
    size_t at = 0, n_changes = 0, n_notices = 0;
    uint64_t sequence = 70;
    struct journal_record record = {0};
    while (at < length) {
        int n = journal_record_decode(golden + at, length - at, &record);
        assert_true(n > 0);
        if (record.type == JOURNAL_HEADER) {
            struct journal_header read = {0};
            assert_int_equal(journal_header_decode(record.payload, record.length, &read), 0);
            assert_true(read.slot == header.slot && read.epoch == header.epoch &&
                        read.segment == header.segment);
            assert_string_equal(read.observer, header.observer);
        } else if (record.type == JOURNAL_CHANGE) {
            struct change read = {0};
            assert_int_equal(change_decode(record.payload, record.length, &read), 0);
            check_change(&read, &changes[n_changes++]);
            assert_int_equal(record.sequence, sequence++);
        } else if (record.type == JOURNAL_NOTICE) {
            struct notice read = {0};
            assert_int_equal(notice_decode(record.payload, record.length, &read), 0);
            check_notice(&read, &notices[n_notices++]);
            assert_int_equal(record.sequence, sequence++);
        } else {
            assert_int_equal(record.type, JOURNAL_NEXT);
            assert_int_equal(get_le32(record.payload), 3);
        }
        at += (size_t)n;
    }
    assert_int_equal(n_changes, ARRAY_LEN(changes));
    assert_int_equal(n_notices, ARRAY_LEN(notices));
}

/* An operation, a flag or a version of a later release: not read wrongly but not at all, and
 * whoever reads the journal makes a resync of it. */
static void test_later_changes_are_not_misread(void **state)
{
    static const struct {
        size_t at;
        uint8_t value;
    } later[] = {{0, 2}, {1, CHANGE_RESYNC + 1}, {2, CHANGE_REASON_SCAN + 1}, {12, 9}};
    struct change read = {0};
    for (size_t i = 0; i < ARRAY_LEN(later); i++) {
        int n = change_encode(&changes[3], made, sizeof(made));
        assert_int_equal(change_decode(made, (size_t)n, &read), 0);
        made[later[i].at] = later[i].value;
        assert_int_equal(change_decode(made, (size_t)n, &read), -EBADMSG);
    }
    int n = change_encode(&changes[0], made, sizeof(made));
    memset(made + n, 0, 8); /* what a later flag brings */
    put_le32(made + 4, changes[0].flags | 1 << 3);
    assert_int_equal(change_decode(made, (size_t)n + 8, &read), -EBADMSG);
}

static const struct lock_record locks[] = {
    {.serial = 8,
     .token = {.generation = 1795440746, .n = 1},
     .clean = true,
     .done = true,
     .fence_ms = 30000,
     .exit_status = 3,
     .task = "web-0"},
    {.serial = 9,
     .token = {.generation = 1795440746, .n = 2},
     .fence_ms = 10000,
     .since_wall_ms = 1795446015077,
     .task = "web-1",
     .zone = "eu-west-1a",
     .purpose = "load of 2026-11-23"},
};

static void check_lock(const struct lock_record *read, const struct lock_record *wrote)
{
    assert_true(read->clean == wrote->clean && read->done == wrote->done);
    assert_true(read->serial == wrote->serial && read->fence_ms == wrote->fence_ms &&
                read->exit_status == wrote->exit_status &&
                read->since_wall_ms == wrote->since_wall_ms);
    assert_int_equal(lock_token_compare(&read->token, &wrote->token), 0);
    assert_string_equal(read->task, wrote->task);
    assert_string_equal(read->zone, wrote->zone);
    assert_string_equal(read->purpose, wrote->purpose);
}

static void test_lock(void **state)
{
    struct lock_record read = {0};
    for (size_t i = 0; i < ARRAY_LEN(locks); i++)
        assert_int_equal(lock_record_encode(&locks[i], made + lock_record_offset(&locks[i])), 0);
    same_as_ever("lock", LOCK_RECORD_FORMAT, made, LOCK_FILE_BYTES, golden);
    assert_int_equal(lock_record_decode(golden, &read), 0);
    check_lock(&read, &locks[0]);
    assert_int_equal(lock_record_pick(golden, LOCK_FILE_BYTES, &read), 0);
    check_lock(&read, &locks[1]);
}

/* A later release's record beside one of ours: the lock is not to be had with the older token. */
static void test_newer_lock_is_refused(void **state)
{
    struct lock_record read = {0};
    for (size_t i = 0; i < ARRAY_LEN(locks); i++)
        assert_int_equal(lock_record_encode(&locks[i], made + lock_record_offset(&locks[i])), 0);
    uint8_t *later = made + lock_record_offset(&locks[1]);
    put_le16(later + 4, LOCK_RECORD_FORMAT + 1);
    put_le32(later + LOCK_RECORD_BYTES - 4, crc32c(0, later, LOCK_RECORD_BYTES - 4));
    assert_int_equal(lock_record_decode(later, &read), -EPROTONOSUPPORT);
    assert_int_equal(lock_record_pick(made, LOCK_FILE_BYTES, &read), -EPROTONOSUPPORT);
    later[20]++; /* torn: as if it had never been written */
    assert_int_equal(lock_record_pick(made, LOCK_FILE_BYTES, &read), 0);
    check_lock(&read, &locks[0]);
}

static void test_owner(void **state)
{
    static const char *const names[] = {LAYOUT_OWNER, NULL};
    const struct owner owner = {.generation = 1795420800,
                                .slot = 3,
                                .epoch = 5,
                                .fence_ms = 30000,
                                .task = "web-1",
                                .since_wall_ms = 1795446015077,
                                .bytes = 4096,
                                .files = 2,
                                .measured_wall_ms = 1795446015078};
    struct owner read = {0};
    char path[32];
    _cleanup_close_ int fd = make_dir(path);
    assert_int_equal(owner_write(fd, LAYOUT_OWNER, &owner), 0);
    size_t length = same_fields_as_ever("owner", VERSION_FORMAT, fd, LAYOUT_OWNER);
    assert_int_equal(owner_parse((const char *)golden, length, &read), 0);
    assert_true(owner_equal(&read, &owner) && read.fence_ms == owner.fence_ms &&
                read.since_wall_ms == owner.since_wall_ms && read.bytes == owner.bytes &&
                read.files == owner.files && read.measured_wall_ms == owner.measured_wall_ms);
    assert_string_equal(read.task, owner.task);
    remove_dir(path, fd, names);

    static const char later[] = "{\"generation\":1,\"slot\":3,\"epoch\":5,\"fence_ms\":30000,"
                                "\"task\":\"web-1\",\"of a later release\":{\"x\":1}}";
    assert_int_equal(owner_parse(later, strlen(later), &read), 0);
    assert_int_equal(read.slot, 3);
}

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
        cmocka_unit_test(test_version),
        cmocka_unit_test(test_newer_state_is_refused),
        cmocka_unit_test(test_slot),
        cmocka_unit_test(test_journal),
        cmocka_unit_test(test_later_changes_are_not_misread),
        cmocka_unit_test(test_lock),
        cmocka_unit_test(test_newer_lock_is_refused),
        cmocka_unit_test(test_owner),
        cmocka_unit_test(test_frames),
        cmocka_unit_test(test_cache),
        cmocka_unit_test(test_other_cache_is_not_used),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
