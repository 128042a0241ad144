/* What `efsctl top` shows of two answers. */
#include "cli/top_view.h"

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka needs the four above */
#include <cmocka.h>

#include "lib/json.h"

static json_t *parse(const char *text)
{
    json_error_t where;
    json_t *root = json_loads(text, JSON_ALLOW_NUL, &where);
    if (!root)
        fail_msg("%s at %d in %s", where.text, where.position, text);
    return root;
}

static char *print(const char *const now[2], const char *const before[2], int rows)
{
    struct top_look looks[2] = {{parse(now[0]), parse(now[1])}};
    if (before)
        looks[1] = (struct top_look){parse(before[0]), parse(before[1])};
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    top_print(&looks[0], &looks[1], rows, out);
    fclose(out);
    for (size_t i = 0; i < 2; i++) {
        json_decref(looks[i].status);
        json_decref(looks[i].metrics);
    }
    return text;
}

static const char *const first[] = {
    "{\"pid\":12,\"uptime_ms\":190000,\"mounts\":[{\"path\":\"/data\",\"nfs\":{\"operations\":["
    "{\"name\":\"READ\",\"calls\":100,\"transmissions\":100,\"errors\":0,\"sent_bytes\":0,"
    "\"received_bytes\":0,\"queue_ms\":0,\"round_trip_ms\":0,\"execute_ms\":0}]}}]}",
    "{\"uptime_ms\":190000,\"groups\":["
    "{\"mount\":\"\",\"metrics\":[{\"name\":\"ApiRequests\",\"value\":5}]},"
    "{\"mount\":\"/data\",\"metrics\":[{\"name\":\"NfsReadBytes\",\"value\":1000},"
    "{\"name\":\"WatchChanges\",\"value\":300}]}]}"};

static const char *const second[] = {
    "{\"version\":\"0.1.0\",\"task\":\"web-1\",\"pid\":12,\"uptime_ms\":192000,\"conditions\":["
    "{\"type\":\"MountReady\",\"status\":\"False\",\"reason\":\"MountStalled\","
    "\"message\":\"/data does not answer\"},"
    "{\"type\":\"FeedReady\",\"status\":\"True\",\"reason\":\"Watching\",\"message\":\"x\"},"
    "{\"type\":\"CacheReady\",\"status\":\"Unknown\",\"reason\":\"NotEnabled\","
    "\"message\":\"hidden\"}],"
    "\"mounts\":[{\"path\":\"/data\",\"stalled_ms\":42000,\"canary_ms\":3,"
    "\"conditions\":[{\"type\":\"MountReady\",\"status\":\"False\"}],"
    "\"nfs\":{\"operations\":[{\"name\":\"GETATTR\",\"calls\":4,\"transmissions\":4,"
    "\"errors\":1,\"sent_bytes\":400,\"received_bytes\":400,\"queue_ms\":0,\"round_trip_ms\":2,"
    "\"execute_ms\":2},{\"name\":\"READ\",\"calls\":150,\"transmissions\":152,\"errors\":0,"
    "\"sent_bytes\":0,\"received_bytes\":3072000,\"queue_ms\":50,\"round_trip_ms\":100,"
    "\"execute_ms\":60000},{\"name\":\"IDLE\",\"calls\":0}]},"
    "\"watch\":{\"state\":\"ready\",\"dirs\":12,\"changes\":345,\"overflows\":1,\"restarts\":2,"
    "\"blind_total\":4}},{\"path\":\"/a/very/long/path/to/a/mount\",\"stalled_ms\":0,"
    "\"conditions\":[{\"type\":\"MountReady\",\"status\":\"True\"}],\"canary_ms\":3,"
    "\"nfs\":{\"shared_with\":\"/data\"},"
    "\"watch\":{\"state\":\"off\"}}],\"logs_dropped\":3,\"metrics_dropped\":0}",
    "{\"uptime_ms\":192000,\"groups\":["
    "{\"mount\":\"\",\"metrics\":[{\"name\":\"ApiRequests\",\"value\":9},"
    "{\"name\":\"CpuUsed\",\"value\":0.016},{\"name\":\"ResidentMemory\",\"value\":5767168},"
    "{\"name\":\"LoopLag\",\"value\":1.5}]},"
    "{\"mount\":\"/data\",\"metrics\":[{\"name\":\"NfsReadBytes\",\"value\":3073000},"
    "{\"name\":\"WatchChanges\",\"value\":345},{\"name\":\"NfsOutstandingCalls\",\"value\":3},"
    "{\"name\":\"ProbeLatency\",\"kind\":\"distribution\",\"p50\":3,\"p99\":4}]},"
    "{\"mount\":\"/a/very/long/path/to/a/mount\",\"metrics\":[{\"name\":\"ProbeLatency\","
    "\"p50\":0.41,\"p99\":1.2}]}]}"};

