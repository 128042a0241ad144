#include "sidecar/locks.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
/* cmocka needs the four above */
#include <cmocka.h>

#include "lib/clock.h"
#include "lib/ofd.h"
#include "lib/share/lock_name.h"
#include "sidecar/lock_file.h"
#include "sidecar/promise.h"

/* Real files, workers and clock; the promise is as short as the margin allows. */
enum { FENCE_MS = PROMISE_MARGIN_MS + 600, PATIENCE_MS = 30 * 1000 };

static char root[64];
static struct settings settings;
static struct place place;
static struct event_base *base;
static struct work_pool *calls, *names, *proofs;
static struct locks *locks;
static unsigned released, holding;
static char released_name[64];

/* What a client heard. */
struct client {
    struct lock_hold *hold;
    unsigned waiting, granted, valid, lost, ended;
    struct lock_token token;
    int64_t valid_until_ms, granted_ms, ended_ms;
    enum lock_end end;
    uint32_t exit_status;
    int error;
    char holder[LOCK_TEXT_MAX + 1];
};

static void on_waiting(void *arg, unsigned position, const struct lock_record *holder)
{
    struct client *client = arg;
    client->waiting = position;
    snprintf(client->holder, sizeof(client->holder), "%s", holder ? holder->task : "");
}

static void on_granted(void *arg, const struct lock_token *token, int64_t valid_until_ms)
{
    struct client *client = arg;
    client->granted++;
    client->token = *token;
    client->valid_until_ms = valid_until_ms;
    client->granted_ms = clock_now_ms();
}

static void on_valid(void *arg, int64_t valid_until_ms)
{
    struct client *client = arg;
    assert_true(valid_until_ms >= client->valid_until_ms);
    client->valid++;
    client->valid_until_ms = valid_until_ms;
}

static void on_lost(void *arg, const char *why, int64_t valid_until_ms)
{
    struct client *client = arg;
    client->lost++;
}

static void on_ended(void *arg, enum lock_end end, uint32_t exit_status, const struct error *err)
{
    struct client *client = arg;
    client->ended++;
    client->ended_ms = clock_now_ms();
    client->end = end;
    client->exit_status = exit_status;
    client->error = err ? err->code : 0;
}

static const struct lock_client_ops ops = {on_waiting, on_granted, on_valid, on_lost, on_ended};

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

static void on_pool(evutil_socket_t fd, short what, void *arg)
{
    work_pool_dispatch(arg);
}

static void on_released(void *arg, const char *name, uint64_t n)
{
    released++;
    snprintf(released_name, sizeof(released_name), "%s", name);
}

static void on_holding(void *arg, bool any)
{
    holding += any;
}

static struct work_pool *open_pool(struct event **ret_event)
{
    struct work_pool *pool;
    assert_int_equal(work_pool_open("test", 2, 64, &pool), 0);
    *ret_event = event_new(base, work_pool_fd(pool), EV_READ | EV_PERSIST, on_pool, pool);
    event_add(*ret_event, NULL);
    return pool;
}

static struct event *events[3];

static struct locks *new_locks(unsigned max, int64_t proof_interval_ms)
{
    struct locks *opened;
    const struct locks_options options = {
        .base = base,
        .place = &place,
        .calls = calls,
        .names = names,
        .proofs = proofs,
        .fence_ms = FENCE_MS,
        .proof_interval_ms = proof_interval_ms,
        .max = max,
        .zone = "zone-a",
        .released = on_released,
        .holding = on_holding,
    };
    assert_int_equal(locks_new(&options, &opened), 0);
    return opened;
}

static struct locks *open_locks(unsigned max, int64_t proof_interval_ms)
{
    struct locks *opened = new_locks(max, proof_interval_ms);
    locks_set_ready(opened, 7, false);
    return opened;
}

