/* What AWS's errors are read as, and what follows from them. Shapes that must parse are in
 * tests/fuzz/corpus/aws_reply. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/aws/reply.h"
#include "lib/clock.h"

static struct credentials keys = {.secret_access_key = (char[]){"TheSecretKey"},
                                  .session_token = (char[]){"TheSessionToken"}};

static struct reply answer(long status, const char *type, const char *body)
{
    struct http_response response = {
        .status = status, .body = strdup(body), .length = strlen(body), .retry_after_ms = -1};
    struct reply reply;
    snprintf(response.error_type, sizeof(response.error_type), "%s", type);
    reply_read(&response, &keys, &reply);
    assert_null(response.body);
    return reply;
}

static void test_verdicts(void **state)
{
    static const struct {
        long status;
        const char *code;
        enum reply_verdict verdict;
        int r;
    } cases[] = {
        {200, "", REPLY_OK, 0},
        {400, "Throttling", REPLY_THROTTLED, -EAGAIN}, /* the code before the status */
        {400, "RequestLimitExceeded", REPLY_THROTTLED, -EAGAIN},
        {503, "SlowDown", REPLY_THROTTLED, -EAGAIN},
        {429, "", REPLY_THROTTLED, -EAGAIN},
        {400, "RequestTimeout", REPLY_RETRY, -EAGAIN},
        {500, "", REPLY_RETRY, -EREMOTEIO},
        {502, "Unheard", REPLY_RETRY, -EREMOTEIO},
        {501, "", REPLY_FINAL, -EREMOTEIO},
        {400, "ExpiredTokenException", REPLY_REFRESH, -EKEYREJECTED},
        {403, "InvalidClientTokenId", REPLY_REFRESH, -EKEYREJECTED},
        {403, "SignatureDoesNotMatch", REPLY_REFRESH, -EKEYREJECTED},
        {401, "", REPLY_FINAL, -EKEYREJECTED},
        {403, "AccessDenied", REPLY_FINAL, -EACCES},
        {403, "Unheard", REPLY_FINAL, -EACCES},
        {500, "AccessDeniedException", REPLY_FINAL, -EACCES},
        {404, "FileSystemNotFound", REPLY_FINAL, -ENOENT},
        {400, "InvalidParameterValue", REPLY_FINAL, -EINVAL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct error err = {0};
        struct reply reply = answer(cases[i].status, cases[i].code, "");
        if (reply_verdict(&reply) != cases[i].verdict)
            fail_msg("%ld %s: verdict %d", cases[i].status, cases[i].code, reply_verdict(&reply));
        if (reply_check(&reply, "Op", &err) != cases[i].r)
            fail_msg("%ld %s: %s", cases[i].status, cases[i].code, err.text);
        reply_release(&reply);
    }
}

static void test_codes(void **state)
{
    static const struct {
        const char *type, *body, *code;
    } cases[] = {
        {"AccessDeniedException:http://internal.amazon.com/x", "", "AccessDeniedException"},
        {"InvalidParameterValue;Sender", "{\"__type\":\"Other\"}", "InvalidParameterValue"},
        {"", "{\"__type\":\"a.b#Wrong\"}", "Wrong"},
        {"", "{\"ErrorCode\":\"A\",\"code\":\"B\"}", "A"},
        {"", "  <E><Code>InvalidMarker</Code></E>", "InvalidMarker"},
        {"", "{\"code\":\"not a code\"}", "not"},
        {"", "{\"code\":\"\\u001b[31m\"}", ""},
        {"", "{\"code\":5}", ""},
        {"", "[\"code\"]", ""},
        {"", "Code: x", ""},
        {"x-that-is-far-too-long-to-be-the-code-of-any-error-that-aws-has-ever-answered-with", "",
         ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct reply reply = answer(400, cases[i].type, cases[i].body);
        assert_string_equal(reply.code, cases[i].code);
        reply_release(&reply);
    }
}

static void test_secrets(void **state)
{
    struct error err;
    char text[2048], padding[600];
    memset(padding, 'p', sizeof(padding));
    for (int room = 250; room < 330; room++) { /* also where the text is cut */
        snprintf(text, sizeof(text), "{\"message\":\"%.*sTheSessionToken TheSecretKey\\nmore\"}",
                 room, padding);
        struct reply reply = answer(403, "SignatureDoesNotMatch", text);
        assert_null(strstr(reply.message, "TheS"));
        assert_null(strstr(reply.message, "more"));
        reply_check(&reply, "Op", &err);
        assert_null(strstr(err.text, "TheS"));
        reply_release(&reply);
    }
}

static void test_clock(void **state)
{
    static const int64_t ahead_ms[] = {0, 200000, -200000, 900000, -900000};
    static const char *const words[] = {"", "", "", "900 s ahead of", "900 s behind"};
    for (size_t i = 0; i < ARRAY_LEN(ahead_ms); i++) {
        struct error err = {0};
        struct http_response response = {.status = 403,
                                         .body = strdup(""),
                                         .date_wall_ms = 1795420800000,
                                         .error_type = "SignatureDoesNotMatch"};
        struct reply reply;
        clock_fake_set(1000, response.date_wall_ms + ahead_ms[i]);
        reply_read(&response, NULL, &reply);
        clock_fake_off();
        assert_int_equal(reply_check(&reply, "Op", &err), -EKEYREJECTED);
        assert_non_null(strstr(err.text, words[i]));
        assert_int_equal(strstr(err.text, "clock") != NULL, words[i][0] != '\0');
        reply_release(&reply);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_verdicts),
        cmocka_unit_test(test_codes),
        cmocka_unit_test(test_secrets),
        cmocka_unit_test(test_clock),
    };
    return cmocka_run_group_tests_name("aws_reply", tests, NULL, NULL);
}
