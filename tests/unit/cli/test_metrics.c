/* `efsctl metrics`: the table, and what a month costs. */
#include "cli/metrics.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka needs the four above */
#include <cmocka.h>

#include "cli/cost.h"
#include "lib/json.h"

static json_t *parse(const char *text)
{
    json_error_t where;
    json_t *root = json_loads(text, JSON_ALLOW_NUL, &where);
    if (!root)
        fail_msg("%s at %d in %s", where.text, where.position, text);
    return root;
}

static char *table(const char *metrics, int columns)
{
    _cleanup_json_ json_t *root = parse(metrics);
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    metrics_print(root, columns, out);
    fclose(out);
    return text;
}

static char *cost(const char *metrics, const char *config, const char *region)
{
    _cleanup_json_ json_t *first = parse(metrics), *second = parse(config);
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    cost_print(first, second, region, out);
    fclose(out);
    return text;
}

/* 10 hours; /a and /b are one file system. */
static const char measured[] =
    "{\"interval_ms\":60000,\"uptime_ms\":36000000,\"meanings\":{\"Heartbeat\":\"it lives\"},"
    "\"groups\":[{\"mount\":\"\",\"file_system\":\"\",\"metrics\":["
    "{\"name\":\"Heartbeat\",\"unit\":\"Count\",\"kind\":\"counter\",\"sent\":true,\"value\":600},"
    "{\"name\":\"CpuUsed\",\"unit\":\"Percent\",\"kind\":\"gauge\",\"value\":0.0163},"
    "{\"name\":\"MetricLineBytes\",\"unit\":\"Bytes\",\"kind\":\"counter\",\"value\":600000},"
    "{\"name\":\"PutMetricDataCalls\",\"unit\":\"Count\",\"kind\":\"counter\",\"value\":120}]},"
    "{\"mount\":\"/a\",\"file_system\":\"fs-1\",\"metrics\":["
    "{\"name\":\"ProbeLatency\",\"unit\":\"Milliseconds\",\"kind\":\"distribution\",\"sent\":true,"
    "\"count\":10,\"sum\":5.5,\"min\":0.4,\"max\":1.25,\"p50\":0.5,\"p99\":1.2},"
    "{\"name\":\"SidecarMeteredBytes\",\"unit\":\"Bytes\",\"kind\":\"counter\","
    "\"value\":32212254.72},"
    "{\"name\":\"SidecarMeteredWrittenBytes\",\"unit\":\"Bytes\",\"kind\":\"counter\","
    "\"value\":10737418.24}]},"
    "{\"mount\":\"/b\",\"file_system\":\"fs-1\",\"metrics\":["
    "{\"name\":\"ProbeLatency\",\"unit\":\"Milliseconds\",\"kind\":\"distribution\",\"sent\":true,"
    "\"count\":10,\"sum\":5.5},"
    "{\"name\":\"MountReady\",\"unit\":\"None\",\"kind\":\"gauge\",\"value\":1}]}]}";

static void test_table(void **state)
{
    _cleanup_free_ char *text = table(measured, 80), *wide = table(measured, METRICS_WIDE);
    assert_string_equal(text,
                        "The sidecar\n"
                        "  Heartbeat                  Count        600\n"
                        "  CpuUsed                    Percent      0.0163\n"
                        "  MetricLineBytes            Bytes        586 KiB\n"
                        "  PutMetricDataCalls         Count        120\n"
                        "\n"
                        "Mount /a (fs-1)\n"
                        "  ProbeLatency               Milliseconds p50 0.5, p99 1.2, max 1.25\n"
                        "  SidecarMeteredBytes        Bytes        31 MiB\n"
                        "  SidecarMeteredWrittenBytes Bytes        10 MiB\n"
                        "\n"
                        "Mount /b (fs-1)\n"
                        "  ProbeLatency               Milliseconds mean 0.55 of 10\n"
                        "  MountReady                              1\n");
    assert_non_null(strstr(wide, "  Heartbeat                  Count        600      "));
    assert_non_null(strstr(wide, " it lives\n"));
}

static void test_cost(void **state)
{
    _cleanup_free_ char *both =
        cost(measured, "{\"metrics.sinks\":{\"value\":\"emf,cloudwatch\"}}", "eu-west-1");
    assert_string_equal(
        both, "A month (730 h), if it goes on as in the 10h00m since the start:\n"
              "  metrics       $0.60  2 x $0.30, once for all tasks of the service\n"
              "  logs          $0.02  1000 bytes every 60 s = 0.0438 GB x $0.50, EMF lines to\n"
              "                       CloudWatch Logs\n"
              "  calls         $0.09  120 PutMetricData in 36000 s = 8760 x $0.01 / 1000\n"
              "  EFS           $0.09  1.46 GiB read x $0.03 + 0.73 GiB written x $0.06, the\n"
              "                       sidecar's own calls to EFS as Elastic throughput meters\n"
              "                       them\n"
              "  each task     $0.20  besides the metrics\n"
              "  first one     $0.80  with the metrics\n"
              "List prices of us-east-1, 2026, without free tiers; in eu-west-1 they differ.\n");

    _cleanup_free_ char *none =
        cost(measured, "{\"metrics.sinks\":{\"value\":\"none\"}}", "us-east-1");
    assert_non_null(strstr(none, "metrics       $0.00  0 x $0.30"));
    assert_null(strstr(none, "logs"));
    assert_null(strstr(none, "differ"));

    _cleanup_free_ char *each =
        cost(measured, "{\"metrics.task_dimension\":{\"value\":\"true\"}}", NULL);
    assert_non_null(strstr(each, "for each task"));
}

/* Whatever listens on the socket: no crash, and the terminal stays as it is. */
static void test_nonsense(void **state)
{
    static const char *const texts[] = {
        "{}",
        "{\"groups\":7,\"meanings\":[],\"uptime_ms\":-1,\"metrics.sinks\":{\"value\":3}}",
        "{\"groups\":[1,null,{\"metrics\":[[],{\"value\":\"x\"}]}],\"uptime_ms\":1e308}",
        "{\"groups\":[{\"mount\":\"\\u001b[2J\",\"metrics\":[{\"name\":\"\\u001b\",\"unit\":"
        "\"Bytes\",\"value\":1e308},{\"name\":\"Heartbeat\",\"value\":-1},{\"kind\":"
        "\"distribution\",\"count\":0,\"sum\":0,\"p50\":[]}]}],\"interval_ms\":0,"
        "\"metrics.sinks\":{\"value\":\"emf,\\u001b\"}}",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        for (size_t j = 0; j < ARRAY_LEN(texts); j++) {
            _cleanup_free_ char *text = table(texts[i], 200),
                                *dollars = cost(texts[i], texts[j], "x");
            assert_null(strchr(text, '\033'));
            assert_null(strchr(dollars, '\033'));
            assert_non_null(strstr(dollars, "each task"));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_cost),
        cmocka_unit_test(test_nonsense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
