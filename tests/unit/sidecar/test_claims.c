#include "sidecar/claims.h"

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
#include "sidecar/promise.h"

/* Real files and workers; the clock stands still until a test moves it. */
enum { FENCE_MS = 30 * 1000, START_MS = 1000 * 1000, PATIENCE_MS = 30 * 1000 };

static char root[64];
static struct settings settings;
static struct place place;
static struct event_base *base;
static struct event *pool_event;
static struct work_pool *names;
static struct claims *claims;
static bool holding;
static unsigned died;

/* What a client heard. */
struct client {
    struct claimer *claimer;
    unsigned waiting, claimed, valid, draining, ended;
    uint64_t id;
    unsigned attempts;
    char name[64];
    int64_t valid_until_ms;
    enum claimer_end end;
    int error;
};

static void on_waiting(void *arg)
{
    ((struct client *)arg)->waiting++;
}

static void on_claimed(void *arg, const struct claim_view *claim)
{
    struct client *client = arg;
    client->claimed++;
    client->id = claim->id;
    client->attempts = claim->attempts;
    client->valid_until_ms = claim->valid_until_ms;
    snprintf(client->name, sizeof(client->name), "%s", claim->name);
    assert_int_equal(access(claim->path, F_OK), 0);
}

static void on_valid(void *arg, int64_t valid_until_ms)
{
    struct client *client = arg;
    client->valid++;
    client->valid_until_ms = valid_until_ms;
}

static void on_draining(void *arg)
{
    ((struct client *)arg)->draining++;
}

static void on_ended(void *arg, enum claimer_end end, const struct error *err)
{
    struct client *client = arg;
    client->ended++;
    client->end = end;
    client->error = err ? err->code : 0;
}

static const struct claim_client_ops ops = {on_waiting, on_claimed, on_valid, on_draining,
                                            on_ended};

struct end {
    unsigned n;
    int r;
    enum claim_fate fate;
};

static void on_finished(void *arg, int r, enum claim_fate fate, const struct error *err)
{
    struct end *end = arg;
    *end = (struct end){.n = end->n + 1, .r = r, .fate = fate};
}

static void on_pool(evutil_socket_t fd, short what, void *arg)
{
    work_pool_dispatch(arg);
}

static void on_holding(void *arg, bool any)
{
    holding = any;
}

static void on_died(void *arg, const char *queue, const char *name, unsigned attempts)
{
    died++;
}

static struct owner owner_of(uint32_t epoch)
{
    return (struct owner){.generation = 7, .slot = 3, .epoch = epoch, .fence_ms = FENCE_MS};
}

static int setup(void **state)
{
    static char tasks[] = "tasks", task[] = "me", none[] = "", state_dir[] = ".efs-sidecar";
    strcpy(root, "/tmp/test_claims.XXXXXX");
    if (!mkdtemp(root) || chdir(root) < 0 || mkdir("tasks", 0755) < 0 ||
        mkdir("tasks/me", 0755) < 0 || mkdir("in", 0755) < 0)
        return -1;
    settings = (struct settings){.tasks_dir = tasks,
                                 .task_name = task,
                                 .state_dir = state_dir,
                                 .state_mount = none,
                                 .state_gid = -1,
                                 .fence_ms = FENCE_MS,
                                 .claim_max_attempts = 3};
    place = (struct place){.settings = &settings, .path = root, .name = "t", .writable = true};
    clock_fake_set(START_MS, 0);
    base = event_base_new();
    assert_int_equal(work_pool_open("test", 2, 64, &names), 0);
    pool_event = event_new(base, work_pool_fd(names), EV_READ | EV_PERSIST, on_pool, names);
    event_add(pool_event, NULL);
    const struct claims_options options = {.base = base,
                                           .place = &place,
                                           .names = names,
                                           .fence_ms = FENCE_MS,
                                           .holding = on_holding,
                                           .died = on_died};
    holding = false;
    died = 0;
    return claims_new(&options, &claims);
}

