/* From what a probe saw to the cause that is named: every errno that matters, told apart by mount
 * and ids. That probes see these things on real mounts is shown in tests/cluster. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "init/check_posix.h"
#include "lib/cleanup.h"

static const struct mount nfs = {.target = "/data", .fstype = "nfs4", .nfs = true};
static const struct mount nfs_ro = {
    .target = "/data", .fstype = "nfs4", .nfs = true, .read_only = true};
static const struct mount nfs_soft = {
    .target = "/data", .fstype = "nfs4", .nfs = true, .super_options = "rw,soft", .options = "rw"};
static const struct mount local = {.target = "/", .fstype = "ext4"};
static char path[] = "/data", no_id[] = "";
static const struct mount_setting asked_rw = {.path = path, .file_system_id = no_id};
static const struct mount_setting asked_ro = {
    .path = path, .file_system_id = no_id, .read_only = true};

struct scene {
    struct probe_log log;
    struct posix_question question;
    struct mount_report report;
    struct ids_setting expected;
    struct host_identity host;
    bool opened;
};

/* A probe by 1000:1000 in a directory of 1000:1000, 0755, on NFS, that went well. */
static struct scene *healthy(void)
{
    static struct scene scene;
    scene = (struct scene){
        .log = {.uid = 1000,
                .gid = 1000,
                .mount_id = 30,
                .path = "/data",
                .owner = 1000,
                .group = 1000,
                .mode = 0755,
                .in_group = true,
                .made = true,
                .file_owner = 1000,
                .file_group = 1000,
                .proofs = 1},
        .report = {.asked = &asked_rw},
        .question = {.end = PROBE_ENDED, .now_ms = 21000, .deadline_ms = 20000, .mount = &nfs},
    };
    scene.question.log = &scene.log;
    scene.question.expect_owner = &scene.expected;
    scene.question.host = &scene.host;
    atomic_store(&scene.log.step, PROBE_END);
    for (int i = 0; i < PROBE_END; i++)
        scene.log.took_us[i] = i == PROBE_LIST || i == PROBE_HOLD ? -1 : 100;
    return &scene;
}

static struct scene *failing(enum probe_step step, int error)
{
    struct scene *scene = healthy();
    scene->log.failed = step;
    scene->log.error = error;
    for (int i = step; i < PROBE_END; i++)
        scene->log.took_us[i] = -1;
    scene->log.made = step > PROBE_CREATE;
    return scene;
}

static void judge(struct scene *scene)
{
    scene->opened = check_path(&scene->question, &scene->report);
    if (scene->opened)
        check_posix(&scene->question, &scene->report);
}

static const struct check *find(const struct scene *scene, const char *id)
{
    static const struct check none;
    for (size_t i = 0; i < scene->report.n; i++)
        if (strcmp(scene->report.checks[i].id, id) == 0)
            return &scene->report.checks[i];
    fail_msg("there is no check %s", id);
    return &none;
}

static void expect_failure(struct scene *scene, const char *id, enum cause cause, const char *words)
{
    judge(scene);
    const struct check *check = find(scene, id);
    assert_int_equal(check->verdict, VERDICT_FAIL);
    if (check->cause != cause)
        fail_msg("cause is %s, expected %s: %s", cause_table[check->cause].name,
                 cause_table[cause].name, check->message);
    if (!strstr(check->message, words) && !strstr(check->fix, words))
        fail_msg("\"%s\" is not in: %s. %s", words, check->message, check->fix);
    assert_true(check->fix[0] != '\0');
}

static void test_healthy(void **state)
{
    struct scene *scene = healthy();
    judge(scene);
    assert_true(scene->opened);
    static const char *const ids[] = {"path", "write", "lock", "names", "owner"};
    assert_int_equal(scene->report.n, ARRAY_LEN(ids));
    for (size_t i = 0; i < ARRAY_LEN(ids); i++)
        assert_int_equal(find(scene, ids[i])->verdict, VERDICT_OK);
    assert_int_equal(find(scene, "write")->took_us, 400);
}

static void test_read_only_asked(void **state)
{
    struct scene *scene = healthy();
    scene->report.asked = &asked_ro;
    scene->log.made = false;
    for (int i = PROBE_CREATE; i < PROBE_END; i++)
        scene->log.took_us[i] = i == PROBE_LIST ? 100 : -1;
    judge(scene);
    assert_int_equal(scene->report.n, 2);
    assert_int_equal(find(scene, "list")->verdict, VERDICT_OK);
}

static void test_read_only_refused(void **state)
{
    expect_failure(failing(PROBE_CREATE, EROFS), "write", CAUSE_NO_CLIENT_WRITE,
                   "although the mount is read-write");

    struct scene *scene = failing(PROBE_CREATE, EROFS);
    scene->question.mount = &nfs_ro; /* the access check fails, in its own words */
    judge(scene);
    assert_int_equal(find(scene, "write")->verdict, VERDICT_SKIP);
}

