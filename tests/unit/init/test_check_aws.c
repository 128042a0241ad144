/* From what AWS answered, or did not, to verdicts and words: role, file system, mount target,
 * access point, TLS, policy and credits. That the answers come is shown in tests/integration. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "init/check_aws.h"

#define FS    "fs-0123456789abcdef0"
#define POINT "fsap-0123456789abcdef0"
#define ROLE  "arn:aws:iam::123456789012:role/app"

static const struct mount proxied = {
    .target = "/data", .nfs = true, .source = "127.0.0.1:/", .source_form = MOUNT_SOURCE_LOOPBACK};
static const struct mount straight = {.target = "/data",
                                      .nfs = true,
                                      .source = FS ".efs.eu-west-1.amazonaws.com:/",
                                      .source_form = MOUNT_SOURCE_EFS_NAME};

static char path[] = "/data", fs[] = FS;
static const struct mount_setting asked = {.path = path, .file_system_id = fs};
static struct aws_facts facts;
static struct probe_log probe;
static struct aws_question question;
static struct mount_report report;

static void answer(struct aws_answer *answer, int error, const char *text)
{
    answer->error = error;
    snprintf(answer->text, sizeof(answer->text), "%s", text);
    atomic_store(&answer->state, 2);
}

/* All is well: a bursting file system with credits, seen from euw1-az1 through its access point. */
static int set_up(void **state)
{
    struct aws_file_system_facts *file_system = &facts.file_systems[0];
    memset(&facts, 0, sizeof(facts));
    memset(&probe, 0, sizeof(probe));
    facts.n_file_systems = 1;
    strcpy(facts.source, "container");
    strcpy(facts.role_arn, ROLE);
    strcpy(facts.region, "eu-west-1");
    strcpy(facts.task.availability_zone, "eu-west-1a");
    strcpy(facts.task.availability_zone_id, "euw1-az1");
    *file_system = (struct aws_file_system_facts){
        .id = FS,
        .file_system = {.id = FS,
                        .name = "shared",
                        .state = "available",
                        .throughput_mode = "bursting"},
        .n_targets = 2,
        .targets = {{.id = "fsmt-2",
                     .state = "available",
                     .availability_zone_id = "euw1-az2",
                     .availability_zone_name = "eu-west-1b"},
                    {.id = "fsmt-1",
                     .state = "available",
                     .availability_zone_id = "euw1-az1",
                     .availability_zone_name = "eu-west-1a"}},
        .has_policy = true,
        .policy = "{\"Statement\":{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"*\"}}",
        .has_credits = true,
        .credits_bytes = 2e12,
    };
    facts.points[0] = (struct efs_access_point){.id = POINT,
                                                .file_system_id = FS,
                                                .state = "available",
                                                .root_path = "/app",
                                                .has_posix_user = true,
                                                .uid = 1000,
                                                .gid = 1000,
                                                .has_creation = true,
                                                .creation_uid = 1000,
                                                .creation_gid = 1000};
    struct aws_answer *const answers[] = {
        &facts.opened,        &facts.credentials,    &facts.placed,         &file_system->described,
        &file_system->listed, &file_system->policed, &file_system->metered, &facts.pointed[0]};
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++)
        answer(answers[i], 0, "");
    probe = (struct probe_log){.uid = 1000,
                               .gid = 1000,
                               .mount_id = 7,
                               .path = "/data",
                               .owner = 1000,
                               .group = 1000,
                               .mode = 0755,
                               .made = true,
                               .file_owner = 1000,
                               .file_group = 1000};
    question = (struct aws_question){
        .facts = &facts, .access_point = POINT, .mounted = &proxied, .log = &probe};
    report = (struct mount_report){.asked = &asked};
    return 0;
}

static const struct check *expect(const char *id, enum verdict verdict, const char *words)
{
    for (size_t i = 0; i < report.n; i++) {
        const struct check *check = &report.checks[i];
        if (strcmp(check->id, id) != 0)
            continue;
        if (check->verdict != verdict || !strstr(check->message, words))
            fail_msg("%s is %d, expected %d and \"%s\": %s", id, check->verdict, verdict, words,
                     check->message);
        return check;
    }
    fail_msg("there is no check %s", id);
    return NULL;
}

static const struct check *judged(const char *id, enum verdict verdict, const char *words)
{
    report.n = 0;
    check_aws(&question, &report);
    return expect(id, verdict, words);
}

static void test_healthy(void **state)
{
    judged("fs", VERDICT_OK, FS " (shared) is available, throughput bursting");
    expect("target", VERDICT_OK, "fsmt-1 in the task's zone eu-west-1a is available");
    expect("point", VERDICT_OK, POINT ": root directory /app, posixUser 1000:1000");
    expect("tls", VERDICT_UNKNOWN, "cannot be seen from here");
    expect("policy", VERDICT_OK, "allows " ROLE);
    expect("credits", VERDICT_OK, "2000 GB");
    assert_int_equal(report.n, 6);
}

