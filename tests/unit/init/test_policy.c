/* File system policies as AWS's documentation, Terraform modules and people write them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "init/policy.h"

#define ROLE  "arn:aws:iam::123456789012:role/service/app"
#define POINT "arn:aws:elasticfilesystem:eu-west-1:123456789012:access-point/fsap-0123456789abcdef0"

#define STATEMENT(effect, principal, action, more)                                                 \
    "{\"Effect\":\"" effect "\",\"Principal\":" principal ",\"Action\":" action more "}"
#define POLICY(statements)     "{\"Version\":\"2012-10-17\",\"Statement\":[" statements "]}"
#define ANY                    "{\"AWS\":\"*\"}"
#define ALL                    "\"elasticfilesystem:Client*\""
#define WRITE                  "\"elasticfilesystem:ClientWrite\""
#define WHEN(test, key, value) ",\"Condition\":{\"" test "\":{\"" key "\":" value "}}"
#define NO_TLS                 WHEN("Bool", "aws:SecureTransport", "\"false\"")

static const struct policy_subject app = {.role_arn = ROLE, .access_point_arn = POINT};
static struct policy_judgement judgement;

static enum policy_effect judge(const char *text, const struct policy_subject *subject)
{
    struct error err = {0};
    if (policy_judge(text, subject, &judgement, &err) < 0)
        fail_msg("%s: %s", text, err.text);
    return judgement.effects[POLICY_WRITE];
}

static void test_effects(void **state)
{
    static const struct {
        const char *text;
        enum policy_effect write;
    } cases[] = {
        {POLICY(""), POLICY_SILENT},
        {POLICY(STATEMENT("Allow", ANY, ALL, "")), POLICY_ALLOWS},
        {POLICY(STATEMENT("Allow", "\"*\"", "[\"elasticfilesystem:clientwrite\"]", "")),
         POLICY_ALLOWS},
        {POLICY(STATEMENT("Allow", ANY, "\"*\"", "")), POLICY_ALLOWS},
        {POLICY(STATEMENT("Allow", ANY, "\"elasticfilesystem:ClientMount\"", "")), POLICY_SILENT},
        {POLICY(STATEMENT("Allow", ANY, "\"elasticfilesystem:Describe*\"", "")), POLICY_SILENT},
        {POLICY(STATEMENT("Allow", "{\"AWS\":\"" ROLE "\"}", ALL, "")), POLICY_ALLOWS},
        {POLICY(STATEMENT("Allow", "{\"AWS\":[\"x\",\"" ROLE "\"]}", ALL, "")), POLICY_ALLOWS},
        {POLICY(STATEMENT("Allow", "{\"AWS\":\"123456789012\"}", ALL, "")), POLICY_ALLOWS},
        {POLICY(STATEMENT("Allow", "{\"AWS\":\"arn:aws:iam::123456789012:root\"}", ALL, "")),
         POLICY_ALLOWS},
        {POLICY(STATEMENT("Allow", "{\"AWS\":\"arn:aws:iam::999999999999:root\"}", ALL, "")),
         POLICY_SILENT},
        {POLICY(STATEMENT("Allow", "{\"AWS\":\"arn:aws:iam::123456789012:role/other\"}", ALL, "")),
         POLICY_SILENT},
        {POLICY(STATEMENT("Allow", "{\"Service\":\"backup.amazonaws.com\"}", ALL, "")),
         POLICY_SILENT},
        {POLICY(STATEMENT("Allow", ANY, ALL, "") "," STATEMENT("Deny", ANY, WRITE, "")),
         POLICY_DENIES},
        {POLICY(STATEMENT("Deny", ANY, WRITE, "") "," STATEMENT("Allow", ANY, ALL, "")),
         POLICY_DENIES},
        {POLICY(STATEMENT("Deny", "{\"AWS\":\"arn:aws:iam::123456789012:role/other\"}", ALL, "")),
         POLICY_SILENT},
        /* conditions */
        {POLICY(STATEMENT("Allow", ANY, ALL,
                          WHEN("Bool", "elasticfilesystem:AccessedViaMountTarget", "\"true\""))),
         POLICY_ALLOWS},
        {POLICY(STATEMENT(
             "Allow", ANY, ALL,
             WHEN("StringEquals", "elasticfilesystem:AccessPointArn", "[\"x\",\"" POINT "\"]"))),
         POLICY_ALLOWS},
        {POLICY(STATEMENT("Allow", ANY, ALL,
                          WHEN("StringEquals", "elasticfilesystem:AccessPointArn", "\"x\""))),
         POLICY_SILENT},
        {POLICY(STATEMENT("Deny", ANY, ALL,
                          WHEN("StringNotLike", "elasticfilesystem:AccessPointArn",
                               "\"*/fsap-0123456789abcdef0\""))),
         POLICY_SILENT},
        {POLICY(STATEMENT("Deny", ANY, ALL,
                          WHEN("StringNotEquals", "elasticfilesystem:AccessPointArn", "\"x\""))),
         POLICY_DENIES},
        {POLICY(
             STATEMENT("Allow", ANY, ALL, WHEN("StringEquals", "aws:PrincipalOrgID", "\"o-1\""))),
         POLICY_MAY_ALLOW},
        {POLICY(STATEMENT("Deny", ANY, ALL, WHEN("IpAddress", "aws:SourceIp", "\"10.0.0.0/8\""))),
         POLICY_MAY_DENY},
        {"{\"Statement\":{\"Effect\":\"Deny\",\"NotPrincipal\":{\"AWS\":\"" ROLE
         "\"},\"Action\":\"*\"}}",
         POLICY_SILENT},
        {"{\"Statement\":{\"Effect\":\"Deny\",\"NotPrincipal\":{\"AWS\":\"x\"},\"NotAction\":"
         "\"elasticfilesystem:ClientMount\"}}",
         POLICY_DENIES},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (judge(cases[i].text, &app) != cases[i].write)
            fail_msg("%s: %d, expected %d", cases[i].text, judgement.effects[POLICY_WRITE],
                     cases[i].write);
}

