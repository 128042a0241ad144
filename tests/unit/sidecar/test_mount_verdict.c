/* MountReady for everything that can be known of a mount: which cause wins, and that it says what
 * to do. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "sidecar/mount_verdict.h"

static struct conditions conditions;
static struct mount_facts facts;

static int set_up(void **state)
{
    conditions_init(&conditions, "/data");
    facts = (struct mount_facts){
        .path = "/data",
        .want_write = true,
        .listed = true,
        .nfs = true,
        .own_mount = true,
        .fstype = "nfs4",
        .wanted_id = "",
        .found_id = "",
        .answered = true,
        .probe_ms = 1,
        .stall_after_ms = 15000,
    };
    return 0;
}

static void expect(enum condition_status status, const char *reason, const char *words)
{
    const struct condition *mount = &conditions.of[CONDITION_MOUNT_READY];
    mount_judge(&facts, &conditions);
    assert_string_equal(mount->reason, reason);
    assert_int_equal(mount->status, status);
    if (!strstr(mount->message, words))
        fail_msg("the message does not say \"%s\": %s", words, mount->message);
    assert_in_range(strlen(mount->message), 1, sizeof(mount->message) - 2); /* nothing is cut */
}

static void test_good(void **state)
{
    expect(CONDITION_TRUE, "MountAnswers", "/data answers");
    facts.nfs = false;
    facts.allow_local = true;
    expect(CONDITION_TRUE, "MountAnswers", "local directory");
    facts.answered = false;
    expect(CONDITION_UNKNOWN, "Starting", "/data");
}

static void test_not_the_mount(void **state)
{
    facts.nfs = false;
    facts.fstype = "overlay";
    expect(CONDITION_FALSE, "NotNfs", "efsVolumeConfiguration");
    facts.own_mount = false;
    expect(CONDITION_FALSE, "NotMounted", "mountPoints");
    assert_false(mount_is_usable(&facts));
    facts.listed = false;
    facts.allow_local = true;
    expect(CONDITION_UNKNOWN, "MountsUnreadable", "/proc");
    assert_false(mount_is_usable(&facts));
}

static void test_other_file_system(void **state)
{
    facts.wanted_id = "fs-0123456789abcdef0";
    expect(CONDITION_TRUE, "MountAnswers", "");
    facts.found_id = "fs-0fedcba9876543210";
    expect(CONDITION_FALSE, "WrongFileSystem", "fs-0fedcba9876543210, but mounts says fs-0123");
    facts.found_id = facts.wanted_id;
    expect(CONDITION_TRUE, "MountAnswers", "");
}

static void test_read_only(void **state)
{
    facts.read_only = true;
    expect(CONDITION_FALSE, "ReadOnly", "Remove readOnly from mountPoints");
    facts.want_write = false;
    expect(CONDITION_TRUE, "MountAnswers", "");
}

/* The canary says that writing fails; a probe that fails says more; a stall hides both. */
static void test_what_wins(void **state)
{
    error_set_errno(&facts.canary, EROFS, "/data/x cannot be written");
    expect(CONDITION_FALSE, "ReadOnly", "/data/x cannot be written: Read-only file system. ");
    expect(CONDITION_FALSE, "ReadOnly", "ClientWrite");
    error_set_errno(&facts.probe, ESTALE, "/data cannot be read");
    expect(CONDITION_FALSE, "StaleHandle", "new task");
    facts.stalled_ms = 17300;
    facts.stalled_call = "the canary";
    expect(CONDITION_FALSE, "MountStalled", "/data: the canary has not come back for 17 s");
}

static void test_every_cause_is_told_whole(void **state)
{
    const struct {
        int code;
        const char *reason;
    } causes[] = {
        {EROFS, "ReadOnly"},    {EACCES, "PermissionDenied"}, {EPERM, "PermissionDenied"},
        {ENOENT, "NotMounted"}, {ENOTDIR, "NotMounted"},      {ESTALE, "StaleHandle"},
        {ENOSPC, "NoSpace"},    {EDQUOT, "QuotaExceeded"},    {ETIMEDOUT, "TimedOut"},
        {EIO, "IOError"},       {ELOOP, "CallFailed"},
    };
    for (size_t i = 0; i < sizeof(causes) / sizeof(causes[0]); i++) {
        error_set(&facts.canary, causes[i].code, "%0400d", 1);
        expect(CONDITION_FALSE, causes[i].reason, "0000. ");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_good, set_up),
        cmocka_unit_test_setup(test_not_the_mount, set_up),
        cmocka_unit_test_setup(test_other_file_system, set_up),
        cmocka_unit_test_setup(test_read_only, set_up),
        cmocka_unit_test_setup(test_what_wins, set_up),
        cmocka_unit_test_setup(test_every_cause_is_told_whole, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
