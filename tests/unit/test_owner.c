#include "lib/share/owner.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
/* cmocka needs these */
#include <cmocka.h>

#include "lib/cleanup.h"
#include "lib/share/layout.h"
#include "lib/share/slot.h"

static const struct owner web = {
    .generation = 1795420800, .slot = 3, .epoch = 5, .fence_ms = 30000, .task = "web-1"};

static int make_dir(char path[static 32])
{
    snprintf(path, 32, "/tmp/test_owner.XXXXXX");
    assert_non_null(mkdtemp(path));
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static void put(int dir_fd, const char *text)
{
    _cleanup_close_ int fd =
        openat(dir_fd, LAYOUT_OWNER, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static void test_round_trip(void **state)
{
    char path[32];
    struct owner back;
    _cleanup_close_ int fd = make_dir(path);
    assert_int_equal(owner_read(fd, LAYOUT_OWNER, &back), -ENOENT);
    assert_int_equal(owner_write(fd, LAYOUT_OWNER, &web), 0);
    assert_int_equal(owner_read(fd, LAYOUT_OWNER, &back), 0);
    assert_true(owner_equal(&web, &back));
    assert_int_equal(back.fence_ms, 30000);
    assert_string_equal(back.task, "web-1");

    struct owner next = web;
    next.epoch++;
    next.bytes = 12345;
    next.files = 7;
    next.measured_wall_ms = 1795420801234;
    snprintf(next.task, sizeof(next.task), "%s", "caf\xe9"); /* not UTF-8: only for people */
    assert_int_equal(owner_write(fd, LAYOUT_OWNER, &next), 0);
    assert_int_equal(owner_read(fd, LAYOUT_OWNER, &back), 0);
    assert_int_equal(back.epoch, 6);
    assert_string_equal(back.task, "caf?");
    assert_int_equal(back.bytes, 12345);
    assert_int_equal(back.files, 7);
    assert_int_equal(back.measured_wall_ms, 1795420801234);
    assert_false(owner_equal(&web, &back));
    unlinkat(fd, LAYOUT_OWNER, 0);
    assert_int_equal(rmdir(path), 0); /* nothing else is left */
}

static void test_what_is_no_record(void **state)
{
    char path[32], large[OWNER_BYTES_MAX + 200];
    struct owner back = web;
    _cleanup_close_ int fd = make_dir(path);
    put(fd, "{\"slot\": 3}\n");
    assert_int_equal(owner_read(fd, LAYOUT_OWNER, &back), -EBADMSG);
    put(fd, "");
    assert_int_equal(owner_read(fd, LAYOUT_OWNER, &back), -EBADMSG);
    memset(large, ' ', sizeof(large));
    snprintf(large + sizeof(large) - 150, 150,
             "{\"generation\":1,\"slot\":3,\"epoch\":5,"
             "\"fence_ms\":1,\"task\":\"web-1\"}");
    put(fd, large);
    assert_int_equal(owner_read(fd, LAYOUT_OWNER, &back), -EBADMSG);
    unlinkat(fd, LAYOUT_OWNER, 0);
    assert_int_equal(symlinkat("/etc/passwd", fd, LAYOUT_OWNER), 0);
    assert_int_equal(owner_read(fd, LAYOUT_OWNER, &back), -EBADMSG);
    unlinkat(fd, LAYOUT_OWNER, 0);
    assert_int_equal(mkfifoat(fd, LAYOUT_OWNER, 0600), 0); /* and does not hang */
    assert_int_equal(owner_read(fd, LAYOUT_OWNER, &back), -EBADMSG);
    assert_true(owner_equal(&back, &web));
    unlinkat(fd, LAYOUT_OWNER, 0);
    rmdir(path);
}

static void test_who_lives(void **state)
{
    const uint64_t generation = web.generation;
    struct slot slot = {.state = SLOT_JOINED, .epoch = 5};
    assert_int_equal(owner_judge(&web, generation, &slot, -EAGAIN), OWNER_ALIVE);
    assert_int_equal(owner_judge(&web, generation, &slot, 0), OWNER_GONE);
    assert_int_equal(owner_judge(&web, generation, &slot, -EIO), OWNER_UNKNOWN);
    assert_int_equal(owner_judge(&web, generation, NULL, -EAGAIN), OWNER_UNKNOWN);
    slot.state = SLOT_LEFT; /* whoever has the lock now */
    assert_int_equal(owner_judge(&web, generation, &slot, -EAGAIN), OWNER_LEFT);
    slot = (struct slot){.state = SLOT_JOINED, .epoch = 6}; /* its next owner lives */
    assert_int_equal(owner_judge(&web, generation, &slot, -EAGAIN), OWNER_GONE);
    slot.state = SLOT_LEFT;
    assert_int_equal(owner_judge(&web, generation, &slot, 0), OWNER_GONE);
    slot.epoch = 4; /* an old board */
    assert_int_equal(owner_judge(&web, generation, &slot, 0), OWNER_UNKNOWN);
    slot = (struct slot){.state = SLOT_FREE, .epoch = 5};
    assert_int_equal(owner_judge(&web, generation, &slot, 0), OWNER_UNKNOWN);
    slot.epoch = 6; /* another state directory */
    assert_int_equal(owner_judge(&web, generation + 1, &slot, 0), OWNER_UNKNOWN);
    assert_int_equal(owner_judge(&web, generation - 1, &slot, 0), OWNER_UNKNOWN);
}

static void test_when_it_is_over(void **state)
{
    int64_t gone_ms = 0;
    assert_true(owner_is_over(&web, OWNER_LEFT, 1000, &gone_ms));
    assert_false(owner_is_over(&web, OWNER_UNKNOWN, 1000, &gone_ms));
    assert_int_equal(gone_ms, 0);
    assert_false(owner_is_over(&web, OWNER_GONE, 1000, &gone_ms));
    assert_false(owner_is_over(&web, OWNER_GONE, 30999, &gone_ms));
    assert_false(owner_is_over(&web, OWNER_UNKNOWN, 31500, &gone_ms)); /* a hang: nothing */
    assert_true(owner_is_over(&web, OWNER_GONE, 31000, &gone_ms));
    assert_false(owner_is_over(&web, OWNER_ALIVE, 32000, &gone_ms)); /* it was not gone at all */
    assert_false(owner_is_over(&web, OWNER_GONE, 33000, &gone_ms));
    assert_false(owner_is_over(&web, OWNER_GONE, 62999, &gone_ms));
    assert_true(owner_is_over(&web, OWNER_GONE, 63000, &gone_ms));
}

static void test_a_promise_that_is_nonsense(void **state)
{
    struct owner owner = web;
    int64_t gone_ms = 0;
    owner.fence_ms = 0;
    owner_is_over(&owner, OWNER_GONE, 1000, &gone_ms);
    assert_false(owner_is_over(&owner, OWNER_GONE, 5999, &gone_ms));
    assert_true(owner_is_over(&owner, OWNER_GONE, 6000, &gone_ms));
    owner.fence_ms = UINT32_MAX;
    assert_false(owner_is_over(&owner, OWNER_GONE, 600999, &gone_ms));
    assert_true(owner_is_over(&owner, OWNER_GONE, 601000, &gone_ms));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_what_is_no_record),
        cmocka_unit_test(test_who_lives),
        cmocka_unit_test(test_when_it_is_over),
        cmocka_unit_test(test_a_promise_that_is_nonsense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
