#include "cli/status.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka needs the four above */
#include <cmocka.h>

#include "lib/clock.h"
#include "lib/json.h"

static char *print(const char *text)
{
    _cleanup_json_ json_t *root = NULL;
    struct error err = {0};
    if (json_parse(text, strlen(text), &root, &err) < 0)
        fail_msg("%s", err.text);
    char *printed = NULL;
    size_t size;
    FILE *out = open_memstream(&printed, &size);
    assert_non_null(out);
    status_print(root, out);
    fclose(out);
    return printed;
}

/* 2026-11-23T10:00:00Z */
static int set_clock(void **state)
{
    clock_fake_set(0, 1795428000000);
    return 0;
}

static int restore_clock(void **state)
{
    clock_fake_off();
    return 0;
}

static const char healthy[] =
    "{\"version\":\"0.1.0\",\"profile\":\"coordinate\",\"task\":\"web-1\",\"pid\":12,"
    "\"uptime_ms\":192000,\"conditions\":["
    "{\"type\":\"MountReady\",\"status\":\"True\",\"reason\":\"Answering\",\"message\":\"\","
    "\"lastTransition\":\"2026-11-23T09:56:48.001Z\"},"
    "{\"type\":\"CacheReady\",\"status\":\"Unknown\",\"reason\":\"NotEnabled\","
    "\"message\":\"not shown\",\"lastTransition\":\"bad\"}],"
    "\"mounts\":[{\"path\":\"/data\",\"file_system\":\"fs-0123456789abcdef0\",\"fstype\":\"nfs4\","
    "\"source\":\"127.0.0.1:/\",\"read_only\":false,\"conditions\":[],\"probe_ms\":1,"
    "\"canary_ms\":null,\"stalled_ms\":0,\"task_dir\":\"/data/tasks/web-1\","
    "\"task_link\":null,\"watch\":{\"state\":\"ready\",\"dirs\":12,\"changes\":345,"
    "\"overflows\":0,\"restarts\":1,\"blind\":[{\"path\":\"a\\u0007\",\"reason\":\"max_dirs\"}],"
    "\"blind_total\":4}}],\"logs_dropped\":0,\"metrics_dropped\":0}";

static void test_healthy(void **state)
{
    _cleanup_free_ char *text = print(healthy);
    assert_string_equal(text,
                        "efs-sidecar 0.1.0, profile coordinate, up 3m12s, pid 12\n"
                        "task web-1\n"
                        "\n"
                        "  CONDITION           STATUS   SINCE    REASON\n"
                        "  MountReady          True     3m11s    Answering\n"
                        "  CacheReady          Unknown  -        NotEnabled\n"
                        "\n"
                        "Mount /data (fs-0123456789abcdef0, nfs4, read-write)\n"
                        "  source    127.0.0.1:/\n"
                        "  answers   in 1ms, write canary in -\n"
                        "  task dir  /data/tasks/web-1\n"
                        "  watch     ready: 12 directories, 345 changes, 0 overflows, 1 restart\n"
                        "  blind in  a\\x07 (max_dirs)\n"
                        "            and 3 more\n");
}

static void test_stalled(void **state)
{
    _cleanup_free_ char *text = print(
        "{\"conditions\":[{\"type\":\"MountReady\",\"status\":\"False\",\"reason\":\"Stalled\","
        "\"message\":\"/data has not answered for 15 seconds; its server may be down or "
        "unreachable, and what waits for it cannot be interrupted\","
        "\"lastTransition\":\"2026-11-23T10:00:03Z\"}],"
        "\"mounts\":[{\"path\":\"/a\",\"file_system\":\"\",\"fstype\":\"ext4\",\"stalled_ms\":0},"
        "{\"path\":\"/b\",\"stalled_ms\":15200,\"conditions\":["
        "{\"type\":\"MountReady\",\"status\":\"False\",\"reason\":\"Stalled\",\"message\":\"m\"},"
        "{\"type\":\"FeedReady\",\"status\":\"True\",\"reason\":\"Fine\",\"message\":\"n\"}]}],"
        "\"logs_dropped\":3}");
    assert_non_null(strstr(text, "  MountReady          False    <1ms     Stalled\n"
                                 "    /data has not answered for 15 seconds; its server may be "
                                 "down or\n    unreachable, and what"));
    assert_non_null(strstr(text, "Mount /a (ext4, read-write)\n"));
    assert_non_null(strstr(text, "  answers   not since 15s\n"));
    assert_non_null(strstr(text, "False    -        Stalled\n    m\n"));
    assert_null(strstr(text, "Fine"));
    assert_non_null(strstr(text, "3 log lines, 0 metric lines"));
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
        assert_true(strlen(line) <= 80);
}

/* Whatever listens on the socket: no crash, and the terminal stays as it is. */
static void test_nonsense(void **state)
{
    static const char *const texts[] = {
        "{}",
        "{\"conditions\":7,\"mounts\":{\"a\":[]},\"pid\":\"x\",\"task\":[]}",
        "{\"conditions\":[1,null,{}],\"mounts\":[[],\"x\",{\"watch\":3,\"conditions\":[[]]}]}",
        "{\"task\":\"a\\u001b[2J\",\"profile\":\"\\u001b\",\"mounts\":[{\"path\":\"\\u0000\"}]}",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        _cleanup_json_ json_t *root = NULL;
        json_error_t where;
        root = json_loads(texts[i], JSON_ALLOW_NUL, &where);
        assert_non_null(root);
        _cleanup_free_ char *printed = NULL;
        size_t size;
        FILE *out = open_memstream(&printed, &size);
        status_print(root, out);
        fclose(out);
        assert_null(strchr(printed, '\033'));
        assert_non_null(strstr(printed, "efs-sidecar"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_healthy),
        cmocka_unit_test(test_stalled),
        cmocka_unit_test(test_nonsense),
    };
    return cmocka_run_group_tests(tests, set_clock, restore_clock);
}