static void test_file_system(void **state)
{
    struct aws_file_system_facts *file_system = &facts.file_systems[0];
    strcpy(file_system->file_system.state, "updating");
    judged("fs", VERDICT_OK, "updating");
    strcpy(file_system->file_system.state, "deleting");
    judged("fs", VERDICT_WARN, "is \"deleting\"");
    answer(&file_system->described, ENOENT, "");
    assert_int_equal(judged("fs", VERDICT_FAIL, FS " does not exist in eu-west-1")->cause,
                     CAUSE_WRONG_FILE_SYSTEM);
    facts.file_system_of[0] = -1;
    judged("fs", VERDICT_SKIP, "neither the mount nor the settings");
    expect("point", VERDICT_OK, POINT);
}

static void test_target(void **state)
{
    struct aws_file_system_facts *file_system = &facts.file_systems[0];
    strcpy(file_system->targets[1].state, "deleting");
    judged("target", VERDICT_WARN, "fsmt-1 in the task's zone eu-west-1a is \"deleting\"");
    /* One name is another zone in another account: the id decides. */
    strcpy(file_system->targets[1].availability_zone_id, "euw1-az3");
    judged("target", VERDICT_WARN, "no mount target in the task's zone eu-west-1a");
    facts.task.availability_zone_id[0] = '\0';
    strcpy(file_system->targets[1].state, "available");
    judged("target", VERDICT_OK, "fsmt-1");
    facts.task.availability_zone[0] = '\0';
    answer(&facts.placed, ENOENT, "there is no metadata endpoint");
    judged("target", VERDICT_UNKNOWN, "there is no metadata endpoint");
    file_system->n_targets = 0;
    judged("target", VERDICT_WARN, "has no mount target");
}

static void test_point(void **state)
{
    probe.file_owner = probe.file_group = 0;
    assert_int_equal(judged("point", VERDICT_FAIL, "but new files in /data belong to 0:0")->cause,
                     CAUSE_WRONG_ACCESS_POINT);
    probe.made = false; /* nothing could be made: why? */
    probe.owner = probe.group = 0;
    judged("point", VERDICT_WARN, "belongs to 0:0 with mode 0755, its creationInfo says 1000:1000");
    strcpy(probe.path, "/data/below");
    judged("point", VERDICT_OK, "root directory /app");
    facts.points[0].has_posix_user = false;
    judged("point", VERDICT_OK, "no posixUser");
    strcpy(facts.points[0].state, "deleting");
    judged("point", VERDICT_WARN, "is \"deleting\"");
    strcpy(facts.points[0].file_system_id, "fs-fedcba9876543210f");
    judged("point", VERDICT_FAIL, "is an access point of fs-fedcba9876543210f, not of " FS);
    answer(&facts.pointed[0], ENOENT, "");
    judged("point", VERDICT_FAIL, POINT " does not exist in eu-west-1");
    question.access_point = NULL;
    judged("fs", VERDICT_OK, "");
    assert_int_equal(report.n, 5);
}

static void set_policy(const char *text)
{
    snprintf(facts.file_systems[0].policy, sizeof(facts.file_systems[0].policy), "%s", text);
}

static void test_policy(void **state)
{
    set_policy("{\"Statement\":{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":"
               "\"elasticfilesystem:ClientMount\"}}");
    judged("policy", VERDICT_UNKNOWN, "does not allow ClientWrite to " ROLE);
    question.write_refused = true;
    const struct check *check = judged("policy", VERDICT_WARN, "does not allow ClientWrite");
    assert_non_null(strstr(check->fix, "elasticfilesystem:ClientWrite"));
    question.write_refused = false;

    set_policy("{\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"*\"},"
               "{\"Effect\":\"Deny\",\"Principal\":\"*\",\"Action\":"
               "\"elasticfilesystem:ClientRootAccess\"}]}");
    judged("policy", VERDICT_OK, "what the mount is used for");
    probe.uid = 0; /* nobody is root behind an access point with a posixUser */
    judged("policy", VERDICT_OK, "what the mount is used for");
    question.access_point = NULL;
    judged("policy", VERDICT_WARN, "denies ClientRootAccess to " ROLE " (statement 2)");

    set_policy("{\"Statement\":[");
    judged("policy", VERDICT_UNKNOWN, "not understood");
    facts.file_systems[0].has_policy = false;
    judged("policy", VERDICT_OK, "there is none");
}

