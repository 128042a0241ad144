/* Deadlines, unknown outcomes, late results, one namespace operation at a time, bounded queue,
 * shutdown. */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/clock.h"
#include "lib/work_pool.h"

struct probe {
    int block_fd; /* run() waits for a byte or end of file here; -1: does not wait */
    int result;
    enum work_outcome outcome;
    int n_done, n_late, n_released, told_result, late_result;
};

static atomic_int running, running_most;

static int probe_run(void *arg)
{
    struct probe *p = arg;
    int now = atomic_fetch_add(&running, 1) + 1;
    if (now > atomic_load(&running_most))
        atomic_store(&running_most, now);
    char byte;
    if (p->block_fd >= 0) {
        ssize_t n = read(p->block_fd, &byte, 1);
        (void)n;
    }
    atomic_fetch_sub(&running, 1);
    return p->result;
}

static void probe_done(void *arg, enum work_outcome outcome, int result)
{
    struct probe *p = arg;
    p->outcome = outcome;
    p->told_result = result;
    p->n_done++;
}

static void probe_late(void *arg, int result)
{
    struct probe *p = arg;
    p->late_result = result;
    p->n_late++;
}

static void probe_release(void *arg)
{
    ((struct probe *)arg)->n_released++;
}

static const struct job plain = {
    .what = "probe",
    .run = probe_run,
    .done = probe_done,
    .late = probe_late,
    .release = probe_release,
};
static const struct job exclusive = {
    .what = "rename",
    .namespace_op = true,
    .run = probe_run,
    .done = probe_done,
    .late = probe_late,
    .release = probe_release,
};

static void dispatch_until(struct work_pool *pool, const int *counter, int want)
{
    int64_t until_ms = clock_now_ms() + 5000;
    while (*counter < want && clock_now_ms() < until_ms) {
        poll(&(struct pollfd){.fd = work_pool_fd(pool), .events = POLLIN}, 1, 100);
        work_pool_dispatch(pool);
    }
    assert_int_equal(*counter, want);
}

static void test_result_comes_back(void **state)
{
    struct work_pool *pool;
    struct probe p = {.block_fd = -1, .result = -ENOSPC};
    assert_int_equal(work_pool_open("t", 1, 4, &pool), 0);
    assert_int_equal(work_pool_submit(pool, &plain, &p, clock_now_ms() + 5000), 0);
    dispatch_until(pool, &p.n_done, 1);
    assert_int_equal(p.outcome, WORK_DONE);
    assert_int_equal(p.told_result, -ENOSPC);
    assert_int_equal(p.n_released, 1);
    assert_int_equal(p.n_late, 0);
    assert_int_equal(work_pool_close(pool, 1000), 0);
}

static void test_unknown_then_late(void **state)
{
    struct work_pool *pool;
    int pipe_fds[2];
    assert_int_equal(pipe(pipe_fds), 0);
    struct probe hung = {.block_fd = pipe_fds[0], .result = 7};
    struct probe behind = {.block_fd = -1};
    const char *what;
    assert_int_equal(work_pool_open("t", 1, 4, &pool), 0);
    assert_int_equal(work_pool_submit(pool, &plain, &hung, clock_now_ms() + 1000), 0);
    assert_int_equal(work_pool_submit(pool, &plain, &behind, clock_now_ms() + 1050), 0);
    dispatch_until(pool, &hung.n_done, 1);
    assert_int_equal(hung.outcome, WORK_UNKNOWN);
    assert_int_equal(hung.n_released, 0); /* the call under way keeps what it owns */
    assert_true(work_pool_oldest_ms(pool, &what) > 0);
    assert_string_equal(what, "probe");
    dispatch_until(pool, &behind.n_done, 1);
    assert_int_equal(behind.outcome, WORK_NOT_STARTED);
    assert_int_equal(behind.n_released, 1);
    assert_int_equal(write(pipe_fds[1], "x", 1), 1);
    dispatch_until(pool, &hung.n_released, 1);
    assert_int_equal(hung.n_late, 1);
    assert_int_equal(hung.late_result, 7);
    assert_int_equal(hung.n_done, 1);
    assert_int_equal(work_pool_oldest_ms(pool, NULL), 0);
    assert_int_equal(work_pool_close(pool, 1000), 0);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
}

