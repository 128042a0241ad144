/* A slot on a real board: taken, proven, taken anew after the board was removed, given back. What a
 * lost NFS lease looks like is shown in tests/cluster. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
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

#include "lib/clock.h"
#include "lib/ofd.h"
#include "lib/share/board.h"
#include "sidecar/lease.h"

enum { WAIT_MS = 5000 };

static char mount_path[] = "/tmp/lease-XXXXXX";
static char task_name[] = "task-a", state_dir[] = "state";
static struct settings settings;
static struct place place;
static struct conditions conditions;
static struct work_pool *pool;
static struct lease *lease;
static int n_taken, n_gone;
static unsigned last_slot;

static int open_state(void)
{
    return open(mount_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void make_board(void)
{
    int fd = open_state(), state_fd;
    assert_true(fd >= 0);
    mkdirat(fd, "state", 0755);
    state_fd = openat(fd, "state", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(board_create(state_fd, -1), 0);
    close(state_fd);
    close(fd);
}

static int other_board(void)
{
    char path[64];
    snprintf(path, sizeof(path), "%s/state/board", mount_path);
    return open(path, O_RDWR | O_CLOEXEC);
}

static void note_taken(void *arg, unsigned slot)
{
    n_taken++;
    last_slot = slot;
}

static void note_gone(void *arg)
{
    n_gone++;
}

static int set_up(void **state)
{
    if (!mkdtemp(mount_path))
        return -1;
    settings = (struct settings){
        .task_name = task_name,
        .state_dir = state_dir,
        .state_gid = -1,
        .proof_interval_ms = 10000,
        .stall_after_ms = 5000,
    };
    place = (struct place){.settings = &settings, .path = mount_path, .name = "m"};
    conditions_init(&conditions, mount_path);
    n_taken = n_gone = 0;
    clock_fake_set(1000000, 1800000000000);
    const struct lease_options options = {
        .place = &place, .conditions = &conditions, .taken = note_taken, .gone = note_gone};
    if (work_pool_open("lease", 1, 4, &pool) < 0)
        return -1;
    struct lease_options with_pool = options;
    with_pool.pool = pool;
    return lease_new(&with_pool, &lease);
}

static int tear_down(void **state)
{
    char command[64];
    clock_fake_off();
    work_pool_close(pool, 1000);
    lease_free(lease);
    snprintf(command, sizeof(command), "rm -rf %s", mount_path);
    int r = system(command); /* NOLINT(cert-env33-c): our own mkdtemp name */
    strcpy(mount_path, "/tmp/lease-XXXXXX");
    return r;
}

/* One turn of the loop: start what is due and hear how it ended. */
static void turn(void)
{
    lease_tick(lease);
    if (poll(&(struct pollfd){.fd = work_pool_fd(pool), .events = POLLIN}, 1, WAIT_MS) > 0)
        work_pool_dispatch(pool);
}

static const struct condition *locks(void)
{
    return &conditions.of[CONDITION_LOCKS_READY];
}

static void test_takes_proves_and_gives_back(void **state)
{
    make_board();
    lease_start(lease, false);
    assert_string_equal(locks()->reason, "Starting");
    turn();
    assert_int_equal(locks()->status, CONDITION_TRUE);
    assert_int_equal(n_taken, 1);
    assert_int_equal(last_slot, board_first_choice("task-a"));
    int other = other_board();
    off_t at = (off_t)last_slot * BOARD_SLOT_BYTES;
    assert_int_equal(ofd_lock(other, F_WRLCK, at, BOARD_SLOT_BYTES), -EAGAIN);

    clock_fake_advance(settings.proof_interval_ms);
    turn();
    assert_string_equal(locks()->reason, "SlotHeld");

    lease_stop(lease);
    assert_false(lease_stopped(lease));
    turn();
    assert_true(lease_stopped(lease));
    assert_int_equal(ofd_lock(other, F_WRLCK, at, BOARD_SLOT_BYTES), 0);
    close(other);
}

static void test_taken_slot(void **state)
{
    make_board();
    int other = other_board();
    unsigned first = board_first_choice("task-a");
    assert_int_equal(ofd_lock(other, F_WRLCK, (off_t)first * BOARD_SLOT_BYTES, BOARD_SLOT_BYTES),
                     0);
    lease_start(lease, false);
    turn();
    assert_int_equal(last_slot, (first + 1) % BOARD_SLOTS);
    close(other);
}

static void test_full_board(void **state)
{
    make_board();
    int other = other_board();
    assert_int_equal(ofd_lock(other, F_WRLCK, 0, 0), 0);
    lease_start(lease, false);
    turn();
    assert_string_equal(locks()->reason, "BoardFull");
    assert_non_null(strstr(locks()->message, "256"));
    close(other);
    lease_tick(lease); /* not at once */
    assert_string_equal(locks()->reason, "BoardFull");
    clock_fake_advance(1000);
    turn();
    assert_int_equal(locks()->status, CONDITION_TRUE);
}

/* Someone cleaned up too much: it is told, the board is asked for, and a slot taken on the new one.
 */
static void test_removed_board(void **state)
{
    char path[64];
    make_board();
    lease_start(lease, false);
    turn();
    snprintf(path, sizeof(path), "%s/state/board", mount_path);
    assert_int_equal(unlink(path), 0);
    clock_fake_advance(settings.proof_interval_ms);
    turn();
    assert_int_equal(locks()->status, CONDITION_FALSE);
    assert_string_equal(locks()->reason, "BoardRemoved");
    assert_int_equal(n_gone, 1);
    turn(); /* the old one is closed */
    make_board();
    clock_fake_advance(1000);
    turn();
    assert_int_equal(locks()->status, CONDITION_TRUE);
    assert_int_equal(n_taken, 2);
}

static void test_no_board(void **state)
{
    lease_start(lease, false);
    turn();
    assert_string_equal(locks()->reason, "SlotNotTaken");
    assert_non_null(strstr(locks()->message, "/state cannot be opened"));
    assert_int_equal(n_gone, 1);
    lease_stop(lease);
    assert_true(lease_stopped(lease));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_takes_proves_and_gives_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_taken_slot, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_full_board, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_removed_board, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_board, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
