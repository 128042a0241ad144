/* Who is granted a lock and when, and what becomes of it while it is held. */
#include "tests/unit/sidecar/locks_fixture.h"

#include "lib/share/lock_name.h"

struct sight {
    int looked, result;
    struct lock_sight of;
};

static void on_looked(void *arg, int r, const struct lock_sight *of, const struct error *err)
{
    struct sight *sight = arg;
    sight->looked++;
    sight->result = r;
    if (of)
        sight->of = *of;
}

static void test_tokens_grow(void **state)
{
    struct client client;
    for (uint64_t n = 1; n <= 3; n++) {
        ask(&client, "a", 0);
        run_until(client.granted);
        assert_int_equal(client.token.generation, 7);
        assert_int_equal(client.token.n, n);
        assert_true(client.valid_until_ms > clock_now_ms());
        assert_true(client.valid_until_ms <= clock_now_ms() + FENCE_MS - PROMISE_MARGIN_MS);
        give_back(&client);
    }
    assert_int_equal(released, 3);
    assert_string_equal(released_name, "a");
    assert_int_equal(holding, 3);
    assert_true(locks_are_free(locks));
}

static void test_first_come_first_served(void **state)
{
    struct client clients[10];
    for (int i = 0; i < 10; i++)
        ask(&clients[i], "a", -1);
    for (uint64_t i = 0; i < 10; i++) {
        run_until(clients[i].granted);
        for (uint64_t j = i + 1; j < 10; j++)
            assert_int_equal(clients[j].granted, 0);
        assert_int_equal(clients[i].token.n, i + 1);
        give_back(&clients[i]);
    }
    assert_true(released >= 2); /* now and then others have their chance */
    assert_true(released < 10);
}

static void test_a_try_and_a_wait_that_fail(void **state)
{
    struct client client;
    int fd = rival("a");
    struct lock_record record = {.token = {.n = 1}, .fence_ms = FENCE_MS, .task = "other"};
    assert_int_equal(lock_file_write(fd, &record), 0);
    ask(&client, "a", 0);
    run_until(client.ended);
    assert_int_equal(client.end, LOCK_END_TIMEOUT);
    ask(&client, "a", 300);
    run_until(client.ended);
    assert_int_equal(client.end, LOCK_END_TIMEOUT);
    assert_int_equal(client.waiting, 1);
    assert_string_equal(client.holder, "other");
    record.clean = true;
    assert_int_equal(lock_file_write(fd, &record), 0);
    ask(&client, "a", -1);
    run_ms(300);
    assert_int_equal(client.granted, 0);
    close(fd);
    run_until(client.granted);
    assert_int_equal(client.token.n, 2);
    give_back(&client);
}

static void test_an_unclean_lock_is_fenced(void **state)
{
    struct client client;
    int fd = rival("a/b");
    struct lock_record record = {.token = {.generation = 7, .n = 41}, .fence_ms = 700};
    assert_int_equal(lock_file_write(fd, &record), 0);
    assert_int_equal(mkdir(".efs-stage", 0755) | mkdir(".efs-stage/a%2Fb", 0755), 0);
    const char *staged[] = {"7.41-1", "6.99-2", "junk", "7.42-1"};
    for (int i = 0; i < 4; i++) {
        char path[64];
        snprintf(path, sizeof(path), ".efs-stage/a%%2Fb/%s", staged[i]);
        close(open(path, O_WRONLY | O_CREAT, 0644));
    }
    close(fd);
    int64_t began_ms = clock_now_ms();
    ask(&client, "a/b", -1);
    run_until(client.granted);
    assert_true(client.granted_ms - began_ms >= 700);
    assert_int_equal(client.token.n, 42);
    for (int i = 0; i < 4; i++) {
        char path[64];
        snprintf(path, sizeof(path), ".efs-stage/a%%2Fb/%s", staged[i]);
        assert_int_equal(access(path, F_OK) == 0, i == 3);
    }
    struct lock_counts counts;
    locks_count(locks, &counts);
    assert_int_equal(counts.fence_waits, 1);
    give_back(&client);
}

static bool file_is_clean(const char *name)
{
    struct lock_record record;
    int fd;
    struct error err;
    assert_int_equal(lock_file_open(&place, name, false, &fd, &err), 0);
    assert_int_equal(lock_file_read(fd, &record), 0);
    close(fd);
    return record.clean;
}

/* A cron job that only tries must have the lock one day. */
static void test_tries_heal_an_unclean_lock(void **state)
{
    struct client client;
    int fd = rival("a");
    struct lock_record record = {.token = {.generation = 7, .n = 4}, .fence_ms = 700};
    assert_int_equal(lock_file_write(fd, &record), 0);
    close(fd);
    int64_t began_ms = clock_now_ms();
    ask(&client, "a", 0);
    run_until(client.ended);
    assert_int_equal(client.end, LOCK_END_TIMEOUT);
    run_until(locks_are_free(locks));
    assert_true(clock_now_ms() - began_ms >= 700);
    assert_true(file_is_clean("a"));
    ask(&client, "a", 0);
    run_until(client.granted);
    assert_true(client.token.n > 5);
    give_back(&client);
}

