/* What becomes of a claimed file when slot, mount or directory fail. */
#include "tests/unit/sidecar/claims_fixture.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_CLAIMS(test_a_proof_that_does_not_come),
        WITH_CLAIMS(test_a_lost_slot),
        WITH_CLAIMS(test_what_cannot_be_given_back_is_tried_again),
        WITH_CLAIMS(test_a_directory_of_claims_that_was_removed),
        WITH_CLAIMS(test_a_mount_that_hangs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