static void test_rates(void **state)
{
    _cleanup_free_ char *text = print(second, first, INT_MAX);
    assert_string_equal(
        text,
        "efs-sidecar 0.1.0  up 3m12s  task web-1\n"
        "memory 5.5 MiB  cpu 0.02 %  loop lag 1.50ms  requests 2.0/s  DROPPED 3 logs, 0 metrics\n"
        "well: FeedReady\n"
        "MountReady        False   MountStalled\n"
        "  /data does not answer\n"
        "\n"
        "MOUNT              STATE        PROBE    P99 CANARY  OPS/S    READ/S   WRITE/S\n"
        "/data              HUNG 42s         -      -      -     27   1.5 MiB         -\n"
        "../path/to/a/mount ready       0.41ms 1.20ms    3ms      -         -         -\n"
        "\n"
        "FEED               STATE       CHANGES/S   CHANGES    DIRS BLIND OVERFL RESTRT\n"
        "/data              ready              22       345      12     4      1      2\n"
        "\n"
        "NFS CALLS           CALLS/S     TIME  ON WIRE   QUEUED BYTES/CALL RESENT ERRORS\n"
        "/data: 3 without an answer\n"
        "  READ                   25     1.2s   2.00ms   1.00ms     60 KiB      2      0\n"
        "  GETATTR               2.0   0.50ms   0.50ms   0.00ms      200 B      0      1\n");
}

/* Of another process, or without a look before, there is no rate. */
static void test_no_rates(void **state)
{
    static const char *const restarted[] = {"{\"pid\":13,\"uptime_ms\":1}", "{\"uptime_ms\":1}"};
    const char *const *const before[] = {NULL, restarted};
    for (size_t i = 0; i < ARRAY_LEN(before); i++) {
        _cleanup_free_ char *text = print(second, before[i], INT_MAX);
        assert_non_null(strstr(text, "requests -/s"));
        assert_non_null(strstr(text, "1.20ms    3ms      -         -         -\n"));
        assert_null(strstr(text, "READ   "));
    }
}

static void test_rows(void **state)
{
    _cleanup_free_ char *text = print(second, first, 8);
    size_t lines = 0;
    for (const char *p = text; *p; p++)
        lines += *p == '\n';
    assert_int_equal(lines, 8);
    assert_non_null(strstr(text, "HUNG"));
}

/* Whatever listens on the socket: no crash, and the terminal stays as it is. */
static void test_nonsense(void **state)
{
    static const char *const texts[] = {
        "{}",
        "{\"conditions\":7,\"mounts\":{\"a\":[]},\"pid\":\"x\",\"task\":[],\"groups\":3}",
        "{\"conditions\":[1,null,{}],\"mounts\":[[],\"x\",{\"watch\":3,\"conditions\":[[]]}],"
        "\"uptime_ms\":\"1\",\"groups\":[1,[],{\"mount\":\"-\",\"metrics\":3}]}",
        "{\"task\":\"a\\u001b[2J\",\"mounts\":[{\"path\":\"\\u0000\"},{\"path\":\"\\u001b[H\","
        "\"canary_ms\":9e99,\"nfs\":{\"operations\":[1,{\"name\":\"\\u001b\",\"calls\":1e308}]},"
        "\"watch\":{\"state\":\"\\u001b\"}}],\"uptime_ms\":1e300,\"groups\":["
        "{\"mount\":\"\\u001b[H\",\"metrics\":[{\"name\":\"NfsReadBytes\",\"value\":1e308}]}]}",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        for (size_t j = 0; j < ARRAY_LEN(texts); j++) {
            const char *const now[] = {texts[i], texts[j]}, *const before[] = {texts[j], texts[i]};
            _cleanup_free_ char *text = print(now, before, INT_MAX);
            assert_null(strchr(text, '\033'));
            assert_non_null(strstr(text, "efs-sidecar"));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rates),
        cmocka_unit_test(test_no_rates),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_nonsense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