static void test_permissions(void **state)
{
    struct scene *scene = failing(PROBE_CREATE, EACCES);
    scene->log.owner = scene->log.group = 2000;
    scene->log.in_group = false;
    expect_failure(scene, "write", CAUSE_PERMISSION_DENIED,
                   "/data belongs to 2000:2000 with mode 0755, this process is 1000:1000");
    assert_non_null(strstr(find(scene, "write")->fix, "Run the container as 2000:2000"));
    assert_int_equal(find(scene, "lock")->verdict, VERDICT_SKIP);

    scene = failing(PROBE_CREATE, EACCES);
    expect_failure(scene, "write", CAUSE_SQUASHED_IDENTITY,
                   "posixUser of the access point to 1000:1000");

    scene = failing(PROBE_CREATE, EPERM);
    scene->log.owner = 0;
    scene->log.mode = 0775; /* by its group it may */
    expect_failure(scene, "write", CAUSE_SQUASHED_IDENTITY, "EPERM");

    scene = failing(PROBE_CREATE, EACCES);
    scene->log.uid = 0;
    expect_failure(scene, "write", CAUSE_ROOT_SQUASHED, "ClientRootAccess");

    scene = failing(PROBE_CREATE, EACCES); /* no capabilities, on a disk */
    scene->log.uid = 0;
    scene->question.mount = &local;
    expect_failure(scene, "write", CAUSE_PERMISSION_DENIED, "this process is 0:1000");

    scene = failing(PROBE_CREATE, EACCES); /* never advise to run as root */
    scene->log.owner = scene->log.group = 0;
    scene->log.in_group = false;
    expect_failure(scene, "write", CAUSE_PERMISSION_DENIED, "Give the directory to");
    assert_null(strstr(find(scene, "write")->fix, "0:0"));
}