static void test_one_namespace_operation(void **state)
{
    struct work_pool *pool;
    int pipe_fds[2];
    assert_int_equal(pipe(pipe_fds), 0);
    struct probe renames[3] = {
        {.block_fd = pipe_fds[0]}, {.block_fd = pipe_fds[0]}, {.block_fd = pipe_fds[0]}};
    struct probe read_only = {.block_fd = -1};
    atomic_store(&running_most, 0);
    assert_int_equal(work_pool_open("t", 3, 8, &pool), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(work_pool_submit(pool, &exclusive, &renames[i], CLOCK_NEVER), 0);
    usleep(50000);
    assert_int_equal(atomic_load(&running_most), 1);
    /* Others pass by. */
    assert_int_equal(work_pool_submit(pool, &plain, &read_only, clock_now_ms() + 5000), 0);
    dispatch_until(pool, &read_only.n_done, 1);
    assert_int_equal(write(pipe_fds[1], "xxx", 3), 3);
    for (int i = 0; i < 3; i++)
        dispatch_until(pool, &renames[i].n_done, 1);
    assert_true(atomic_load(&running_most) <= 2); /* one of them and read_only */
    assert_int_equal(work_pool_close(pool, 1000), 0);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
}

static void test_queue_is_bounded(void **state)
{
    struct work_pool *pool;
    int pipe_fds[2];
    assert_int_equal(pipe(pipe_fds), 0);
    struct probe first = {.block_fd = pipe_fds[0]}, more[3] = {{.block_fd = -1}, {.block_fd = -1}};
    assert_int_equal(work_pool_open("t", 1, 2, &pool), 0);
    assert_int_equal(work_pool_submit(pool, &plain, &first, CLOCK_NEVER), 0);
    while (atomic_load(&running) == 0)
        usleep(1000);
    assert_int_equal(work_pool_submit(pool, &plain, &more[0], CLOCK_NEVER), 0);
    assert_int_equal(work_pool_submit(pool, &plain, &more[1], CLOCK_NEVER), 0);
    assert_int_equal(work_pool_submit(pool, &plain, &more[2], CLOCK_NEVER), -EAGAIN);
    close(pipe_fds[1]); /* end of file: run() returns */
    assert_int_equal(work_pool_close(pool, 2000), 0);
    assert_int_equal(first.n_done + more[0].n_done + more[1].n_done, 3);
    assert_int_equal(more[2].n_done, 0);
    close(pipe_fds[0]);
}

static void test_close_abandons_what_hangs(void **state)
{
    struct work_pool *pool;
    int pipe_fds[2];
    assert_int_equal(pipe(pipe_fds), 0);
    static struct probe hung; /* outlives the test, as what a hung call owns must */
    hung.block_fd = pipe_fds[0];
    assert_int_equal(work_pool_open("t", 1, 2, &pool), 0);
    assert_int_equal(work_pool_submit(pool, &plain, &hung, CLOCK_NEVER), 0);
    while (work_pool_oldest_ms(pool, NULL) == 0)
        usleep(1000);
    int64_t before_ms = clock_now_ms();
    assert_int_equal(work_pool_close(pool, 100), -EBUSY);
    assert_true(clock_now_ms() - before_ms < 2000);
    assert_int_equal(hung.n_done, 1);
    assert_int_equal(hung.outcome, WORK_UNKNOWN);
    assert_int_equal(hung.n_released, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_result_comes_back),         cmocka_unit_test(test_unknown_then_late),
        cmocka_unit_test(test_one_namespace_operation),   cmocka_unit_test(test_queue_is_bounded),
        cmocka_unit_test(test_close_abandons_what_hangs),
    };
    return cmocka_run_group_tests_name("work_pool", tests, NULL, NULL);
}