static int setup(void **state)
{
    strcpy(root, "/tmp/test_locks.XXXXXX");
    if (!mkdtemp(root) || chdir(root) < 0 || mkdir(".efs-sidecar", 0755) < 0)
        return -1;
    static char state_dir[] = ".efs-sidecar", task_name[] = "me", none[] = "";
    settings = (struct settings){
        .state_dir = state_dir, .state_mount = none, .state_gid = -1, .task_name = task_name};
    place = (struct place){.settings = &settings, .path = root, .name = "t", .writable = true};
    base = event_base_new();
    calls = open_pool(&events[0]);
    names = open_pool(&events[1]);
    proofs = open_pool(&events[2]);
    locks = open_locks(4, 100);
    released = holding = 0;
    return 0;
}

static int teardown(void **state)
{
    char command[128];
    work_pool_close(calls, 5000);
    work_pool_close(names, 5000);
    work_pool_close(proofs, 5000);
    locks_free(locks);
    for (int i = 0; i < 3; i++)
        event_free(events[i]);
    event_base_free(base);
    snprintf(command, sizeof(command), "rm -rf %s", root);
    if (chdir("/") < 0)
        return -1;
    return system(command); /* NOLINT(cert-env33-c): our own mkdtemp name */
}

static void run_ms(int64_t ms)
{
    int64_t until_ms = clock_now_ms() + ms;
    while (clock_now_ms() < until_ms) {
        event_base_loopexit(base, &(struct timeval){.tv_usec = 5000});
        event_base_dispatch(base);
    }
}

#define run_until(condition)                                                                       \
    do {                                                                                           \
        int64_t until_ms_ = clock_now_ms() + PATIENCE_MS;                                          \
        while (!(condition)) {                                                                     \
            assert_true(clock_now_ms() < until_ms_);                                               \
            run_ms(5);                                                                             \
        }                                                                                          \
    } while (0)

static int ask_how(struct client *client, const char *name, int64_t wait_ms, bool once)
{
    struct error err;
    *client = (struct client){0};
    const struct lock_request request = {
        .name = name,
        .purpose = "test",
        .deadline_ms = wait_ms < 0 ? CLOCK_NEVER : clock_now_ms() + wait_ms,
        .once = once,
    };
    return locks_request(locks, &request, &ops, client, &client->hold, &err);
}

static void ask(struct client *client, const char *name, int64_t wait_ms)
{
    assert_int_equal(ask_how(client, name, wait_ms, false), 0);
}

static void give_back(struct client *client)
{
    lock_hold_release(client->hold, false, 0);
    run_until(client->ended);
    assert_int_equal(client->end, LOCK_END_RELEASED);
}

/* Another host, as far as the file is concerned. */
static int rival(const char *name)
{
    int fd;
    struct error err;
    assert_int_equal(lock_file_open(&place, name, false, &fd, &err), 0);
    assert_int_equal(lock_file_take(fd), 0);
    return fd;
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
#define WITH_LOCKS(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        WITH_LOCKS(test_tokens_grow),
        WITH_LOCKS(test_first_come_first_served),
        WITH_LOCKS(test_a_try_and_a_wait_that_fail),
        WITH_LOCKS(test_an_unclean_lock_is_fenced),
        WITH_LOCKS(test_tries_heal_an_unclean_lock),
        WITH_LOCKS(test_a_mount_that_hangs),
        WITH_LOCKS(test_waiting_while_locks_are_not_ready),
        WITH_LOCKS(test_waiting_for_the_start),
        WITH_LOCKS(test_looking_at_a_file),
        WITH_LOCKS(test_proofs_keep_it_valid),
        WITH_LOCKS(test_a_publish_that_is_unknown),
        WITH_LOCKS(test_an_abandoned_hold_is_kept_for_its_time),
        WITH_LOCKS(test_an_abandoned_wait_is_gone),
        WITH_LOCKS(test_a_removed_file_is_a_lost_lock),
        WITH_LOCKS(test_once),
        WITH_LOCKS(test_what_is_refused),
        WITH_LOCKS(test_ten_thousand_waiters_are_bounded),
        WITH_LOCKS(test_names_over_time_leave_nothing_open),
        WITH_LOCKS(test_stopping),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
