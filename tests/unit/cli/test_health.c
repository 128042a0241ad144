#include "cli/health.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka needs the four above */
#include <cmocka.h>

#include "lib/json.h"

static bool judge(const char *text, int64_t patience_ms, char *line)
{
    _cleanup_json_ json_t *root = NULL;
    assert_int_equal(json_parse(text, strlen(text), &root, NULL), 0);
    return health_judge(root, patience_ms, line);
}

static const char stalled[] = "{\"status\":\"ok\",\"conditions\":{\"MountReady\":\"False\"},"
                              "\"since_ms\":{\"MountReady\":320000}}";

static void test_loop_only(void **state)
{
    char line[HEALTH_LINE_MAX];
    assert_true(judge("{\"status\":\"ok\",\"conditions\":{\"MountReady\":\"True\"}}", -1, line));
    assert_string_equal(line, "healthy");
    assert_true(judge(stalled, -1, line));
    assert_string_equal(line, "healthy: the sidecar answers; a mount has not been ready for 5m20s");
}

static void test_fail_on_mount(void **state)
{
    char line[HEALTH_LINE_MAX];
    assert_true(judge(stalled, 320001, line));
    assert_string_equal(
        line, "healthy: a mount has not been ready for 5m20s, this task's limit is 5m20s");
    assert_false(judge(stalled, 320000, line));
    assert_string_equal(
        line, "unhealthy: a mount has not been ready for 5m20s, this task's limit is 5m20s");
}

/* Not known is not False: a new sidecar has not probed yet. */
static void test_unknown_is_healthy(void **state)
{
    char line[HEALTH_LINE_MAX];
    assert_true(judge("{\"status\":\"ok\",\"conditions\":{\"MountReady\":\"Unknown\"},"
                      "\"since_ms\":{\"MountReady\":900000}}",
                      0, line));
    assert_true(judge("{\"status\":\"ok\"}", 0, line));
}

static void test_not_the_sidecar(void **state)
{
    char line[HEALTH_LINE_MAX];
    assert_false(judge("{}", -1, line));
    assert_false(judge("{\"status\":7}", -1, line));
    assert_false(judge("{\"status\":\"dying\"}", -1, line));
    assert_string_equal(line, "unhealthy: the sidecar says \"dying\"");
}

/* Hosts with similar names must not fail together: of 300 tasks the three minutes of the half that
 * is spread get between a fifth and a half each. */
static void test_patience_spreads(void **state)
{
    enum { FOR_MS = 360000, TASKS = 300, SLOT_MS = 60000 };
    int slots[FOR_MS / 2 / SLOT_MS + 1] = {0};
    for (int i = 0; i < TASKS; i++) {
        char name[64];
        snprintf(name, sizeof(name), "ip-10-0-%d-%d.ec2.internal", i / 100, i % 100);
        int64_t patience_ms = health_patience_ms(FOR_MS, name);
        assert_true(patience_ms == health_patience_ms(FOR_MS, name));
        assert_in_range(patience_ms, FOR_MS, FOR_MS + FOR_MS / 2);
        slots[(patience_ms - FOR_MS) / SLOT_MS]++;
    }
    for (size_t i = 0; i < FOR_MS / 2 / SLOT_MS; i++)
        assert_in_range(slots[i], TASKS / 5, TASKS / 2);
    assert_int_equal(health_patience_ms(0, "x"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loop_only),          cmocka_unit_test(test_fail_on_mount),
        cmocka_unit_test(test_unknown_is_healthy), cmocka_unit_test(test_not_the_sidecar),
        cmocka_unit_test(test_patience_spreads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