static void test_other_errors(void **state)
{
    static const struct {
        enum probe_step step;
        int error;
        const char *id;
        enum cause cause;
    } cases[] = {
        {PROBE_CREATE, EDQUOT, "write", CAUSE_QUOTA_EXCEEDED},
        {PROBE_FSYNC, EIO, "write", CAUSE_IO_ERROR},
        {PROBE_FSYNC, ENOSPC, "write", CAUSE_NO_SPACE},
        {PROBE_READ, EBADMSG, "write", CAUSE_DATA_MISMATCH},
        {PROBE_WRITE, ESTALE, "write", CAUSE_STALE_HANDLE},
        {PROBE_WRITE, ETIMEDOUT, "write", CAUSE_SERVER_UNREACHABLE},
        {PROBE_READ, ENOENT, "write", CAUSE_UNEXPECTED},
        {PROBE_LOCK, ENOLCK, "lock", CAUSE_LOCKS_UNAVAILABLE},
        {PROBE_LOCK, EOPNOTSUPP, "lock", CAUSE_LOCKS_UNAVAILABLE},
        {PROBE_LOCK, EIO, "lock", CAUSE_IO_ERROR},
        {PROBE_LINK, EMLINK, "names", CAUSE_TOO_MANY_LINKS},
        {PROBE_LINK, EOPNOTSUPP, "names", CAUSE_UNSUPPORTED},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        expect_failure(failing(cases[i].step, cases[i].error), cases[i].id, cases[i].cause,
                       error_name(cases[i].error));
}

static void test_soft_mount(void **state)
{
    struct scene *scene = failing(PROBE_FSYNC, EIO);
    scene->question.mount = &nfs_soft;
    expect_failure(scene, "write", CAUSE_SERVER_UNREACHABLE, "mount it hard");

    scene = failing(PROBE_OPEN, EIO);
    scene->question.mount = &nfs_soft;
    expect_failure(scene, "path", CAUSE_SERVER_UNREACHABLE, "EIO");
}

static void test_path(void **state)
{
    struct scene *scene = failing(PROBE_OPEN, ENOENT);
    strcpy(scene->log.path, "/mnt");
    scene->question.mount = &local;
    expect_failure(scene, "path", CAUSE_PATH_MISSING, "what there is of it is /mnt");
    assert_false(scene->opened);
    assert_non_null(strstr(find(scene, "path")->fix, "containerPath /data"));

    expect_failure(failing(PROBE_OPEN, ENOENT), "path", CAUSE_PATH_MISSING,
                   "create that directory on EFS");
    expect_failure(failing(PROBE_OPEN, ENOTDIR), "path", CAUSE_NOT_A_DIRECTORY,
                   "is not a directory");
    expect_failure(failing(PROBE_OPEN, ELOOP), "path", CAUSE_PATH_UNUSABLE, "ELOOP");
    expect_failure(failing(PROBE_OPEN, ESTALE), "path", CAUSE_STALE_HANDLE, "ESTALE");
    expect_failure(failing(PROBE_IDENTITY, EPERM), "identity", CAUSE_CANNOT_CHANGE_IDENTITY,
                   "--as");

    scene = healthy();
    strcpy(scene->log.path, "/mnt/efs");
    judge(scene);
    assert_non_null(strstr(find(scene, "path")->message, "its own name is /mnt/efs"));
}

static struct scene *hanging(enum probe_step step)
{
    struct scene *scene = failing(step, 0);
    scene->question.end = PROBE_HUNG;
    atomic_store(&scene->log.step, (int)step);
    atomic_store(&scene->log.step_since_ms, 2500);
    return scene;
}

static void test_hung(void **state)
{
    expect_failure(hanging(PROBE_OPEN), "path", CAUSE_MOUNT_HUNG,
                   "\"open\" has been waiting for 18.5 s (deadline 20.0 s)");
    expect_failure(hanging(PROBE_FSYNC), "write", CAUSE_MOUNT_HUNG, "\"fsync\" has been waiting");
    expect_failure(hanging(PROBE_RMDIR), "names", CAUSE_MOUNT_HUNG, "\"rmdir\"");

    struct scene *scene = hanging(PROBE_SWEEP); /* all is proven by then */
    judge(scene);
    assert_int_equal(find(scene, "leftovers")->verdict, VERDICT_UNKNOWN);
    assert_int_equal(find(scene, "names")->verdict, VERDICT_OK);

    scene = hanging(PROBE_CREATE); /* failed first, then hung in tidying up */
    scene->log.error = EROFS;
    scene->log.failed = PROBE_CREATE;
    expect_failure(scene, "write", CAUSE_NO_CLIENT_WRITE, "EROFS");

    scene = hanging(PROBE_WRITE);
    scene->question.end = PROBE_DIED;
    expect_failure(scene, "path", CAUSE_INTERNAL, "died in \"write\"");
}

static void test_lost_lock(void **state)
{
    struct scene *scene = failing(PROBE_HOLD, EIO);
    scene->question.lock_hold_ms = 20000;
    scene->log.longest_proof_ms = 40;
    expect_failure(scene, "lock", CAUSE_CLIENT_IDENTITY_SHARED, "nfs_client/identifier");

    scene = failing(PROBE_HOLD, EIO);
    scene->question.lock_hold_ms = 20000;
    scene->log.longest_proof_ms = 14000;
    expect_failure(scene, "lock", CAUSE_LEASE_LOST, "had not answered for 14000 ms");

    scene = failing(PROBE_HOLD, EIO); /* less than this server's lease */
    scene->question.lock_hold_ms = 20000;
    scene->question.lease_ms = 90000;
    scene->log.longest_proof_ms = 14000;
    expect_failure(scene, "lock", CAUSE_CLIENT_IDENTITY_SHARED, "while the mount answered");
    assert_non_null(strstr(find(scene, "lock")->detail, "the lease is 90000 ms"));
}

static void test_owner(void **state)
{
    struct scene *scene = healthy();
    scene->log.file_owner = scene->log.file_group = 2000;
    judge(scene);
    assert_int_equal(find(scene, "owner")->verdict, VERDICT_OK);
    assert_non_null(
        strstr(find(scene, "owner")->message, "belong to 2000:2000, this process is 1000:1000"));

    scene = healthy();
    scene->log.file_owner = scene->log.file_group = 65534;
    judge(scene);
    assert_int_equal(find(scene, "owner")->verdict, VERDICT_WARN);

    scene = healthy(); /* a setgid directory, no squashing */
    scene->log.mode = 02775;
    scene->log.group = scene->log.file_group = 50;
    judge(scene);
    assert_non_null(strstr(find(scene, "owner")->message, "as this process does"));

    scene = healthy();
    scene->expected = (struct ids_setting){.set = true, .uid = 1000, .gid = 100};
    expect_failure(scene, "owner", CAUSE_WRONG_OWNER, "belong to 1000:1000, expected is 1000:100");

    scene = healthy();
    scene->expected = (struct ids_setting){.set = true, .uid = 1000, .gid = 1000};
    scene->log.groups = 17;
    judge(scene);
    assert_int_equal(find(scene, "owner")->verdict, VERDICT_OK);
    assert_int_equal(find(scene, "groups")->verdict, VERDICT_WARN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_healthy),
        cmocka_unit_test(test_read_only_asked),
        cmocka_unit_test(test_read_only_refused),
        cmocka_unit_test(test_permissions),
        cmocka_unit_test(test_other_errors),
        cmocka_unit_test(test_path),
        cmocka_unit_test(test_hung),
        cmocka_unit_test(test_lost_lock),
        cmocka_unit_test(test_owner),
        cmocka_unit_test(test_soft_mount),
    };
    return cmocka_run_group_tests_name("check_posix", tests, NULL, NULL);
}
