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
static char task_name[] = "task-a", state_dir[] = "state", state_mount[] = "";
static struct settings settings;
static struct place place;
static struct conditions conditions;
static struct work_pool *pool;
static struct lease *lease;
static int n_taken, n_trouble, n_lost, n_gone;
static bool in_use;
static struct membership last;

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
    mkdirat(state_fd, "feed", 0755);
    mkdirat(state_fd, "members", 0755);
    close(state_fd);
    close(fd);
}

static int other_board(void)
{
    char path[64];
    snprintf(path, sizeof(path), "%s/state/board", mount_path);
    return open(path, O_RDWR | O_CLOEXEC);
}

static struct slot read_slot(unsigned number)
{
    uint8_t board[BOARD_BYTES];
    struct slot slot = {0};
    int fd = other_board();
    assert_int_equal(board_read(fd, board), 0);
    slot_decode(board + (size_t)number * BOARD_SLOT_BYTES, &slot);
    close(fd);
    return slot;
}

static void write_slot(unsigned number, enum slot_state state, uint32_t epoch)
{
    const struct slot slot = {.state = state, .epoch = epoch, .segment = 1, .fence_ms = 30000};
    int fd = other_board();
    assert_int_equal(board_write_slot(fd, number, &slot), 0);
    close(fd);
}

static void note_taken(void *arg, const struct membership *member)
{
    n_taken++;
    last = *member;
}

static void note_trouble(void *arg)
{
    n_trouble++;
}

static void note_lost(void *arg)
{
    n_lost++;
}

static bool is_in_use(void *arg)
{
    return in_use;
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
        .state_mount = state_mount,
        .proof_interval_ms = 10000,
        .fence_ms = 30000,
        .stall_after_ms = 5000,
    };
    place = (struct place){.settings = &settings,
                           .path = mount_path,
                           .name = "m",
                           .file_system = "fs-1",
                           .writable = true};
    conditions_init(&conditions, mount_path);
    n_taken = n_trouble = n_lost = n_gone = 0;
    in_use = false;
    clock_fake_set(1000000, 1800000000000);
    const struct lease_options options = {.place = &place,
                                          .conditions = &conditions,
                                          .taken = note_taken,
                                          .trouble = note_trouble,
                                          .lost = note_lost,
                                          .in_use = is_in_use,
                                          .gone = note_gone};
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
    assert_int_equal(last.slot, board_first_choice("task-a"));
    int other = other_board();
    off_t at = (off_t)last.slot * BOARD_SLOT_BYTES;
    assert_int_equal(ofd_lock(other, F_WRLCK, at, BOARD_SLOT_BYTES), -EAGAIN);

    clock_fake_advance(settings.proof_interval_ms);
    turn();
    assert_string_equal(locks()->reason, "SlotHeld");

    lease_stop(lease, true);
    assert_false(lease_stopped(lease));
    turn();
    turn();
    assert_true(lease_stopped(lease));
    assert_int_equal(read_slot(last.slot).state, SLOT_LEFT);
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
    assert_int_equal(last.slot, (first + 1) % BOARD_SLOTS);
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
    assert_int_equal(n_trouble, 1);
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
    lease_stop(lease, true);
    assert_true(lease_stopped(lease));
}

/* Whoever took it last left it, died with it, or wrote nonsense: the next epoch was never used. */
static void test_epochs(void **state)
{
    char path[96];
    unsigned first = board_first_choice("task-a");
    make_board();
    write_slot(first, SLOT_LEFT, 7);
    lease_start(lease, false);
    turn();
    assert_int_equal(last.slot, first);
    assert_int_equal(last.epoch, 8);
    assert_false(last.unclean);
    struct slot slot = read_slot(first);
    assert_int_equal(slot.state, SLOT_JOINED);
    assert_int_equal(slot.epoch, 8);
    assert_true(slot.segment == 1 && slot.sequence == 0 && slot.fence_ms == 30000);
    snprintf(path, sizeof(path), "%s/state/feed/%u-8/1.log", mount_path, first);
    assert_int_equal(access(path, F_OK), 0);

    /* Dropped without a word: the next one has to look for what was not told. */
    lease_fenced(lease);
    turn();
    assert_int_equal(n_lost, 1);
    assert_int_equal(locks()->status, CONDITION_FALSE);
    turn(); /* closed */
    snprintf(path, sizeof(path), "%s/state/feed/%u-20", mount_path, first);
    assert_int_equal(mkdir(path, 0755), 0);
    clock_fake_advance(60000);
    turn();
    assert_int_equal(n_taken, 2);
    assert_int_equal(last.epoch, 21); /* a journal counts as well as the slot does */
    assert_true(last.unclean);
    lease_stop(lease, false);
    turn();
    assert_true(lease_stopped(lease));
    assert_int_equal(read_slot(first).state, SLOT_JOINED);
}

