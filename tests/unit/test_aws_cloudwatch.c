/* PutMetricData: what one datum looks like, what is refused here, what follows from an answer. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/aws/cloudwatch.h"
#include "lib/json.h"

static void check(const struct cloudwatch_datum *datum, const char *expected)
{
    _cleanup_free_ char *text = NULL;
    size_t length = 0;
    assert_int_equal(cloudwatch_encode(datum, &text, &length), 0);
    assert_int_equal(strlen(text), length);
    _cleanup_json_ json_t *got = json_loads(text, 0, NULL), *wanted = json_loads(expected, 0, NULL);
    assert_non_null(wanted);
    if (!json_equal(got, wanted))
        fail_msg("%s\nis not\n%s", text, expected);
}

static void test_shapes(void **state)
{
    static const double values[] = {0.1, 12345678.75, 1e100};
    static const uint64_t counts[] = {3, 1, 9007199254740993};
    struct cloudwatch_datum datum = {.name = "Probe",
                                     .unit = "Milliseconds",
                                     .wall_ms = 1795420800999,
                                     .values = values,
                                     .n = 1};
    check(&datum, "{\"MetricName\":\"Probe\",\"Unit\":\"Milliseconds\",\"Timestamp\":1795420800,"
                  "\"Value\":0.1}");
    datum.counts = counts;
    datum.high_resolution = true;
    datum.dimensions[0] = (struct aws_parameter){"ClusterName", "prod"};
    datum.dimensions[1] = (struct aws_parameter){"ServiceName", ":\"w\303\244b\"\n"};
    check(&datum, "{\"MetricName\":\"Probe\",\"Unit\":\"Milliseconds\",\"Timestamp\":1795420800,"
                  "\"Values\":[0.1],\"Counts\":[3],\"StorageResolution\":1,\"Dimensions\":["
                  "{\"Name\":\"ClusterName\",\"Value\":\"prod\"},"
                  "{\"Name\":\"ServiceName\",\"Value\":\"?\\\"w??b\\\"?\"}]}");
    datum = (struct cloudwatch_datum){
        .name = "Probe", .unit = "None", .values = values, .counts = counts, .n = 3};
    check(&datum, "{\"MetricName\":\"Probe\",\"Unit\":\"None\",\"Timestamp\":0,"
                  "\"Values\":[0.1,12345678.75,1e100],\"Counts\":[3,1,9007199254740993]}");
}

static void test_limits(void **state)
{
    double values[CLOUDWATCH_VALUES_MAX + 1] = {0};
    struct cloudwatch_datum datum = {.name = "m", .unit = "None", .values = values};
    char *text = NULL;
    size_t length;
    static const double wrong[] = {NAN, INFINITY, -INFINITY, 0x1.1p360, -0x1.1p360};
    datum.n = 2;
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        values[1] = wrong[i];
        assert_int_equal(cloudwatch_encode(&datum, &text, &length), -EDOM);
    }
    values[1] = -0x1p360;
    assert_int_equal(cloudwatch_encode(&datum, &text, &length), 0);
    free(text);
    values[1] = 1;
    datum.n = CLOUDWATCH_VALUES_MAX;
    assert_int_equal(cloudwatch_encode(&datum, &text, &length), 0);
    free(text);
    datum.n++;
    assert_int_equal(cloudwatch_encode(&datum, &text, &length), -E2BIG);
    datum.n = 0;
    assert_int_equal(cloudwatch_encode(&datum, &text, &length), -E2BIG);
}

static void test_answers(void **state)
{
    static const struct {
        long status;
        const char *code;
        int r;
    } cases[] = {
        {200, "", 0},
        {400, "InvalidParameterValue", -EBADMSG},
        {400, "InvalidParameterValueException", -EBADMSG},
        {400, "InvalidParameterCombination", -EBADMSG},
        {400, "MissingParameter", -EBADMSG},
        {400, "MissingRequiredParameterException", -EBADMSG},
        {400, "ValidationError", -EBADMSG},
        {413, "", -EBADMSG},
        {400, "Throttling", -EAGAIN},
        {400, "ThrottlingException", -EAGAIN},
        {429, "", -EAGAIN},
        {500, "InternalServiceError", -EREMOTEIO},
        {503, "", -EREMOTEIO},
        {500, "InvalidParameterValue", -EREMOTEIO}, /* not the data's fault then */
        {403, "AccessDenied", -EACCES},
        {403, "ExpiredToken", -ENOKEY},
        {403, "SignatureDoesNotMatch", -ENOKEY},
        {403, "", -EACCES},
        {400, "", -EINVAL},
        {404, "", -ENOENT},
        {400, "OptInRequired", -EINVAL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct reply reply = {.status = cases[i].status};
        struct error err = {0};
        snprintf(reply.code, sizeof(reply.code), "%s", cases[i].code);
        int r = cloudwatch_check(&reply, &err);
        if (r != cases[i].r)
            fail_msg("%ld %s: %d, not %d", cases[i].status, cases[i].code, r, cases[i].r);
        assert_true(r == 0 || strstr(err.text, "PutMetricData"));
    }
}

static void test_statement(void **state)
{
    char buf[512];
    _cleanup_json_ json_t *root =
        json_loads(cloudwatch_statement("My/Space", buf, sizeof(buf)), 0, NULL);
    const char *action = json_string_value(json_object_get(root, "Action"));
    assert_string_equal(action, "cloudwatch:PutMetricData");
    assert_non_null(strstr(buf, "\"cloudwatch:namespace\":\"My/Space\""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_statement),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
