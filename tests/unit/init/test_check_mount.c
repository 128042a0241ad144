/* What is said about mounts of real shapes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "init/check_mount.h"

struct expected {
    const char *file, *path, *file_system_id;
    bool read_only, allow_local;
    const char *id;
    enum verdict verdict;
    enum cause cause;
    const char *words;
};

static void expect(const struct expected *e)
{
    char file[128];
    _cleanup_mountinfo_ struct mountinfo *table = NULL;
    struct mount mount, another;
    struct error err = {0};
    struct mount_setting asked = {.path = (char *)(uintptr_t)e->path,
                                  .file_system_id = (char *)(uintptr_t)e->file_system_id,
                                  .read_only = e->read_only};
    struct mount_report report = {.asked = &asked};

    snprintf(file, sizeof(file), "tests/data/mountinfo/%s", e->file);
    if (mountinfo_read(file, &table, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(mountinfo_at(table, e->path, &mount), 0);
    struct mount_question question = {
        .mount = &mount,
        .another = mountinfo_any_nfs(table, &another) == 0 ? &another : NULL,
        .allow_local = e->allow_local,
    };
    check_mount(&question, &report);
    bool found = false;
    for (size_t i = 0; i < report.n; i++) {
        const struct check *check = &report.checks[i];
        if (strcmp(check->id, e->id) == 0 && strstr(check->message, e->words)) {
            found = true;
            assert_int_equal(check->verdict, e->verdict);
            assert_int_equal(check->cause, e->cause);
            assert_true(check->verdict != VERDICT_FAIL || check->fix[0]);
        }
    }
    for (size_t i = 0; !found && i < report.n; i++)
        print_error("%s: %s\n", report.checks[i].id, report.checks[i].message);
    if (!found)
        fail_msg("%s %s: no check %s with \"%s\"", e->file, e->path, e->id, e->words);
    json_decref(report.facts);
}

static void test_kinds(void **state)
{
    static const struct expected cases[] = {
        {"ecs-ec2-tls", "/data", "", false, false, "mount", VERDICT_OK, 0,
         "NFS 4.1, mounted at /data from 127.0.0.1:/"},
        {"ecs-ec2-tls", "/scratch", "", false, false, "mount", VERDICT_FAIL, CAUSE_NOT_MOUNTED,
         "/scratch is a mount of ext4 (/dev/nvme0n1p1), not of EFS"},
        {"ecs-ec2-tls", "/app", "", false, false, "mount", VERDICT_FAIL, CAUSE_NOT_MOUNTED,
         "/app is a plain directory on overlay (mounted at /), EFS is not mounted there: this "
         "container has no mountPoints "
         "entry for it; NFS is mounted at /data"},
        {"ecs-ec2-tls", "/app", "", false, true, "mount", VERDICT_WARN, 0,
         "not NFS but overlay, accepted"},
        {"ecs-ec2-tls", "/data", "fs-0abc", false, false, "source", VERDICT_UNKNOWN, 0,
         "proves neither TLS nor"},
        {"ecs-ec2-plain", "/data", "fs-12345", false, false, "source", VERDICT_OK, 0,
         "names file system fs-12345"},
        {"ecs-ec2-plain", "/data", "fs-0abc", false, false, "source", VERDICT_FAIL,
         CAUSE_WRONG_FILE_SYSTEM, "fs-12345 is mounted at /data, but fs-0abc was asked for"},
        {"docker-local-driver", "/data", "", false, false, "source", VERDICT_UNKNOWN, 0,
         "does not name"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        expect(&cases[i]);
}

static void test_access(void **state)
{
    static const struct expected cases[] = {
        {"ecs-ec2-tls", "/data", "", false, false, "access", VERDICT_OK, 0, "read-write"},
        {"ecs-ec2-tls", "/data", "", true, false, "access", VERDICT_WARN, 0,
         "asked for as read-only"},
        {"ecs-ec2-tls", "/config", "", true, false, "access", VERDICT_OK, 0, "read-only, as asked"},
        {"ecs-ec2-tls", "/config", "", false, false, "access", VERDICT_FAIL, CAUSE_READ_ONLY_MOUNT,
         "this container has it read-only"},
        {"mounted-over", "/data", "", false, false, "access", VERDICT_FAIL, CAUSE_READ_ONLY_MOUNT,
         "the file system was mounted ro"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        expect(&cases[i]);
}

static void test_options(void **state)
{
    static const struct expected cases[] = {
        {"ecs-ec2-tls", "/data", "", false, false, "options", VERDICT_OK, 0, "as EFS wants them"},
        {"fargate", "/srv/gitlab/data", "", false, false, "options", VERDICT_OK, 0,
         "as EFS wants them"},
        {"unknown-options", "/data", "", false, false, "options", VERDICT_WARN, 0,
         "no noresvport: "},
        {"ecs-ec2-plain", "/data", "", false, false, "options", VERDICT_WARN, 0,
         "no noresvport: after a network failure"},
        {"addresses", "/address", "", false, false, "options", VERDICT_WARN, 0,
         "soft: an app gets I/O errors"},
        {"addresses", "/address", "", false, false, "options", VERDICT_WARN, 0, "noac: "},
        {"s3-files", "/models", "", false, false, "options", VERDICT_WARN, 0,
         "vers=4.2: this is S3 Files"},
        {"odd-options", "/small", "", false, false, "options", VERDICT_WARN, 0,
         "rsize=65536: reads are split"},
        {"odd-options", "/small", "", false, false, "options", VERDICT_WARN, 0,
         "wsize=32768: writes are split"},
        {"odd-options", "/small", "", false, false, "options", VERDICT_WARN, 0, "acregmax=0: "},
        {"odd-options", "/small", "", false, false, "options", VERDICT_WARN, 0, "acdirmax=0: "},
        {"odd-options", "/small", "", false, false, "options", VERDICT_WARN, 0,
         "lookupcache=none: "},
        {"odd-options", "/small", "", false, false, "options", VERDICT_WARN, 0, "nconnect=4: "},
        {"odd-options", "/old", "", false, false, "options", VERDICT_WARN, 0,
         "vers=3: EFS does not speak 3"},
        {"odd-options", "/old", "", false, false, "options", VERDICT_WARN, 0, "nolock: "},
        {"odd-options", "/old", "", false, false, "options", VERDICT_WARN, 0,
         "local_lock=all: locks exclude nobody"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        expect(&cases[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_access),
        cmocka_unit_test(test_options),
    };
    return cmocka_run_group_tests_name("check_mount", tests, NULL, NULL);
}
