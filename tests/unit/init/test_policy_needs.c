/* What real file system policies ask of a mount. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "init/policy_needs.h"
#include "lib/cleanup.h"

#define POINT "arn:aws:elasticfilesystem:eu-west-1:111122223333:access-point/fsap-0123456789abcdef0"
#define ROLE  "arn:aws:iam::111122223333:role/app"
#define ALLOW_ALL                                                                                  \
    "{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"*\"},\"Action\":[\"elasticfilesystem:"         \
    "ClientMount\",\"elasticfilesystem:ClientWrite\",\"elasticfilesystem:ClientRootAccess\"],"     \
    "\"Condition\":{\"Bool\":{\"elasticfilesystem:AccessedViaMountTarget\":\"true\"}}}"
#define DENY_PLAIN                                                                                 \
    "{\"Effect\":\"Deny\",\"Principal\":\"*\",\"Action\":\"*\",\"Condition\":{\"Bool\":{\"aws:"    \
    "SecureTransport\":\"false\"}}}"
#define POLICY(statements) "{\"Version\":\"2012-10-17\",\"Statement\":[" statements "]}"
#define ALLOW(principal, action, condition)                                                        \
    "{\"Effect\":\"Allow\",\"Principal\":" principal ",\"Action\":" action                         \
    ",\"Condition\":{" condition "}}"
#define MOUNT "\"elasticfilesystem:ClientMount\""

struct expected {
    const char *what, *policy, *point, *role;
    enum policy_verdict verdict;
    const char *needs; /* t TLS, i IAM, a access point, w write, r root, d the role decides */
    const char *statement;
};

static const struct expected table[] = {
    {"everyone, by mount target", POLICY(ALLOW_ALL), "", "", POLICY_TAKES, "wr", ""},
    {"terraform-aws-efs's default", POLICY(ALLOW_ALL "," DENY_PLAIN), "", "", POLICY_TAKES, "twr",
     ""},
    {"TLS as a condition of the only Allow",
     POLICY(ALLOW("\"*\"", "\"elasticfilesystem:Client*\"",
                  "\"Bool\":{\"aws:SecureTransport\":true}")),
     "", "", POLICY_TAKES, "twr", ""},
    {"one role only: others need IAM", POLICY(ALLOW("{\"AWS\":\"" ROLE "\"}", MOUNT, "")), "", ROLE,
     POLICY_TAKES, "tiwr", ""},
    {"another role: the own one must be allowed elsewhere",
     POLICY(ALLOW("{\"AWS\":[\"" ROLE "2\"]}", MOUNT, "")), "", ROLE, POLICY_TAKES, "tiwrd", ""},
    {"the whole account", POLICY(ALLOW("{\"AWS\":\"arn:aws:iam::111122223333:root\"}", MOUNT, "")),
     "", ROLE, POLICY_TAKES, "tiwr", ""},
    {"only denies", POLICY(DENY_PLAIN), "", "", POLICY_TAKES, "tiwrd", ""},
    {"one access point",
     POLICY(ALLOW("\"*\"", MOUNT,
                  "\"StringEquals\":{\"elasticfilesystem:AccessPointArn\":"
                  "\"" POINT "\"}")),
     POINT, "", POLICY_TAKES, "ta", ""},
    {"another access point, no IAM denied",
     POLICY("{\"Effect\":\"Deny\",\"Principal\":\"*\","
            "\"Action\":\"*\",\"Condition\":{"
            "\"StringNotLike\":{\"elasticfilesystem:"
            "AccessPointArn\":[\"*/fsap-0f\"]}}}"
            "," ALLOW_ALL),
     POINT, ROLE, POLICY_REFUSES, "", ""},
    {"some access point is wanted, none was named",
     POLICY("{\"Effect\":\"Deny\",\"Principal\":\"*\",\"Action\":\"*\",\"Condition\":{"
            "\"StringNotEquals\":{\"elasticfilesystem:AccessPointArn\":\"" POINT
            "\"}}}," ALLOW_ALL),
     "", "", POLICY_DEPENDS, "ta", "1"},
    {"read only", POLICY(ALLOW("\"*\"", MOUNT, "")), "", "", POLICY_TAKES, "", ""},
    {"everything denied",
     POLICY("{\"Effect\":\"Deny\",\"Principal\":\"*\",\"Action\":"
            "\"elasticfilesystem:*\"}"),
     "", "", POLICY_REFUSES, "", ""},
    {"by source network",
     POLICY(ALLOW("\"*\"", MOUNT, "\"StringEquals\":{\"aws:SourceVpc\":\"v\"}") "," DENY_PLAIN), "",
     "", POLICY_TAKES, "tiwrd", ""},
    {"denied by source network",
     POLICY(ALLOW_ALL ",{\"Effect\":\"Deny\",\"Principal\":\"*\","
                      "\"Action\":\"*\",\"Condition\":{\"NotIpAddress\""
                      ":{\"aws:SourceIp\":\"10.0.0.0/8\"}}}"),
     "", "", POLICY_DEPENDS, "", "2"},
    {"NotAction",
     POLICY("{\"Effect\":\"Allow\",\"Principal\":\"*\",\"NotAction\":"
            "\"elasticfilesystem:ClientRootAccess\"}"),
     "", "", POLICY_TAKES, "w", ""},
    {"one statement that is no list",
     "{\"Statement\":{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"*\"}}", "", "",
     POLICY_TAKES, "wr", ""},
};

static bool wants(const struct expected *expected, char letter)
{
    return strchr(expected->needs, letter) != NULL;
}

static void test_policies(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        const struct expected *e = &table[i];
        struct policy_way way = {
            .through_point = *e->point, .point_arn = e->point, .role_arn = e->role};
        struct policy_needs needs;
        struct error err = {0};
        if (policy_needs_read(e->policy, &way, &needs, &err) < 0)
            fail_msg("%s: %s", e->what, err.text);
        if (needs.verdict != e->verdict || needs.tls != wants(e, 't') ||
            needs.iam != wants(e, 'i') || needs.access_point != wants(e, 'a') ||
            needs.write != wants(e, 'w') || needs.root != wants(e, 'r') ||
            needs.role_decides != wants(e, 'd') || strcmp(needs.statement, e->statement) != 0)
            fail_msg("%s: verdict %d tls %d iam %d point %d write %d root %d decides %d unknown %s",
                     e->what, needs.verdict, needs.tls, needs.iam, needs.access_point, needs.write,
                     needs.root, needs.role_decides, needs.statement);
    }
}

static void test_no_policy(void **state)
{
    struct policy_needs needs = {.tls = true};
    struct policy_way way = {.point_arn = "", .role_arn = ""};
    struct error err = {0};
    assert_int_equal(policy_needs_read("{", &way, &needs, &err), -EINVAL);
    assert_int_equal(policy_needs_read("{}", &way, &needs, &err), -EINVAL);
    assert_true(needs.tls);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_policies),
        cmocka_unit_test(test_no_policy),
    };
    return cmocka_run_group_tests_name("policy_needs", tests, NULL, NULL);
}