static int teardown(void **state)
{
    char command[128];
    clock_fake_off();
    work_pool_close(names, 5000);
    claims_free(claims);
    event_free(pool_event);
    event_base_free(base);
    snprintf(command, sizeof(command), "rm -rf %s", root);
    if (chdir("/") < 0)
        return -1;
    return system(command); /* NOLINT(cert-env33-c): our own mkdtemp name */
}

/* What is due now, and what follows from it. */
static void turn(void)
{
    claims_step(claims);
    event_base_loop(base, EVLOOP_NONBLOCK);
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

#define run_until(condition)                                                                       \
    do {                                                                                           \
        int left_ = PATIENCE_MS;                                                                   \
        while (!(condition)) {                                                                     \
            assert_true(left_-- > 0);                                                              \
            turn();                                                                                \
        }                                                                                          \
    } while (0)

/* Nothing of it happens, however often it is looked at. */
#define never(condition)                                                                           \
    do {                                                                                           \
        for (int i_ = 0; i_ < 50; i_++) {                                                          \
            turn();                                                                                \
            assert_false(condition);                                                               \
        }                                                                                          \
    } while (0)

static void touch(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);
    assert_true(fd >= 0);
    close(fd);
}

static unsigned count(const char *pattern)
{
    char command[256];
    char number[16] = "";
    snprintf(command, sizeof(command), "ls -d %s 2>/dev/null | wc -l", pattern);
    FILE *p = popen(command, "r"); /* NOLINT(cert-env33-c) */
    assert_non_null(fgets(number, sizeof(number), p));
    pclose(p);
    return (unsigned)strtoul(number, NULL, 10);
}

static void ask(struct client *client, int64_t wait_ms)
{
    struct error err;
    const struct claim_request request = {
        .queue = "in", .match = "", .batch = 1, .wait_ms = wait_ms};
    *client = (struct client){0};
    assert_int_equal(claims_request(claims, &request, &ops, client, &client->claimer, &err), 0);
}

/* A slot that was proven just now. */
static void be_ready(uint32_t epoch)
{
    const struct owner owner = owner_of(epoch);
    claims_set_ready(claims, &owner);
    claims_proven(claims, clock_now_ms());
}

static struct end finish(struct client *client, enum claim_word word)
{
    struct end end = {0};
    struct error err;
    assert_int_equal(claims_finish(claims, client->id, word, on_finished, &end, &err), 0);
    run_until(end.n);
    return end;
}

static void test_the_slot_is_proven_first(void **state)
{
    struct client client;
    const struct owner owner = owner_of(1);
    claims_proven(claims, START_MS - FENCE_MS); /* long ago */
    claims_set_ready(claims, &owner);
    touch("in/a");
    ask(&client, -1);
    run_until(holding);
    never(client.claimed);
    claims_proven(claims, START_MS);
    run_until(client.claimed);
    assert_int_equal(client.valid_until_ms, START_MS + FENCE_MS - PROMISE_MARGIN_MS);
    clock_fake_advance(5000);
    claims_proven(claims, START_MS + 4000);
    assert_int_equal(client.valid, 1);
    assert_int_equal(client.valid_until_ms, START_MS + 4000 + FENCE_MS - PROMISE_MARGIN_MS);
    struct end end = finish(&client, CLAIM_DONE);
    assert_true(end.r == 0 && end.fate == CLAIM_IS_DONE);
    run_until(!holding);
    assert_int_equal(count("in/a tasks/me/.claims/3-1/1.0/a"), 0);
}

/* No proof comes: the client hears of it in time, and its file is kept until it is surely gone. */
static void test_a_proof_that_does_not_come(void **state)
{
    struct client client, other;
    be_ready(1);
    touch("in/a");
    ask(&client, -1);
    run_until(client.claimed);
    clock_fake_advance(promise_lost_ms(0, FENCE_MS) - 1);
    never(client.ended);
    clock_fake_advance(1);
    run_until(client.ended);
    assert_true(client.end == CLAIMER_LOST && client.error == EIO);
    assert_true(clock_now_ms() < client.valid_until_ms);
    claims_proven(claims, clock_now_ms()); /* it was not lost after all */
    ask(&other, -1);
    run_until(other.waiting);
    clock_fake_set(client.valid_until_ms + PROMISE_MARGIN_MS - 1, 0);
    claims_proven(claims, clock_now_ms());
    never(count("in/.retry/1.*/a"));
    clock_fake_advance(1);
    run_until(count("in/.retry/1.*/a"));
    never(other.claimed);
    clock_fake_advance(1000);
    run_until(other.claimed);
    assert_int_equal(other.attempts, 1);
    claimer_abandon(other.claimer);
}