static void test_tls(void **state)
{
    set_policy("{\"Statement\":{\"Effect\":\"Deny\",\"Principal\":\"*\",\"Action\":\"*\","
               "\"Condition\":{\"Bool\":{\"aws:SecureTransport\":\"false\"}}}}");
    judged("tls", VERDICT_OK, "demands it, and the mount goes through a local proxy");
    question.mounted = &straight;
    const struct check *check = judged("tls", VERDICT_WARN, "straight to the server (" FS);
    assert_non_null(strstr(check->fix, "transitEncryption"));
    expect("policy", VERDICT_WARN, "denies ClientMount");
    facts.file_systems[0].has_policy = false;
    judged("tls", VERDICT_OK, "not demanded, and not used");
}

static void test_credits(void **state)
{
    facts.file_systems[0].credits_bytes = 1e9;
    judged("credits", VERDICT_WARN, "1.0 GB are left");
    facts.file_systems[0].has_credits = false;
    judged("credits", VERDICT_UNKNOWN, "no BurstCreditBalance");
    strcpy(facts.file_systems[0].file_system.throughput_mode, "elastic");
    judged("fs", VERDICT_OK, "elastic");
    assert_int_equal(report.n, 5);
}

/* What the role may not read, what did not answer, what could not be asked: never a failure. */
static void test_not_checked(void **state)
{
    struct aws_file_system_facts *file_system = &facts.file_systems[0];
    static const char denied[] = "User is not authorized";
    answer(&file_system->described, EACCES, denied);
    answer(&file_system->listed, EAGAIN, "Rate exceeded");
    answer(&file_system->policed, EACCES, denied);
    atomic_store(&facts.pointed[0].state, 1);
    const struct check *check =
        judged("fs", VERDICT_UNKNOWN, "not checked, needs elasticfilesystem:DescribeFileSystems");
    assert_string_equal(check->detail, denied);
    expect("target", VERDICT_UNKNOWN, "not checked: Rate exceeded");
    expect("policy", VERDICT_UNKNOWN, "needs elasticfilesystem:DescribeFileSystemPolicy");
    expect("point", VERDICT_UNKNOWN, "no answer in time");
    answer(&facts.credentials, ETIMEDOUT, "late");
    judged("point", VERDICT_UNKNOWN, "no credentials to ask with");
    answer(&facts.opened, ENOENT, "AWS_REGION is not set");
    judged("point", VERDICT_UNKNOWN, "AWS_REGION is not set");
}

static void role(const char *wanted, bool sts, enum verdict verdict, const char *words)
{
    struct role_wanted role_wanted = {.role = wanted, .sts = sts};
    report = (struct mount_report){0};
    check_role(&facts, &role_wanted, &report);
    expect("role", verdict, words);
}

static void test_role(void **state)
{
    role("", false, VERDICT_OK, "credentials of " ROLE " (source: container)");
    role("app", false, VERDICT_OK, ROLE);
    role(ROLE, false, VERDICT_OK, ROLE);
    role("ap", false, VERDICT_FAIL, "the task's role is " ROLE ", expected is ap");
    role("arn:aws:iam::123456789012:role/x/app", false, VERDICT_FAIL, "expected is");

    facts.role_arn[0] = '\0';
    role("", false, VERDICT_OK, "does not name a role");
    role("app", false, VERDICT_WARN, "whether it is app is not known");
    answer(&facts.identity, 0, "");
    strcpy(facts.caller.arn, "arn:aws:sts::123456789012:assumed-role/app/session");
    role("app", true, VERDICT_OK, "");
    expect("caller", VERDICT_OK, facts.caller.arn);
    role("arn:aws:iam::123456789012:role/x/app", true, VERDICT_OK, "");
    role("arn:aws:iam::123456789013:role/app", true, VERDICT_FAIL, "expected is");
    role("appl", true, VERDICT_FAIL, "assumed-role/app/session, expected is appl");
    answer(&facts.identity, EKEYREJECTED, "InvalidClientTokenId");
    role("", true, VERDICT_OK, "");
    expect("caller", VERDICT_FAIL, "InvalidClientTokenId");
    role("", false, VERDICT_OK, "");
    expect("caller", VERDICT_WARN, "InvalidClientTokenId");

    answer(&facts.credentials, ETIMEDOUT, "it did not answer");
    role("", false, VERDICT_WARN, "it did not answer");
    role("app", false, VERDICT_FAIL, "it did not answer");
    assert_int_equal(report.checks[0].cause, CAUSE_NO_CREDENTIALS);
    atomic_store(&facts.credentials.state, 1);
    role("", true, VERDICT_FAIL, "no answer in time");
    atomic_store(&facts.credentials.state, 0);
    facts.no_source = true;
    role("", false, VERDICT_SKIP, "none are needed");
    role("app", false, VERDICT_FAIL, "has no taskRoleArn");
}

#define TEST(test) cmocka_unit_test_setup(test, set_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_healthy), TEST(test_file_system), TEST(test_target),
        TEST(test_point),   TEST(test_policy),      TEST(test_tls),
        TEST(test_credits), TEST(test_not_checked), TEST(test_role),
    };
    return cmocka_run_group_tests_name("check_aws", tests, NULL, NULL);
}
