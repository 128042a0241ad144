/* Conditions: when they turn, what they say, and what is worst over several mounts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/clock.h"
#include "lib/json.h"
#include "sidecar/health.h"

static int set_up(void **state)
{
    clock_fake_set(1000, 1800000000000);
    return 0;
}

static int tear_down(void **state)
{
    clock_fake_off();
    return 0;
}

static void count_change(void *arg)
{
    ++*(int *)arg;
}

static void test_turns(void **state)
{
    struct conditions c;
    int changes = 0;
    conditions_init(&c, "/data");
    c.changed = count_change;
    c.arg = &changes;
    const struct condition *mount = &c.of[CONDITION_MOUNT_READY];
    assert_int_equal(mount->status, CONDITION_UNKNOWN);
    assert_string_equal(mount->reason, CONDITION_NOT_ENABLED);

    clock_fake_advance(500);
    assert_true(conditions_set(&c, CONDITION_MOUNT_READY, CONDITION_TRUE, "Answers", "fine"));
    assert_int_equal(mount->since_ms, 1500);
    clock_fake_advance(500);
    assert_false(conditions_set(&c, CONDITION_MOUNT_READY, CONDITION_TRUE, "Answers", "%d ms", 3));
    assert_string_equal(mount->message, "3 ms");
    /* Another reason is news, but not a transition. */
    assert_true(conditions_set(&c, CONDITION_MOUNT_READY, CONDITION_TRUE, "Other", "fine"));
    assert_int_equal(mount->since_ms, 1500);
    assert_true(conditions_set(&c, CONDITION_MOUNT_READY, CONDITION_FALSE, "MountStalled", "no"));
    assert_int_equal(mount->since_ms, 2000);
    assert_int_equal(mount->since_wall_ms, 1800000001000);
    assert_int_equal(changes, 3);
}

static void test_worst(void **state)
{
    struct conditions sum, a, b;
    const struct conditions *const sets[] = {&a, &b};
    conditions_init(&sum, NULL);
    conditions_init(&a, "/a");
    conditions_init(&b, "/b");

    conditions_set(&a, CONDITION_MOUNT_READY, CONDITION_TRUE, "Answers", "1 ms");
    conditions_worst(&sum, sets, 2); /* b's is not enabled and says nothing */
    assert_int_equal(sum.of[CONDITION_MOUNT_READY].status, CONDITION_TRUE);
    assert_string_equal(sum.of[CONDITION_LOCKS_READY].reason, CONDITION_NOT_ENABLED);

    conditions_set(&b, CONDITION_MOUNT_READY, CONDITION_UNKNOWN, "Starting", "wait");
    conditions_worst(&sum, sets, 2);
    assert_string_equal(sum.of[CONDITION_MOUNT_READY].message, "/b: wait");

    conditions_set(&a, CONDITION_MOUNT_READY, CONDITION_FALSE, "ReadOnly", "no");
    conditions_worst(&sum, sets, 2);
    assert_string_equal(sum.of[CONDITION_MOUNT_READY].reason, "ReadOnly");
    assert_string_equal(sum.of[CONDITION_MOUNT_READY].message, "/a: no");

    conditions_worst(&sum, sets, 1);
    assert_string_equal(sum.of[CONDITION_MOUNT_READY].message, "no");

    /* What is not a mount's is left alone. */
    conditions_set(&sum, CONDITION_METRICS_PUBLISHING, CONDITION_TRUE, "Sending", "ok");
    conditions_worst(&sum, sets, 2);
    assert_int_equal(sum.of[CONDITION_METRICS_PUBLISHING].status, CONDITION_TRUE);
}

static void test_json(void **state)
{
    struct conditions c;
    conditions_init(&c, "/data");
    conditions_set(&c, CONDITION_MOUNT_READY, CONDITION_FALSE, "MountStalled", "name \xff");
    _cleanup_json_ json_t *array = conditions_to_json(&c);
    assert_int_equal(json_array_size(array), CONDITION_TYPES);
    const json_t *first = json_array_get(array, 0);
    assert_string_equal(json_string_value(json_object_get(first, "type")), "MountReady");
    assert_string_equal(json_string_value(json_object_get(first, "status")), "False");
    assert_string_equal(json_string_value(json_object_get(first, "reason")), "MountStalled");
    assert_string_equal(json_string_value(json_object_get(first, "message")), "name ?");
    assert_string_equal(json_string_value(json_object_get(first, "lastTransition")),
                        "2027-01-15T08:00:00.000Z");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_turns, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_worst, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_json, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
