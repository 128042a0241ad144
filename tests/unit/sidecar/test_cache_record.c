/* What a copy says of its source is for its place alone, and is gone with the attribute. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "sidecar/cache_record.h"

static const struct cache_identity identity = {
    .inode = 7, .size = 5000, .mtime_ns = 1500000000000000001, .ctime_ns = 1700000000123456789};
static const struct cache_source source = {.path = "/data", .root = {.device = 9, .inode = 2}};
static int fd;

static int set_up(void **state)
{
    char path[] = "/tmp/test-cache-record.XXXXXX";
    fd = mkstemp(path);
    return fd < 0 ? -1 : unlink(path);
}

static int tear_down(void **state)
{
    return close(fd);
}

static void keep(void)
{
    const struct timespec times[] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 1500000000, .tv_nsec = 1}};
    const struct cache_origin origin = {
        .place = cache_record_place(&source, "a/b", identity.size, identity.mtime_ns),
        .dev = source.root.device,
        .inode = identity.inode,
        .ctime_ns = identity.ctime_ns};
    assert_int_equal(ftruncate(fd, (off_t)identity.size), 0);
    assert_int_equal(futimens(fd, times), 0);
    cache_origin_keep(fd, &origin);
}

static bool is_record_of(const struct cache_source *from, const char *path)
{
    struct cache_identity found = {0};
    int r = cache_record_get(fd, from, path, &found);
    if (r < 0)
        assert_int_equal(r, -ENODATA);
    return r == 0 && cache_identity_equal(&found, &identity);
}

static void test_place(void **state)
{
    const struct cache_source elsewhere = {.path = "/srv", .root = source.root};
    const struct cache_source other_root = {.path = "/data", .root = {.device = 9, .inode = 3}};
    const struct cache_source other_mount = {.path = "/data", .root = {.device = 8, .inode = 2}};
    assert_false(is_record_of(&source, "a/b"));
    keep();
    assert_true(is_record_of(&source, "a/b"));
    assert_false(is_record_of(&source, "a/c"));
    assert_false(is_record_of(&elsewhere, "a/b"));
    assert_false(is_record_of(&other_root, "a/b"));
    assert_false(is_record_of(&other_mount, "a/b"));
}

static void test_spoilt(void **state)
{
    char record[128];
    keep();
    ssize_t n = fgetxattr(fd, CACHE_ORIGIN, record, sizeof(record));
    assert_true(n > 0);
    assert_int_equal(fsetxattr(fd, CACHE_ORIGIN, record, (size_t)n - 1, 0), 0);
    assert_false(is_record_of(&source, "a/b"));
    record[0] ^= 1;
    assert_int_equal(fsetxattr(fd, CACHE_ORIGIN, record, (size_t)n, 0), 0);
    assert_false(is_record_of(&source, "a/b"));
    assert_int_equal(fremovexattr(fd, CACHE_ORIGIN), 0);
    assert_false(is_record_of(&source, "a/b"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_place, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_spoilt, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
