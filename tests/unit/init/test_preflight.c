/* What a target means, and what the facts of a survey mean for a mount. */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "init/preflight.h"
#include "init/preflight_judge.h"
#include "lib/cleanup.h"

#define FS   "fs-0123456789abcdef0"
#define NAME FS ".efs.eu-west-1.amazonaws.com"

static void test_targets(void **state)
{
    static const struct {
        const char *target, *id, *name, *region, *zone;
    } cases[] = {
        {FS, FS, "", "", ""},
        {"fs-12345678", "fs-12345678", "", "", ""},
        {"arn:aws-cn:elasticfilesystem:cn-north-1:123456789012:file-system/" FS, FS, "",
         "cn-north-1", ""},
        {NAME, FS, NAME, "eu-west-1", ""},
        {"eu-west-1a." NAME ".", FS, "eu-west-1a." NAME ".", "eu-west-1", "eu-west-1a"},
        {"nfs.example.com", "", "nfs.example.com", "", ""},
        {"fs-.example.com", "", "fs-.example.com", "", ""},
        {"localhost", "", "localhost", "", ""},
    };
    static const char *const refused[] = {
        "",
        "fs-1234567",
        "fs-x",
        "10.0.0",
        "10.0.0.256",
        "a..b/c",
        "-x.y",
        ".x",
        "a b",
        "arn:aws:elasticfilesystem:eu-west-1:1:access-point/fsap-0123456789abcdef0",
        "arn:aws:elasticfilesystem:eu-west-1:1:file-system/fs-1"};
    struct error err;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct preflight_wish wish = {0};
        assert_int_equal(preflight_parse_target(cases[i].target, &wish, &err), 0);
        assert_string_equal(wish.file_system_id, cases[i].id);
        assert_string_equal(wish.name, cases[i].name);
        assert_string_equal(wish.region, cases[i].region);
        assert_string_equal(wish.zone, cases[i].zone);
        assert_false(wish.has_address);
    }
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        struct preflight_wish wish = {0};
        if (preflight_parse_target(refused[i], &wish, &err) != -EINVAL)
            fail_msg("\"%s\" is taken for a target", refused[i]);
    }
}

static void test_options_go_first(void **state)
{
    struct preflight_wish wish = {
        .region = "us-east-1", .region_by = "--region", .zone = "us-east-1b"};
    struct error err;
    assert_int_equal(preflight_parse_target("eu-west-1a." NAME, &wish, &err), 0);
    assert_string_equal(wish.region, "us-east-1");
    assert_string_equal(wish.zone, "us-east-1b");
}

/* ---- judgement ---- */

static struct preflight_facts facts;
static struct efs_mount_target targets[2];
static struct mount_report report;

static struct nfs_address address_of(const char *text)
{
    struct nfs_address address;
    assert_true(nfs_address_parse(text, &address));
    return address;
}

static void ping(size_t i, const char *address, bool named, int target, enum nfs_ping_result result)
{
    facts.addresses[i] = (struct preflight_address){
        .address = address_of(address), .named = named, .target = target};
    facts.addresses[i].ping = (struct nfs_ping){.state = NFS_PING_ENDED,
                                                .result = result,
                                                .error = EHOSTUNREACH,
                                                .words = "x",
                                                .connect_us = 100,
                                                .reply_us = 200};
    facts.n_addresses = i + 1;
}

static void name_is(int form, const char *name, const char *address)
{
    struct preflight_lookup *lookup = &facts.lookups[form];
    *lookup = (struct preflight_lookup){.answer.state = PREFLIGHT_ANSWERED, .n = 1};
    snprintf(lookup->name, sizeof(lookup->name), "%s", name);
    lookup->addresses[0] = address_of(address);
}

static void failed(struct preflight_answer *answer, int code, const char *words)
{
    *answer = (struct preflight_answer){.state = PREFLIGHT_FAILED, .r = -code};
    snprintf(answer->err.text, sizeof(answer->err.text), "%s", words);
}

