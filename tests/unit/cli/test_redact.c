/* What goes, and what has to stay, or the bundle says nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/redact.h"
#include "lib/json.h"

static void test_texts(void **state)
{
    static const struct {
        const char *before, *after;
    } cases[] = {
        {"arn:aws:iam::123456789012:role/web", "arn:aws:iam::************:role/web"},
        {"123456789012.dkr.ecr.eu-west-1.amazonaws.com/app",
         "************.dkr.ecr.eu-west-1.amazonaws.com/app"},
        {"key AKIAIOSFODNN7EXAMPLE used", "key ******************** used"},
        {"ASIAIOSFODNN7EXAMPLE", "********************"},
        {"http://user:hunter2@127.0.0.1:8080/x", "http://user:*******@127.0.0.1:8080/x"},
        {"POST /reload?token=abc123&x=1", "POST /reload?token=******&x=1"},
        {"Authorization: Bearer eyJhbGciOi", "Authorization: Bearer **********"},
        {"\"SecretAccessKey\":\"wJalrXUtnFEMI\"", "\"SecretAccessKey\":\"*************\""},
        {"two arn::111122223333: and arn::444455556666:",
         "two arn::************: and arn::************:"},
        /* stay */
        {"fs-0123456789abcdef0", "fs-0123456789abcdef0"},
        {"1795445866123 ms", "1795445866123 ms"},
        {"/data/tasks/web-1/a.txt", "/data/tasks/web-1/a.txt"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *text = strdup(cases[i].before);
        assert_non_null(text);
        redact_text(text);
        assert_string_equal(text, cases[i].after);
        free(text);
    }
}

static void test_json(void **state)
{
    struct error err;
    _cleanup_json_ json_t *root = NULL;
    const char *text = "{\"lock\":{\"token\":\"1795445866.42\"},\"session_token\":\"abc\","
                       "\"lines\":[\"role 123456789012 of\"],\"n\":123456789012}";
    assert_int_equal(json_parse(text, strlen(text), &root, &err), 0);
    assert_int_equal(redact_json(root), 0);
    char *after = json_dumps(root, JSON_COMPACT);
    assert_string_equal(after, "{\"lock\":{\"token\":\"1795445866.42\"},\"session_token\":\"***\","
                               "\"lines\":[\"role ************ of\"],\"n\":123456789012}");
    free(after);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_texts), cmocka_unit_test(test_json)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
