/* Slots on a real file: everyone gets one of their own, the same one when they come back. */
#include <errno.h>
#include <fcntl.h>
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

#include "lib/ofd.h"
#include "lib/share/board.h"
#include "lib/share/layout.h"

static char dir_name[] = "/tmp/board-XXXXXX";
static int dir_fd;

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

static void test_create_is_idempotent(void **state)
{
    struct stat now;
    int fd;
    assert_int_equal(board_open(dir_fd, false, &fd), -ENOENT);
    mode_t old = umask(077);
    assert_int_equal(board_create(dir_fd, -1), 0);
    umask(old);
    assert_int_equal(board_open(dir_fd, false, &fd), 0);
    assert_int_equal(pwrite(fd, "word", 4, 64), 4);
    assert_int_equal(board_create(dir_fd, -1), 0);
    assert_int_equal(fstat(fd, &now), 0);
    assert_int_equal(now.st_size, BOARD_BYTES);
    assert_int_equal(now.st_mode & 07777, LAYOUT_FILE_MODE);
    char word[4];
    assert_int_equal(pread(fd, word, 4, 64), 4);
    assert_memory_equal(word, "word", 4);
    close(fd);
}

static void test_every_member_has_its_own(void **state)
{
    static int fds[BOARD_SLOTS];
    bool taken[BOARD_SLOTS] = {false};
    unsigned first = board_first_choice("task-a"), slot;

    for (int i = 0; i < BOARD_SLOTS; i++) {
        assert_int_equal(board_open(dir_fd, false, &fds[i]), 0);
        assert_int_equal(board_take(fds[i], first, &slot), 0);
        assert_int_equal(slot, (first + (unsigned)i) % BOARD_SLOTS);
        assert_false(taken[slot]);
        taken[slot] = true;
    }
    int late;
    assert_int_equal(board_open(dir_fd, false, &late), 0);
    assert_int_equal(board_take(late, first, &slot), -EUSERS);
    close(fds[3]);
    assert_int_equal(board_take(late, first, &slot), 0);
    assert_int_equal(slot, (first + 3) % BOARD_SLOTS);
    assert_int_equal(ofd_prove(late), 0);
    fds[3] = late;
    for (int i = 0; i < BOARD_SLOTS; i++)
        close(fds[i]);
}

static void test_slots_are_written_and_read(void **state)
{
    static uint8_t bytes[BOARD_BYTES];
    struct statx before, after;
    struct slot slot = {.state = SLOT_JOINED, .epoch = 3, .sequence = 17}, got;
    int fd;
    assert_int_equal(board_create(dir_fd, -1), 0);
    assert_int_equal(board_open(dir_fd, false, &fd), 0);
    assert_int_equal(board_stat(fd, &before), 0);
    assert_int_equal(before.stx_size, BOARD_BYTES);
    usleep(20000); /* a tick of the kernel's coarse clock */
    assert_int_equal(board_write_slot(fd, 200, &slot), 0);
    assert_int_equal(board_stat(fd, &after), 0);
    assert_true(after.stx_mtime.tv_sec != before.stx_mtime.tv_sec ||
                after.stx_mtime.tv_nsec != before.stx_mtime.tv_nsec);
    memset(bytes, 0xff, sizeof(bytes));
    assert_int_equal(board_read(fd, bytes), 0);
    assert_int_equal(slot_decode(bytes + 200 * BOARD_SLOT_BYTES, &got), 0);
    assert_true(slot_word(&got) == slot_word(&slot));
    assert_int_equal(slot_decode(bytes + 201 * BOARD_SLOT_BYTES, &got), -ENODATA);

    /* cut off by somebody: what is missing is as if it had never been used */
    assert_int_equal(ftruncate(fd, 100 * BOARD_SLOT_BYTES + 5), 0);
    memset(bytes, 0xff, sizeof(bytes));
    assert_int_equal(board_read(fd, bytes), 0);
    for (unsigned i = 100; i < BOARD_SLOTS; i++)
        assert_int_equal(slot_decode(bytes + i * BOARD_SLOT_BYTES, &got), -ENODATA);
    close(fd);
    assert_int_equal(unlinkat(dir_fd, LAYOUT_BOARD, 0), 0);
}

/* Names as ECS gives them must not crowd together: each crowded slot costs a call per neighbour. */
static void test_first_choices_spread(void **state)
{
    unsigned members[BOARD_SLOTS] = {0}, most = 0, used = 0;
    for (int i = 0; i < BOARD_SLOTS; i++) {
        char name[64];
        snprintf(name, sizeof(name), "ip-10-0-%d-%d.eu-west-1.compute.internal", i / 16, i % 16);
        unsigned n = ++members[board_first_choice(name)];
        used += n == 1;
        most = n > most ? n : most;
    }
    assert_in_range(used, 140, BOARD_SLOTS); /* chance gives 162 */
    assert_in_range(most, 1, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_create_is_idempotent),
        cmocka_unit_test(test_every_member_has_its_own),
        cmocka_unit_test(test_slots_are_written_and_read),
        cmocka_unit_test(test_first_choices_spread),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