/* Everything is as it should be; each test breaks something. */
static int set_up(void **state)
{
    facts = (struct preflight_facts){
        .wish = {.file_system_id = FS, .access_point = "fsap-0123456789abcdef0"},
        .region_source = "AWS_REGION",
        .region = "eu-west-1",
        .zone = "eu-west-1a",
        .zone_id = "euw1-az1",
        .metadata_answer.state = PREFLIGHT_ANSWERED,
        .credentials_answer.state = PREFLIGHT_ANSWERED,
        .credentials_source = "container endpoint",
        .role_arn = "arn:aws:iam::123456789012:role/app",
        .file_system_answer.state = PREFLIGHT_ANSWERED,
        .file_system = {.id = FS, .state = "available", .throughput_mode = "elastic"},
        .targets_answer.state = PREFLIGHT_ANSWERED,
        .targets = {.items = targets, .n = 2},
        .groups_answer.state = PREFLIGHT_ANSWERED,
        .groups = "sg-1",
        .point_answer.state = PREFLIGHT_ANSWERED,
        .point = {.id = "fsap-0123456789abcdef0",
                  .file_system_id = FS,
                  .state = "available",
                  .root_path = "/app",
                  .has_posix_user = true,
                  .uid = 1000,
                  .gid = 1000,
                  .has_creation = true,
                  .creation_uid = 1000,
                  .creation_gid = 1000,
                  .creation_mode = 0755},
        .policy_answer.state = PREFLIGHT_ANSWERED,
    };
    targets[0] = (struct efs_mount_target){.id = "fsmt-a",
                                           .state = "available",
                                           .availability_zone_id = "euw1-az1",
                                           .availability_zone_name = "eu-west-1a",
                                           .ipv4 = "10.0.0.1"};
    targets[1] = (struct efs_mount_target){.id = "fsmt-b",
                                           .state = "available",
                                           .availability_zone_id = "euw1-az2",
                                           .availability_zone_name = "eu-west-1b",
                                           .ipv4 = "10.0.1.1"};
    name_is(LOOKUP_PLAIN, NAME, "10.0.0.1");
    name_is(LOOKUP_DOT, NAME ".", "10.0.0.1");
    name_is(LOOKUP_ZONE, "eu-west-1a." NAME, "10.0.0.1");
    ping(0, "10.0.0.1", true, 0, NFS_PING_OK);
    ping(1, "10.0.1.1", false, 1, NFS_PING_OK);
    report.n = 0;
    return 0;
}

static const struct check *find(const char *id, enum verdict verdict)
{
    for (size_t i = 0; i < report.n; i++) {
        if (strcmp(report.checks[i].id, id) == 0 && report.checks[i].verdict == verdict)
            return &report.checks[i];
    }
    return NULL;
}

static void step(const char *id, enum verdict verdict, const char *words)
{
    const struct check *check = find(id, verdict);
    if (!check)
        fail_msg("step %s is not %s", id, report_verdict_name(verdict));
    else if (!strstr(check->message, words) && !strstr(check->fix, words))
        fail_msg("step %s: no \"%s\" in: %s. %s", id, words, check->message, check->fix);
}

static void answer_is(enum cause cause, const char *words)
{
    preflight_judge(&facts, &report);
    const struct check *failure = preflight_failure(&report);
    enum cause found = failure ? failure->cause : CAUSE_NONE;
    if (found != cause)
        fail_msg("the answer is %s: %s", cause_table[found].name, failure ? failure->message : "");
    if (failure && !strstr(failure->message, words) && !strstr(failure->fix, words))
        fail_msg("no \"%s\" in: %s. %s", words, failure->message, failure->fix);
}

static void test_all_good(void **state)
{
    answer_is(CAUSE_NONE, "");
    for (size_t i = 0; i < report.n; i++) {
        if (report.checks[i].verdict != VERDICT_OK)
            fail_msg("%s: %s", report.checks[i].id, report.checks[i].message);
    }
    static const char *const ids[] = {"region",   "zone",  "fs",       "target",
                                      "security", "name",  "name-dot", "name-zone",
                                      "server",   "point", "policy",   "role"};
    for (size_t i = 0; i < ARRAY_LEN(ids); i++)
        step(ids[i], VERDICT_OK, "");
}

