/* Who is on a real board, with real locks. */
#include "lib/share/roster.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* cmocka needs setjmp.h, stdarg.h and stddef.h */
#include <cmocka.h>

#include "lib/share/layout.h"

static char dir_name[] = "/tmp/roster-XXXXXX";
static int dir_fd;
static struct roster roster;
static struct error err;

static int set_up(void **state)
{
    if (!mkdtemp(dir_name))
        return -1;
    dir_fd = open(dir_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return dir_fd < 0;
}

static int tear_down(void **state)
{
    unlinkat(dir_fd, LAYOUT_BOARD, 0);
    close(dir_fd);
    return rmdir(dir_name);
}

static int take(unsigned slot)
{
    int fd;
    unsigned got;
    assert_int_equal(board_open(dir_fd, false, &fd), 0);
    assert_int_equal(board_take(fd, slot, &got), 0);
    assert_int_equal(got, slot);
    return fd;
}

static void expect(unsigned slot, const char *what)
{
    assert_string_equal(roster_state(&roster.entries[slot]), what);
}

static void test_states(void **state)
{
    assert_int_equal(roster_read(dir_fd, &roster, &err), -ENOENT);
    assert_int_equal(board_create(dir_fd, -1), 0);
    assert_int_equal(roster_read(dir_fd, &roster, &err), 0);
    assert_int_equal(roster.live, 0);
    expect(0, "free");

    struct slot joined = {.state = SLOT_JOINED, .reads_from = 1, .reads_to = 2, .epoch = 9};
    struct slot left = {.state = SLOT_LEFT, .epoch = 4};
    int live = take(3), dead = take(4), gone = take(5), garbage = take(6), starting = take(255);
    assert_int_equal(board_write_slot(live, 3, &joined), 0);
    assert_int_equal(board_write_slot(dead, 4, &joined), 0);
    assert_int_equal(board_write_slot(gone, 5, &left), 0);
    assert_int_equal(pwrite(garbage, "garbage", 7, 6 * BOARD_SLOT_BYTES), 7);
    close(dead);
    close(gone);
    close(garbage);
    assert_int_equal(roster_read(dir_fd, &roster, &err), 0);
    assert_int_equal(roster.live, 2);
    expect(2, "free");
    expect(3, "live");
    expect(4, "dead");
    expect(5, "left");
    expect(6, "garbage");
    expect(255, "live");
    assert_int_equal(roster.entries[3].slot.epoch, 9);

    /* the one that has not written its slot yet may read anything */
    assert_int_equal(roster_all_read(&roster, 1, &err), -EBUSY);
    assert_non_null(strstr(err.text, "slot 255"));
    close(starting);
    assert_int_equal(roster_read(dir_fd, &roster, &err), 0);
    assert_int_equal(roster_all_read(&roster, 1, &err), 0);
    assert_int_equal(roster_all_read(&roster, 2, &err), 0);
    assert_int_equal(roster_all_read(&roster, 3, &err), -EBUSY);
    assert_non_null(strstr(err.text, "slot 3 reads the formats 1 to 2 and not 3"));
    close(live);
    assert_int_equal(roster_read(dir_fd, &roster, &err), 0);
    assert_int_equal(roster_all_read(&roster, 3, &err), 0); /* the dead are not asked */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_states)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
