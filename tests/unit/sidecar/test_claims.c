/* Who gets a file, when, and what becomes of it when its client is done, fails or leaves. */
#include "tests/unit/sidecar/claims_fixture.h"

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
    const struct CMUnitTest tests[] = {
        WITH_CLAIMS(test_the_slot_is_proven_first),
        WITH_CLAIMS(test_waiting_for_the_start),
        WITH_CLAIMS(test_served_after_the_start),
        WITH_CLAIMS(test_a_client_that_leaves),
        WITH_CLAIMS(test_what_failed_rests_longer_each_time),
        WITH_CLAIMS(test_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