static void test_tls(void **state)
{
    static const struct policy_subject straight = {.role_arn = ROLE, .no_tls = true};
    /* The default of terraform-aws-modules/efs. */
    static const char terraform[] = POLICY(
        STATEMENT("Deny", ANY, "\"*\"", NO_TLS ",\"Sid\":\"NonSecureTransport\"") "," STATEMENT(
            "Allow", ANY, ALL,
            WHEN("Bool", "elasticfilesystem:AccessedViaMountTarget", "\"true\"")));
    assert_int_equal(judge(terraform, &app), POLICY_ALLOWS);
    assert_true(judgement.needs_tls);
    assert_int_equal(judge(terraform, &straight), POLICY_DENIES);
    assert_string_equal(judgement.statements[POLICY_WRITE], "\"NonSecureTransport\"");
    assert_true(judgement.needs_tls);

    static const char allowed_with[] =
        POLICY(STATEMENT("Allow", ANY, ALL, WHEN("Bool", "aws:SecureTransport", "\"true\"")));
    assert_int_equal(judge(allowed_with, &app), POLICY_ALLOWS);
    assert_true(judgement.needs_tls);
    assert_int_equal(judge(allowed_with, &straight), POLICY_SILENT);

    judge(POLICY(STATEMENT("Allow", ANY, ALL, "")), &straight);
    assert_false(judgement.needs_tls);
    judge(POLICY(STATEMENT("Deny", ANY, ALL, "")), &app); /* for another reason */
    assert_false(judgement.needs_tls);
}

static void test_unknown(void **state)
{
    static const struct policy_subject nobody = {.role_arn = "", .access_point_arn = ""};
    static const struct policy_subject no_point = {
        .role_arn = ROLE, .access_point_arn = "", .no_access_point = true};
    static const char by_role[] = POLICY(STATEMENT("Allow", "{\"AWS\":\"" ROLE "\"}", ALL, ""));
    static const char by_point[] = POLICY(STATEMENT(
        "Allow", ANY, ALL, WHEN("ArnEquals", "elasticfilesystem:AccessPointArn", "\"" POINT "\"")));
    assert_int_equal(judge(by_role, &nobody), POLICY_MAY_ALLOW);
    assert_int_equal(judge(by_point, &nobody), POLICY_MAY_ALLOW);
    assert_int_equal(judge(by_point, &no_point), POLICY_SILENT);
}

static void test_no_policy(void **state)
{
    static const char *const texts[] = {"", "[]", "{}", "{\"Statement\":5}", "{\"Statement\":"};
    static const char *const odd[] = {
        "{\"Statement\":[5,null,\"x\",{}]}", "{\"Statement\":[{\"Effect\":5,\"Principal\":[[]]}]}",
        "{\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":{}},\"Action\":{},"
        "\"Condition\":[]}]}"};
    struct error err;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_true(policy_judge(texts[i], &app, &judgement, &err) < 0);
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
        assert_int_not_equal(judge(odd[i], &app), POLICY_ALLOWS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_effects),
        cmocka_unit_test(test_tls),
        cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_no_policy),
    };
    return cmocka_run_group_tests_name("policy", tests, NULL, NULL);
}