/* Who comes while the sidecar is being started waits for that, but not when it comes to nothing. */
static void test_waiting_for_the_start(void **state)
{
    struct client client;
    struct error err;
    const struct claim_request request = {.queue = "in", .match = "", .batch = 1, .wait_ms = -1};
    touch("in/a");
    ask(&client, -1);
    claims_set_unready(claims, "it begins", true);
    never(client.claimed || client.ended);
    claims_set_unready(claims, "no slot", false);
    assert_true(client.ended && client.end == CLAIMER_ERROR && client.error == EAGAIN);
    assert_int_equal(claims_request(claims, &request, &ops, &client, &client.claimer, &err),
                     -EAGAIN);
}

static void test_served_after_the_start(void **state)
{
    struct client client, trying;
    touch("in/a");
    touch("in/b");
    ask(&client, -1);
    ask(&trying, 0);
    claims_set_unready(claims, "it begins", true);
    never(client.ended || trying.ended);
    be_ready(1);
    run_until(client.claimed && trying.claimed);
    finish(&client, CLAIM_DONE);
    finish(&trying, CLAIM_DONE);
    claimer_abandon(client.claimer);
    run_until(trying.ended);
}

/* What lies in the directory of the epoch that was is the business of others. */
static void test_a_lost_slot(void **state)
{
    struct client client, next;
    struct error err;
    be_ready(1);
    touch("in/a");
    ask(&client, -1);
    run_until(client.claimed);
    claims_set_unready(claims, "the slot is gone", false);
    assert_true(client.ended && client.end == CLAIMER_LOST);
    assert_int_equal(claims_finish(claims, client.id, CLAIM_DONE, on_finished, NULL, &err),
                     -ENOENT);
    be_ready(2);
    touch("in/b");
    ask(&next, 0);
    run_until(next.claimed);
    assert_string_equal(next.name, "b");
    assert_int_equal(count("tasks/me/.claims/3-1/*.0/a"), 1);
    assert_int_equal(count("tasks/me/.claims/3-2/*.0/b"), 1);
    finish(&next, CLAIM_DONE);
    run_until(next.ended);
    assert_int_equal(next.end, CLAIMER_TIMEOUT);
}

static void test_a_client_that_leaves(void **state)
{
    struct client client;
    be_ready(1);
    touch("in/a");
    ask(&client, -1);
    run_until(client.claimed);
    claimer_abandon(client.claimer);
    clock_fake_set(client.valid_until_ms + PROMISE_MARGIN_MS - 1, 0);
    claims_proven(claims, clock_now_ms());
    never(count("in/.retry/*/a"));
    clock_fake_advance(1);
    run_until(count("in/.retry/1.*/a"));
    assert_int_equal(client.ended + client.valid, 0);
}

static void test_what_failed_rests_longer_each_time(void **state)
{
    struct client client;
    be_ready(1);
    touch("in/a");
    ask(&client, -1);
    for (unsigned i = 0; i < 2; i++) {
        run_until(client.claimed == i + 1);
        assert_int_equal(client.attempts, i);
        assert_int_equal(finish(&client, CLAIM_FAILED).fate, CLAIM_IS_RETURNED);
        claims_changed(claims, "in/x"); /* it is looked at */
        never(client.claimed > i + 1);
        clock_fake_advance(i == 0 ? 999 : 1999);
        claims_changed(claims, "in/x");
        never(client.claimed > i + 1);
        clock_fake_advance(1);
        claims_proven(claims, clock_now_ms());
    }
    run_until(client.claimed == 3);
    assert_int_equal(finish(&client, CLAIM_FAILED).fate, CLAIM_IS_DEAD);
    assert_int_equal(died, 1);
    assert_int_equal(count("in/.dead/3.*/a"), 1);
    claimer_abandon(client.claimer);
}

