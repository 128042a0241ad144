#include "sidecar/publish_body.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka needs the four above */
#include <cmocka.h>

static int parse(const char *text, struct publish_body *body, struct error *err)
{
    return publish_body_parse(text, strlen(text), body, err);
}

static void test_one_file(void **state)
{
    struct error err;
    _cleanup_publish_body_ struct publish_body body = {0};
    assert_int_equal(parse("{\"from\":\"a\",\"to\":\"b\"}", &body, &err), 0);
    assert_int_equal(body.n, 1);
    assert_string_equal(body.files[0].from, "a");
    assert_string_equal(body.files[0].to, "b");
    assert_true(body.digest && !body.replace && !body.mkdir && !body.manifest && !body.lock);
    assert_int_equal(body.timeout_ms, 60 * 1000);
}

static void test_everything(void **state)
{
    struct error err;
    _cleanup_publish_body_ struct publish_body body = {0};
    assert_int_equal(parse("{\"files\":[{\"from\":\"a\",\"to_base64\":\"Yf8=\"},{\"from\":\"c\","
                           "\"to\":\"d\"}],\"manifest\":\"m\",\"mount\":\"/data\",\"replace\":true,"
                           "\"mkdir\":true,\"mode\":\"0640\",\"digest\":false,\"timeout_ms\":5,"
                           "\"lock\":\"x\",\"token\":\"7.3\"}",
                           &body, &err),
                     0);
    assert_int_equal(body.n, 2);
    assert_string_equal(body.files[0].to, "a\xff");
    assert_string_equal(body.manifest, "m");
    assert_string_equal(body.mount, "/data");
    assert_true(body.replace && body.mkdir && !body.digest);
    assert_int_equal(body.mode, 0640);
    assert_string_equal(body.lock, "x");
    assert_true(body.token.generation == 7 && body.token.n == 3);
}

static void test_hold(void **state)
{
    struct error err;
    _cleanup_publish_body_ struct publish_body body = {0};
    assert_int_equal(
        parse("{\"from\":\"a\",\"to\":\"b\",\"hold\":\"00000000000000ff\"}", &body, &err), 0);
    assert_int_equal(body.hold_id, 255);
}

/* The error names the field. */
static void test_refused(void **state)
{
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"[]", "object"},
        {"{}", "from"},
        {"{\"from\":\"a\"}", "to"},
        {"{\"from\":1,\"to\":\"b\"}", "from"},
        {"{\"from\":\"a\",\"to\":\"b\",\"too\":1}", "too"},
        {"{\"from_base64\":\"AA==\",\"to\":\"b\"}", "from_base64"},
        {"{\"from_base64\":\"?\",\"to\":\"b\"}", "from_base64"},
        {"{\"files\":[]}", "files"},
        {"{\"files\":{}}", "files"},
        {"{\"files\":[{\"from\":\"a\",\"to\":\"b\"},{\"from\":\"a\"}]}", "number 2"},
        {"{\"files\":[3]}", "number 1"},
        {"{\"files\":[{\"from\":\"a\",\"to\":\"b\"}],\"from\":\"c\"}", "files"},
        {"{\"from\":\"a\",\"to\":\"b\",\"replace\":1}", "replace"},
        {"{\"from\":\"a\",\"to\":\"b\",\"mode\":\"rw\"}", "mode"},
        {"{\"from\":\"a\",\"to\":\"b\",\"mode\":416}", "mode"},
        {"{\"from\":\"a\",\"to\":\"b\",\"mode\":\"0000\"}", "mode"},
        {"{\"from\":\"a\",\"to\":\"b\",\"timeout_ms\":0}", "timeout_ms"},
        {"{\"from\":\"a\",\"to\":\"b\",\"lock\":\"x\"}", "token"},
        {"{\"from\":\"a\",\"to\":\"b\",\"token\":\"1.2\"}", "token"},
        {"{\"from\":\"a\",\"to\":\"b\",\"lock\":\"x\",\"token\":\"1\"}", "token"},
        {"{\"from\":\"a\",\"to\":\"b\",\"lock\":\"\",\"token\":\"1.2\"}", "lock"},
        {"{\"from\":\"a\",\"to\":\"b\",\"hold\":\"ff\"}", "hold"},
        {"{\"from\":\"a\",\"to\":\"b\",\"hold\":\"0000000000000000\"}", "hold"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error err = {0};
        struct publish_body body = {.n = 99};
        if (parse(cases[i].text, &body, &err) != -EINVAL || !strstr(err.text, cases[i].words))
            fail_msg("%s: \"%s\"", cases[i].text, err.text);
        assert_int_equal(body.n, 99);
    }
}

static void test_too_many(void **state)
{
    static const char file[] = "{\"from\":\"a\",\"to\":\"b\"},";
    static char text[(PUBLISH_FILES_MAX + 1) * sizeof(file) + 32];
    struct error err;
    for (int n = PUBLISH_FILES_MAX; n <= PUBLISH_FILES_MAX + 1; n++) {
        _cleanup_publish_body_ struct publish_body body = {0};
        char *end = text + snprintf(text, sizeof(text), "{\"files\":[");
        for (int i = 0; i < n; i++)
            end += snprintf(end, sizeof(file), "%s", file);
        snprintf(end - 1, 8, "]}");
        assert_int_equal(parse(text, &body, &err), n > PUBLISH_FILES_MAX ? -EINVAL : 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_file), cmocka_unit_test(test_everything),
        cmocka_unit_test(test_hold),     cmocka_unit_test(test_refused),
        cmocka_unit_test(test_too_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
