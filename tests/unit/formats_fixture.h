/*
 * What is stored, or shared with another version of the programs, byte by byte
 * (docs/compatibility.md). tests/data/formats/RELEASE/NAME.VERSION is what that release wrote;
 * today's code must read it, and must write the same as long as it gives it the same version.
 *
 * A format that changes gets a new version, and then its file, with FORMATS_WRITE=DIRECTORY. A file
 * that is there is never written again.
 */
#ifndef TESTS_UNIT_FORMATS_FIXTURE_H
#define TESTS_UNIT_FORMATS_FIXTURE_H

#include <fcntl.h>
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* cmocka needs these */
#include <cmocka.h>

#include "lib/bytes.h"
#include "lib/cleanup.h"
#include "lib/fs.h"
#include "lib/json.h"
#include "lib/share/change.h"

#define FOLDER "tests/data/formats/"

enum { BYTES_MAX = 64 * 1024 };

/* NAME.VERSION of whichever release made it first. */
static inline size_t load(const char *name, unsigned version, char **ret_bytes)
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

static inline void write_first(const char *name, unsigned version, const void *bytes, size_t length)
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
static inline size_t same_as_ever(const char *name, unsigned version, const void *bytes,
                                  size_t length, uint8_t golden[static BYTES_MAX])
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
static inline size_t same_fields_as_ever(const char *name, unsigned version, int dir_fd,
                                         const char *file)
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

static inline int make_dir(char path[static 32])
{
    snprintf(path, 32, "/tmp/test_formats.XXXXXX");
    assert_non_null(mkdtemp(path));
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static inline void remove_dir(const char *path, int fd, const char *const *names)
{
    for (; *names; names++)
        unlinkat(fd, *names, 0);
    assert_int_equal(rmdir(path), 0);
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

#endif