/* The first in the chain of causes is the answer, also when all behind it fails, too. */
static void test_order_of_causes(void **state)
{
    ping(0, "10.0.0.1", true, 0, NFS_PING_TIMED_OUT);
    failed(&facts.credentials_answer, EIO, "the endpoint answered 500");
    answer_is(CAUSE_CONNECTION_TIMED_OUT, "Let sg-1, the security groups");
    failed(&facts.lookups[LOOKUP_PLAIN].answer, ENOENT, "no such name");
    failed(&facts.lookups[LOOKUP_DOT].answer, ENOENT, "no such name");
    report.n = 0;
    answer_is(CAUSE_NAME_NOT_RESOLVED, "no such name");
    facts.targets.n = 0;
    facts.n_addresses = 0;
    report.n = 0;
    answer_is(CAUSE_NO_MOUNT_TARGET, "no mount target at all");
    failed(&facts.file_system_answer, ENOENT, "x");
    report.n = 0;
    answer_is(CAUSE_FILE_SYSTEM_UNAVAILABLE, "knows no " FS " in eu-west-1");
    facts.region_source = NULL;
    report.n = 0;
    answer_is(CAUSE_REGION_UNKNOWN, "");
}

static void test_pings(void **state)
{
    static const struct {
        enum nfs_ping_result result;
        enum cause cause;
    } cases[] = {
        {NFS_PING_LOOPBACK, CAUSE_LOOPBACK_ADDRESS},
        {NFS_PING_REFUSED, CAUSE_CONNECTION_REFUSED},
        {NFS_PING_TIMED_OUT, CAUSE_CONNECTION_TIMED_OUT},
        {NFS_PING_UNREACHABLE, CAUSE_NETWORK_UNREACHABLE},
        {NFS_PING_RESET, CAUSE_CONNECTION_RESET},
        {NFS_PING_SILENT, CAUSE_NO_NFS_SERVER},
        {NFS_PING_NOT_NFS, CAUSE_NO_NFS_SERVER},
        {NFS_PING_ERROR, CAUSE_UNEXPECTED},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        set_up(NULL);
        ping(0, "10.0.0.1", true, 0, cases[i].result);
        ping(1, "10.0.1.1", false, 1, NFS_PING_OK); /* of no use: the name does not lead there */
        answer_is(cases[i].cause, "10.0.0.1 (fsmt-a in eu-west-1a)");
    }
}

static void test_one_of_two_is_enough(void **state)
{
    ping(1, "fd00::1", true, 0, NFS_PING_UNREACHABLE);
    answer_is(CAUSE_NONE, "");
    step("server", VERDICT_WARN, "fd00::1");
}

static void test_other_zones_targets_only_warn(void **state)
{
    ping(1, "10.0.1.1", false, 1, NFS_PING_TIMED_OUT);
    answer_is(CAUSE_NONE, "");
    step("server", VERDICT_WARN, "the name does not lead there");
}

static void test_zones(void **state)
{
    /* Another account calls the same zone by another name: ids decide. */
    snprintf(facts.zone, sizeof(facts.zone), "eu-west-1b");
    answer_is(CAUSE_NONE, "");
    step("target", VERDICT_OK, "fsmt-a");
    facts.zone_id[0] = '\0';
    report.n = 0;
    answer_is(CAUSE_NONE, "");
    step("target", VERDICT_OK, "fsmt-b");
    facts.zone[0] = '\0';
    report.n = 0;
    answer_is(CAUSE_NONE, "");
    step("target", VERDICT_UNKNOWN, "eu-west-1a (euw1-az1), eu-west-1b (euw1-az2)");
    snprintf(facts.zone, sizeof(facts.zone), "eu-west-1c");
    report.n = 0;
    answer_is(CAUSE_NO_MOUNT_TARGET, "in eu-west-1c, only in eu-west-1a");
}

