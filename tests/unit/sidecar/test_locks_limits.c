/* Who waits for a lock that cannot be had yet, or never will: before the start, while the mount
 * hangs, beyond the limits, at the end. */
#include "tests/unit/sidecar/locks_fixture.h"

#include <time.h>

#include "lib/share/lock_name.h"

static int hang_run(void *arg)
{
    char end;
    return read(*(int *)arg, &end, 1) == 1 ? 0 : -EIO;
}

static void hang_done(void *arg, enum work_outcome outcome, int result) {}

/* The tries end all the same, and nobody burns the processor meanwhile. */
static void test_a_mount_that_hangs(void **state)
{
    enum { CLIENTS = 40 };
    static const struct job hang = {
        .what = "hang", .namespace_op = true, .run = hang_run, .done = hang_done};
    struct client clients[CLIENTS];
    char name[16];
    int ends[2];
    locks_free(locks);
    locks = open_locks(CLIENTS, 100);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(work_pool_submit(names, &hang, &ends[0], CLOCK_NEVER), 0);
    for (int i = 0; i < CLIENTS; i++) {
        snprintf(name, sizeof(name), "n%d", i);
        ask(&clients[i], name, 0);
    }
    clock_t began = clock();
    run_ms(1000);
    assert_true(clock() - began < CLOCKS_PER_SEC / 3);
    run_until(clients[CLIENTS - 1].ended);
    for (int i = 0; i < CLIENTS; i++) {
        assert_int_equal(clients[i].end, LOCK_END_ERROR);
        assert_int_equal(clients[i].error, ETIMEDOUT);
    }
    assert_int_equal(write(ends[1], "x", 1), 1);
    ask(&clients[0], "n0", 3000);
    run_until(clients[0].granted);
    give_back(&clients[0]);
    run_until(locks_are_free(locks));
    close(ends[0]);
    close(ends[1]);
}

/* As when the slot is lost, and another one is had in a new generation. */
static void test_waiting_while_locks_are_not_ready(void **state)
{
    struct client waiter;
    int fd = rival("a");
    ask(&waiter, "a", -1);
    run_ms(300);
    locks_set_unready(locks, "no slot", false);
    close(fd);
    run_ms(800);
    assert_int_equal(waiter.granted, 0);
    locks_set_ready(locks, 8, false);
    run_until(waiter.granted);
    assert_int_equal(waiter.token.generation, 8);
    give_back(&waiter);
}

/* Who comes while the sidecar is being started waits for that, but not when it comes to nothing. */
static void test_waiting_for_the_start(void **state)
{
    struct client patient, trying, late;
    struct locks *ready = locks;
    locks = new_locks(16, 1000);
    locks_set_unready(locks, "it begins", true);
    ask(&patient, "a", -1);
    ask(&trying, "b", 0);
    run_ms(700);
    assert_false(patient.granted || patient.ended || trying.ended);
    locks_set_ready(locks, 7, false);
    run_until(patient.granted && trying.granted);
    give_back(&patient);
    give_back(&trying);
    locks_set_unready(locks, "it does not begin again", true);
    assert_int_equal(ask_how(&late, "a", -1, false), -EAGAIN);
    run_until(locks_are_free(locks));
    locks_free(locks);

    locks = new_locks(16, 1000);
    ask(&patient, "a", -1);
    ask(&trying, "a", 0);
    run_ms(100);
    locks_set_unready(locks, "no slot", false);
    assert_true(patient.ended && patient.end == LOCK_END_ERROR && patient.error == EAGAIN);
    assert_true(trying.ended && trying.end == LOCK_END_ERROR);
    assert_int_equal(ask_how(&late, "a", -1, false), -EAGAIN);
    locks_free(locks);
    locks = ready;
}

static void test_what_is_refused(void **state)
{
    struct client clients[5];
    char long_name[LOCK_NAME_MAX + 2];
    memset(long_name, 'x', sizeof(long_name) - 1);
    long_name[LOCK_NAME_MAX + 1] = '\0';
    assert_int_equal(ask_how(&clients[0], "", 0, false), -EINVAL);
    assert_int_equal(ask_how(&clients[0], long_name, 0, false), -EINVAL);
    for (int i = 0; i < 4; i++) {
        ask(&clients[i], (char[]){(char)('a' + i), 0}, -1);
        run_until(clients[i].granted);
    }
    assert_int_equal(ask_how(&clients[4], "e", 0, false), -EDQUOT);
    give_back(&clients[0]);
    run_until(ask_how(&clients[4], "e", -1, false) == 0); /* the one kept open made room */
    run_until(clients[4].granted);
    locks_set_unready(locks, "no slot", false);
    assert_int_equal(ask_how(&clients[0], "a", 0, false), -EAGAIN);
    locks_set_ready(locks, 7, false);
    for (int i = 1; i < 5; i++)
        give_back(&clients[i]);
}

static void test_ten_thousand_waiters_are_bounded(void **state)
{
    static struct client clients[LOCKS_NAME_WAITERS_MAX + 1];
    struct client holder, more;
    ask(&holder, "a", 0);
    run_until(holder.granted);
    for (int i = 0; i < LOCKS_NAME_WAITERS_MAX; i++)
        ask(&clients[i], "a", 400);
    assert_int_equal(ask_how(&more, "a", 400, false), -EDQUOT);
    run_until(clients[LOCKS_NAME_WAITERS_MAX - 1].ended);
    struct lock_counts counts;
    locks_count(locks, &counts);
    assert_int_equal(counts.waiting, 0);
    give_back(&holder);
}

static void test_names_over_time_leave_nothing_open(void **state)
{
    enum { NAMES = 300 };
    struct client client;
    char name[16];
    for (int i = 0; i < NAMES; i++) {
        snprintf(name, sizeof(name), "n%d", i);
        run_until(ask_how(&client, name, -1, false) == 0);
        run_until(client.granted);
        give_back(&client);
    }
    struct lock_counts counts;
    locks_count(locks, &counts);
    assert_true(counts.names <= 6);
    assert_int_equal(counts.granted, NAMES);
}

static void test_stopping(void **state)
{
    struct client holder, waiter;
    ask(&holder, "a", 0);
    run_until(holder.granted);
    ask(&waiter, "a", -1);
    locks_stop(locks);
    run_until(waiter.ended);
    assert_int_equal(waiter.error, ESHUTDOWN);
    assert_int_equal(ask_how(&waiter, "b", 0, false), -ESHUTDOWN);
    run_ms(200);
    assert_false(locks_are_free(locks));
    give_back(&holder);
    run_until(locks_are_free(locks));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_LOCKS(test_a_mount_that_hangs),
        WITH_LOCKS(test_waiting_while_locks_are_not_ready),
        WITH_LOCKS(test_waiting_for_the_start),
        WITH_LOCKS(test_what_is_refused),
        WITH_LOCKS(test_ten_thousand_waiters_are_bounded),
        WITH_LOCKS(test_names_over_time_leave_nothing_open),
        WITH_LOCKS(test_stopping),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