static void test_looking_at_a_file(void **state)
{
    struct client client;
    struct error err;
    struct sight sight = {0};
    assert_int_equal(locks_look(locks, "", on_looked, &sight, &err), -EINVAL);
    assert_int_equal(locks_look(locks, "a", on_looked, &sight, &err), 0);
    run_until(sight.looked);
    assert_int_equal(sight.result, 0);
    assert_false(sight.of.has_record || sight.of.taken);
    ask(&client, "a", 0);
    run_until(client.granted);
    sight = (struct sight){0};
    assert_int_equal(locks_look(locks, "a", on_looked, &sight, &err), 0);
    run_until(sight.looked);
    assert_true(sight.of.has_record && sight.of.taken && !sight.of.record.clean);
    assert_string_equal(sight.of.record.purpose, "test");
    give_back(&client);
}

static void test_proofs_keep_it_valid(void **state)
{
    struct client client;
    ask(&client, "a", 0);
    run_until(client.granted);
    run_ms(FENCE_MS);
    assert_true(client.valid >= 3);
    assert_true(client.valid_until_ms > clock_now_ms());
    assert_int_equal(client.lost, 0);
    give_back(&client);
}

/* Nobody has the lock before the promise is over: not even the next one here. */
static void test_a_publish_that_is_unknown(void **state)
{
    struct client first, next;
    ask(&first, "a", -1);
    ask(&next, "a", -1);
    run_until(first.granted);
    struct lock_token stale = {.generation = 7, .n = 2};
    assert_ptr_equal(locks_find_token(locks, "a", &first.token), first.hold);
    assert_null(locks_find_token(locks, "a", &stale));
    assert_null(locks_find_token(locks, "b", &first.token));
    lock_hold_publish_begin(first.hold);
    int64_t released_ms = clock_now_ms();
    lock_hold_release(first.hold, false, 0);
    assert_null(locks_find_token(locks, "a", &first.token));
    run_until(first.ended);
    assert_int_equal(first.end, LOCK_END_LOST);
    assert_int_equal(released, 0);
    run_until(next.granted);
    assert_true(next.granted_ms >= released_ms + FENCE_MS);
    assert_int_equal(next.token.n, 2);

    lock_hold_publish_begin(next.hold);
    lock_hold_publish_end(next.hold);
    give_back(&next);
}

static void test_an_abandoned_hold_is_kept_for_its_time(void **state)
{
    struct client client, next;
    ask(&client, "a", 0);
    run_until(client.granted);
    ask(&next, "a", -1);
    lock_hold_abandon(client.hold);
    run_until(next.granted);
    assert_true(next.granted_ms >= client.valid_until_ms);
    assert_int_equal(client.ended, 0);
    lock_hold_abandon(next.hold);
    run_until(locks_are_free(locks));
    assert_true(clock_now_ms() >= next.valid_until_ms);
}

static void test_an_abandoned_wait_is_gone(void **state)
{
    struct client client, waiter;
    ask(&client, "a", 0);
    run_until(client.granted);
    ask(&waiter, "a", -1);
    run_ms(100);
    lock_hold_abandon(waiter.hold);
    give_back(&client);
    run_until(locks_are_free(locks));
    assert_int_equal(waiter.granted, 0);
}

static void test_a_removed_file_is_a_lost_lock(void **state)
{
    struct client client, next;
    char path[LOCK_PATH_SIZE], full[LOCK_PATH_SIZE + 32];
    ask(&client, "a", 0);
    run_until(client.granted);
    snprintf(full, sizeof(full), ".efs-sidecar/%s", lock_name_path("a", path));
    assert_int_equal(unlink(full), 0);
    run_until(client.lost);
    assert_int_equal(client.ended, 0);
    assert_false(locks_are_free(locks));
    assert_ptr_equal(locks_find_hold(locks, lock_hold_id(client.hold)), client.hold);
    ask(&next, "a", -1);
    run_until(next.granted);
    lock_hold_release(client.hold, false, 0);
    assert_int_equal(client.end, LOCK_END_LOST);
    give_back(&next);
}

static void test_once(void **state)
{
    struct client first, second, other;
    assert_int_equal(ask_how(&first, "job", -1, true), 0);
    run_until(first.granted);
    assert_int_equal(ask_how(&second, "job", -1, true), 0);
    lock_hold_release(first.hold, false, 9); /* it failed: the key is free */
    run_until(second.granted);
    ask(&other, "job", -1);
    assert_int_equal(ask_how(&first, "job", -1, true), 0);
    lock_hold_release(second.hold, true, 3);
    run_until(first.ended);
    assert_int_equal(first.end, LOCK_END_DONE);
    assert_int_equal(first.exit_status, 3);
    run_until(other.granted); /* who does not ask for once gets the lock */
    give_back(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_LOCKS(test_tokens_grow),
        WITH_LOCKS(test_first_come_first_served),
        WITH_LOCKS(test_a_try_and_a_wait_that_fail),
        WITH_LOCKS(test_an_unclean_lock_is_fenced),
        WITH_LOCKS(test_tries_heal_an_unclean_lock),
        WITH_LOCKS(test_looking_at_a_file),
        WITH_LOCKS(test_proofs_keep_it_valid),
        WITH_LOCKS(test_a_publish_that_is_unknown),
        WITH_LOCKS(test_an_abandoned_hold_is_kept_for_its_time),
        WITH_LOCKS(test_an_abandoned_wait_is_gone),
        WITH_LOCKS(test_a_removed_file_is_a_lost_lock),
        WITH_LOCKS(test_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