static void test_garbage_and_retired(void **state)
{
    unsigned first = board_first_choice("task-a");
    make_board();
    write_slot(first, SLOT_LEFT, SLOT_EPOCH_MAX);
    int fd = other_board();
    off_t next = (off_t)((first + 1) % BOARD_SLOTS) * BOARD_SLOT_BYTES;
    assert_int_equal(pwrite(fd, "rubbish", 7, next), 7);
    close(fd);
    lease_start(lease, false);
    turn();
    assert_int_equal(last.slot, (first + 1) % BOARD_SLOTS);
    assert_int_equal(last.epoch, 1);
    assert_true(last.unclean);
}

/* Nothing is taken while efs-watch, which hangs with the mount, has the descriptor. */
static void test_waits_for_the_others(void **state)
{
    make_board();
    lease_start(lease, false);
    turn();
    in_use = true;
    lease_fenced(lease);
    turn();
    assert_int_equal(n_lost, 1);
    for (int i = 0; i < 5; i++) {
        clock_fake_advance(100000);
        lease_tick(lease);
    }
    int other = other_board();
    off_t at = (off_t)last.slot * BOARD_SLOT_BYTES;
    assert_int_equal(ofd_lock(other, F_WRLCK, at, BOARD_SLOT_BYTES), -EAGAIN);
    in_use = false;
    turn(); /* closed */
    assert_int_equal(ofd_lock(other, F_WRLCK, at, BOARD_SLOT_BYTES), 0);
    turn();
    assert_int_equal(n_taken, 2);
    assert_int_equal(last.slot, (board_first_choice("task-a") + 1) % BOARD_SLOTS);
    close(other);
}

/* More often while something is held. */
static void test_interval(void **state)
{
    make_board();
    lease_start(lease, false);
    turn();
    unsigned slot = last.slot;
    lease_set_interval(lease, 1000);
    char path[64];
    snprintf(path, sizeof(path), "%s/state/board", mount_path);
    assert_int_equal(unlink(path), 0);
    clock_fake_advance(1000);
    turn();
    assert_string_equal(locks()->reason, "BoardRemoved");
    assert_int_equal(last.slot, slot);
}

static void refuses(const char *version, const char *reason, const char *first, const char *second)
{
    char path[64];
    make_board();
    snprintf(path, sizeof(path), "%s/state/VERSION", mount_path);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    fputs(version, file);
    fclose(file);
    lease_start(lease, false);
    turn();
    assert_int_equal(locks()->status, CONDITION_FALSE);
    assert_string_equal(locks()->reason, reason);
    if (!strstr(locks()->message, first) || !strstr(locks()->message, second))
        fail_msg("%s", locks()->message);
    assert_int_equal(n_trouble, 1);
    assert_int_equal(n_taken, 0);
}

static void test_foreign_state(void **state)
{
    refuses("{\"format\":1,\"generation\":5,\"file_system\":\"fs-2\",\"root_inode\":2}\n",
            "ForeignState", "fs-2", "fs-1");
    assert_non_null(strstr(locks()->message, "efsctl state reset"));
}

static void test_newer_state(void **state)
{
    refuses("{\"format\":9,\"generation\":5,\"file_system\":\"fs-1\",\"root_inode\":2}\n",
            "StateNewer", "format 9", "newer");
}

/* A task that was started twice by mistake. */
static void test_twin(void **state)
{
    char path[64];
    unsigned first = board_first_choice("task-a");
    make_board();
    int other = other_board();
    assert_int_equal(ofd_lock(other, F_WRLCK, (off_t)first * BOARD_SLOT_BYTES, BOARD_SLOT_BYTES),
                     0);
    snprintf(path, sizeof(path), "%s/state/members/%u.json", mount_path, first);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    fputs("{\"task\":\"task-a\"}", file);
    fclose(file);
    lease_start(lease, false);
    turn();
    assert_string_equal(locks()->reason, "SlotHeld");
    assert_non_null(strstr(locks()->message, "another task named task-a"));
    close(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_takes_proves_and_gives_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_taken_slot, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_full_board, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_removed_board, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_board, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_epochs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_garbage_and_retired, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_waits_for_the_others, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_interval, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_foreign_state, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_newer_state, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_twin, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
