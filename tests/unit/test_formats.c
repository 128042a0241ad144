/* What lies on the share: formats_fixture.h says by which rules. */
#include "tests/unit/formats_fixture.h"

#include <errno.h>

#include "lib/crc32c.h"
#include "lib/share/journal.h"
#include "lib/share/layout.h"
#include "lib/share/lock_record.h"
#include "lib/share/notice.h"
#include "lib/share/owner.h"
#include "lib/share/slot.h"
#include "lib/share/version.h"

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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