static void test_states(void **state)
{
    snprintf(facts.point.state, sizeof(facts.point.state), "deleting");
    answer_is(CAUSE_ACCESS_POINT_UNUSABLE, "deleting");
    snprintf(targets[0].state, sizeof(targets[0].state), "creating");
    report.n = 0;
    answer_is(CAUSE_NO_MOUNT_TARGET, "Wait until");
    snprintf(facts.file_system.state, sizeof(facts.file_system.state), "error");
    report.n = 0;
    answer_is(CAUSE_FILE_SYSTEM_UNAVAILABLE, "\"error\"");
    snprintf(facts.file_system.state, sizeof(facts.file_system.state), "updating");
    snprintf(targets[0].state, sizeof(targets[0].state), "available");
    facts.wish.access_point[0] = '\0';
    report.n = 0;
    answer_is(CAUSE_NONE, "");
}

static void test_access_points(void **state)
{
    facts.point.creation_uid = 0;
    facts.point.creation_gid = 0;
    answer_is(CAUSE_NONE, "");
    step("point", VERDICT_WARN, "everyone acts as 1000:1000 may not write");
    facts.point.creation_mode = 0777;
    report.n = 0;
    answer_is(CAUSE_NONE, "");
    step("point", VERDICT_OK, "mode 0777");
    facts.point.has_creation = false;
    report.n = 0;
    answer_is(CAUSE_NONE, "");
    step("point", VERDICT_WARN, "No such file or directory");
    snprintf(facts.point.root_path, sizeof(facts.point.root_path), "/");
    facts.point.has_posix_user = false;
    report.n = 0;
    answer_is(CAUSE_NONE, "");
    step("point", VERDICT_OK, "keeps their own identity");
}

static void test_not_checked(void **state)
{
    failed(&facts.file_system_answer, EACCES, "AccessDenied");
    failed(&facts.targets_answer, ETIMEDOUT, "no connection");
    facts.targets.n = 0;
    facts.addresses[0].target = facts.addresses[1].target = -1;
    facts.point_answer.state = PREFLIGHT_LATE;
    answer_is(CAUSE_NONE, "");
    step("fs", VERDICT_UNKNOWN, "needs elasticfilesystem:DescribeFileSystems");
    step("target", VERDICT_UNKNOWN, "no connection");
    step("point", VERDICT_UNKNOWN, "no answer until the deadline");
    assert_null(find("security", VERDICT_OK));
    failed(&facts.credentials_answer, ENOENT, "none");
    facts.policy_answer.state = PREFLIGHT_NOT_ASKED;
    report.n = 0;
    answer_is(CAUSE_NONE, "");
    step("role", VERDICT_SKIP, "without a taskRoleArn");
    step("policy", VERDICT_SKIP, "needs credentials");
    failed(&facts.credentials_answer, EIO, "the endpoint answered 500");
    report.n = 0;
    answer_is(CAUSE_NO_CREDENTIALS, "500");
    snprintf(facts.credentials_source, sizeof(facts.credentials_source),
             "instance metadata service");
    report.n = 0;
    answer_is(CAUSE_NONE, "");
}

static void test_search_domains(void **state)
{
    name_is(LOOKUP_PLAIN, NAME, "10.9.9.9");
    ping(2, "10.9.9.9", true, -1, NFS_PING_OK);
    answer_is(CAUSE_NONE, "");
    step("name", VERDICT_WARN, "10.9.9.9 is no mount target of " FS);
    step("name-dot", VERDICT_WARN, "answers without the dot");
    failed(&facts.lookups[LOOKUP_PLAIN].answer, ENOENT, "no such name");
    report.n = 0;
    answer_is(CAUSE_NONE, "");
    step("name", VERDICT_WARN, "dnsSearchDomains");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_targets),
        cmocka_unit_test(test_options_go_first),
        cmocka_unit_test_setup(test_all_good, set_up),
        cmocka_unit_test_setup(test_order_of_causes, set_up),
        cmocka_unit_test_setup(test_pings, set_up),
        cmocka_unit_test_setup(test_one_of_two_is_enough, set_up),
        cmocka_unit_test_setup(test_other_zones_targets_only_warn, set_up),
        cmocka_unit_test_setup(test_zones, set_up),
        cmocka_unit_test_setup(test_states, set_up),
        cmocka_unit_test_setup(test_access_points, set_up),
        cmocka_unit_test_setup(test_not_checked, set_up),
        cmocka_unit_test_setup(test_search_domains, set_up),
    };
    return cmocka_run_group_tests_name("preflight", tests, NULL, NULL);
}