/* A full disk, or a queue that nobody can enter just now. */
static void test_what_cannot_be_given_back_is_tried_again(void **state)
{
    struct client client;
    be_ready(1);
    touch("in/a");
    ask(&client, -1);
    run_until(client.claimed);
    assert_int_equal(rename("in", "aside") | symlink("/tmp", "in"), 0);
    assert_true(finish(&client, CLAIM_RELEASED).r < 0);
    assert_int_equal(count("tasks/me/.claims/3-1/1.0/a"), 1);
    run_until(client.ended); /* nor can it be listed */
    assert_int_equal(client.end, CLAIMER_ERROR);
    assert_int_equal(unlink("in") | rename("aside", "in"), 0);
    never(count("in/.retry/0.*/a"));
    clock_fake_advance(5000);
    run_until(count("in/.retry/0.*/a"));
}

static void test_a_directory_of_claims_that_was_removed(void **state)
{
    struct client client;
    be_ready(1);
    touch("in/a");
    ask(&client, -1);
    run_until(client.claimed);
    assert_int_equal(system("rm -rf tasks/me/.claims"), 0); /* NOLINT(cert-env33-c) */
    assert_int_equal(finish(&client, CLAIM_DONE).r, -ESTALE);
    touch("in/b");
    claims_changed(claims, "in/b");
    never(client.claimed == 2);
    clock_fake_advance(1000);
    claims_changed(claims, "in/b");
    run_until(client.claimed == 2);
    assert_string_equal(client.name, "b");
    assert_int_equal(count("tasks/me/.claims/3-1/*/b"), 1);
    claimer_abandon(client.claimer);
}

static int hang_run(void *arg)
{
    char end;
    return read(*(int *)arg, &end, 1) == 1 ? 0 : -EIO;
}

static void hang_done(void *arg, enum work_outcome outcome, int result) {}

static void test_a_mount_that_hangs(void **state)
{
    static const struct job hang = {
        .what = "hang", .namespace_op = true, .run = hang_run, .done = hang_done};
    struct client waits, tries;
    int ends[2];
    be_ready(1);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(work_pool_submit(names, &hang, &ends[0], CLOCK_NEVER), 0);
    ask(&tries, 0);
    ask(&waits, -1);
    clock_fake_advance(2999);
    never(tries.ended);
    clock_fake_advance(1);
    run_until(tries.ended);
    assert_true(tries.end == CLAIMER_ERROR && tries.error == ETIMEDOUT);
    touch("in/a");
    assert_int_equal(write(ends[1], "x", 1), 1);
    claims_proven(claims, clock_now_ms());
    run_until(waits.claimed);
    claimer_abandon(waits.claimer);
    close(ends[0]);
    close(ends[1]);
}

static void test_the_end(void **state)
{
    struct client busy, idle;
    struct error err;
    const struct claim_request request = {.queue = "in", .match = "", .batch = 1};
    be_ready(1);
    touch("in/a");
    ask(&busy, -1);
    run_until(busy.claimed);
    ask(&idle, -1);
    run_until(idle.waiting);
    claims_stop(claims);
    run_until(idle.ended);
    assert_int_equal(idle.end, CLAIMER_DRAINED);
    assert_true(busy.draining == 1 && !busy.ended);
    assert_int_equal(claims_request(claims, &request, &ops, &idle, &idle.claimer, &err),
                     -ESHUTDOWN);
    never(claims_are_free(claims));
    finish(&busy, CLAIM_DONE);
    run_until(claims_are_free(claims));
    assert_int_equal(busy.end, CLAIMER_DRAINED);
    assert_int_equal(count("tasks/me/.claims/*"), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_the_slot_is_proven_first),
        TEST(test_a_proof_that_does_not_come),
        TEST(test_a_lost_slot),
        TEST(test_waiting_for_the_start),
        TEST(test_served_after_the_start),
        TEST(test_a_client_that_leaves),
        TEST(test_what_failed_rests_longer_each_time),
        TEST(test_what_cannot_be_given_back_is_tried_again),
        TEST(test_a_directory_of_claims_that_was_removed),
        TEST(test_a_mount_that_hangs),
        TEST(test_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
