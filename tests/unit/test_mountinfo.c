/* Real shapes of /proc/self/mountinfo: which mount a path lies on and what is said about it. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/mountinfo.h"

static struct mountinfo *load(const char *name)
{
    struct mountinfo *table = NULL;
    struct error err = {0};
    char file[128];
    snprintf(file, sizeof(file), "tests/data/mountinfo/%s", name);
    if (mountinfo_read(file, &table, &err) < 0)
        fail_msg("%s", err.text);
    return table;
}

static void test_source_forms(void **state)
{
    static const struct {
        const char *file, *path, *source, *version;
        enum mount_source form;
    } cases[] = {
        {"ecs-ec2-tls", "/data/a/b", "127.0.0.1:/", "4.1", MOUNT_SOURCE_LOOPBACK},
        {"ecs-ec2-tls", "/config", "127.0.0.1:/etc", "4.1", MOUNT_SOURCE_LOOPBACK},
        {"ecs-ec2-plain", "/data", "fs-12345.efs.us-east-2.amazonaws.com:/", "4.1",
         MOUNT_SOURCE_EFS_NAME},
        {"ecs-ec2-plain", "/zone",
         "us-east-2b.fs-0123456789abcdef0.efs.us-east-2.amazonaws.com.cn:/grafana", "4.1",
         MOUNT_SOURCE_EFS_NAME},
        {"addresses", "/data", "[::1]:/", "4.1", MOUNT_SOURCE_LOOPBACK},
        {"addresses", "/six", "[2600:1f16::7]:/", "4.1", MOUNT_SOURCE_ADDRESS},
        {"addresses", "/address", "10.0.3.17:/", "4.1", MOUNT_SOURCE_ADDRESS},
        {"docker-local-driver", "/data", ":/", "4.1", MOUNT_SOURCE_NO_HOST},
        {"fargate", "/srv/gitlab/data", "127.0.0.1:/srv/gitlab/data", "4.1", MOUNT_SOURCE_LOOPBACK},
        {"unknown-options", "/data/", "127.0.0.1:/", "4.1", MOUNT_SOURCE_LOOPBACK},
        {"s3-files", "/models", "127.0.0.1:/", "4.2", MOUNT_SOURCE_LOOPBACK},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct mountinfo *table = load(cases[i].file);
        struct mount mount;
        char version[8];
        assert_int_equal(mountinfo_at(table, cases[i].path, &mount), 0);
        assert_string_equal(mount.fstype, "nfs4");
        assert_true(mount.nfs);
        assert_string_equal(mount.source, cases[i].source);
        assert_int_equal(mount.source_form, cases[i].form);
        assert_int_equal(mount_option(&mount, "vers", version, sizeof(version)), 0);
        assert_string_equal(version, cases[i].version);
        mountinfo_free(table);
    }
}

static void test_read_only_levels(void **state)
{
    struct mountinfo *table = load("ecs-ec2-tls");
    struct mount mount;
    assert_int_equal(mountinfo_at(table, "/config/x", &mount), 0);
    assert_true(mount.read_only);
    assert_false(mount.super_read_only);
    assert_int_equal(mountinfo_at(table, "/data", &mount), 0);
    assert_false(mount.read_only);
    assert_false(mount.super_read_only);
    assert_true(mount.device == makedev(0, 0x2a));
    mountinfo_free(table);

    table = load("mounted-over");
    assert_int_equal(mountinfo_at(table, "/data", &mount), 0);
    assert_true(mount.read_only);
    assert_true(mount.super_read_only);
    mountinfo_free(table);
}

static void test_not_nfs(void **state)
{
    struct mountinfo *table = load("ecs-ec2-tls");
    struct mount mount;
    assert_int_equal(mountinfo_at(table, "/scratch/file", &mount), 0);
    assert_string_equal(mount.fstype, "ext4");
    assert_string_equal(mount.root, "/var/lib/ecs/volumes/ecs-web-7-scratch");
    assert_false(mount.nfs);
    assert_int_equal(mount.source_form, MOUNT_SOURCE_NONE);
    /* A name that only begins like a mount point lies on what is above. */
    assert_int_equal(mountinfo_at(table, "/database", &mount), 0);
    assert_string_equal(mount.target, "/");
    mountinfo_free(table);
}

/* What was mounted first, below a place that was mounted over later, is out of reach. */
static void test_mounted_over(void **state)
{
    struct mountinfo *table = load("mounted-over");
    struct mount mount;
    assert_int_equal(mountinfo_at(table, "/data/in/x", &mount), 0);
    assert_string_equal(mount.source, "127.0.0.1:/top");
    assert_int_equal(mountinfo_by_id(table, 30, &mount), 0);
    assert_string_equal(mount.source, "127.0.0.1:/hidden");
    assert_int_equal(mountinfo_by_id(table, 99, &mount), -ENOENT);
    assert_int_equal(mountinfo_any_nfs(table, &mount), 0);
    assert_int_equal(mount.id, 30);
    mountinfo_free(table);
}

static void test_options(void **state)
{
    struct mountinfo *table = load("unknown-options");
    struct mount mount;
    char value[16];
    assert_int_equal(mountinfo_at(table, "/data", &mount), 0);
    assert_int_equal(mount_option(&mount, "fatal_neterrors", value, sizeof(value)), 0);
    assert_string_equal(value, "none");
    assert_int_equal(mount_option(&mount, "future", value, sizeof(value)), 0);
    assert_string_equal(value, "\"a,b\"");
    assert_int_equal(mount_option(&mount, "later", value, sizeof(value)), 0);
    assert_string_equal(value, "");
    assert_true(mount_has_option(&mount, "idmapped"));
    assert_true(mount_has_option(&mount, "hard"));
    assert_false(mount_has_option(&mount, "har"));
    assert_false(mount_has_option(&mount, "soft"));
    strcpy(value, "kept");
    assert_int_equal(mount_option(&mount, "noresvport", value, sizeof(value)), -ENOENT);
    assert_int_equal(mount_option(&mount, "rsize", value, 7), -ENAMETOOLONG);
    assert_string_equal(value, "kept");
    mountinfo_free(table);
}

static void test_escapes(void **state)
{
    struct mountinfo *table = load("octal-escapes");
    struct mount mount;
    assert_int_equal(mountinfo_at(table, "/with space/and\\slash/x", &mount), 0);
    assert_string_equal(mount.target, "/with space/and\\slash");
    assert_string_equal(mount.source, "127.0.0.1:/dir name");
    mountinfo_free(table);
}

static void test_broken_lines(void **state)
{
    struct mountinfo *table = load("broken-lines");
    struct mount mount;
    assert_int_equal(mountinfo_at(table, "/good", &mount), 0);
    assert_int_equal(mount.id, 40);
    assert_int_equal(mountinfo_at(table, "/loop", &mount), 0);
    assert_string_equal(mount.target, "/");
    mountinfo_free(table);
}

static void test_refused(void **state)
{
    static const char *const bad[] = {"", "data", "./data", "/data/../etc", "/data/.", "/.."};
    struct mountinfo *table = load("ecs-ec2-tls");
    struct mount mount = {.id = 7};
    struct error err = {0};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(mountinfo_at(table, bad[i], &mount), -EINVAL);
    assert_int_equal(mount.id, 7);
    assert_int_equal(mountinfo_at(table, "/data/..x/...", &mount), 0);
    mountinfo_free(table);

    table = NULL;
    assert_int_equal(mountinfo_read("tests/data/mountinfo/none", &table, &err), -ENOENT);
    assert_non_null(strstr(err.text, "tests/data/mountinfo/none"));
    assert_int_equal(mountinfo_read("/dev/null", &table, &err), -ENODATA);
    assert_null(table);
}

static void test_file_system_id(void **state)
{
    static const char *const none[] = {"127.0.0.1:/",
                                       "fs-:/",
                                       "fs-0abc:/",
                                       "fs-0abc.example.com:/",
                                       "xfs-0abc.efs.eu-west-1.amazonaws.com:/",
                                       "tmpfs",
                                       "nodot:/",
                                       ":/"};
    char id[MOUNT_FILE_SYSTEM_ID];
    assert_int_equal(mount_source_file_system("fs-0abc.efs.eu-west-1.amazonaws.com:/x", id), 0);
    assert_string_equal(id, "fs-0abc");
    assert_int_equal(
        mount_source_file_system("eu-west-1a.fs-0def.efs.eu-west-1.amazonaws.com:/", id), 0);
    assert_string_equal(id, "fs-0def");
    for (size_t i = 0; i < ARRAY_LEN(none); i++)
        assert_int_equal(mount_source_file_system(none[i], id), -ENOENT);
}

/* A chroot whose root is no mount point: the kernel lists children of a mount that it does not
 * list. */
static void test_hidden_root(void **state)
{
    struct mountinfo *table = load("chroot");
    struct mount mount;
    assert_int_equal(mountinfo_at(table, "/tmp/x", &mount), 0);
    assert_string_equal(mount.fstype, "unknown");
    assert_false(mount.nfs);
    assert_int_equal(mountinfo_by_id(table, 27, &mount), 0);
    assert_string_equal(mount.target, "/");
    assert_int_equal(mountinfo_at(table, "/data/x", &mount), 0);
    assert_true(mount.nfs);
    assert_int_equal(mountinfo_at(table, "/dev/pts/0", &mount), 0);
    assert_int_equal(mount.id, 87);
    mountinfo_free(table);
}

/* The kernel's first mount is its own parent; what is mounted over it is what one sees. */
static void test_visible_rootfs(void **state)
{
    struct mountinfo *table = load("rootfs-visible");
    struct mount mount;
    assert_int_equal(mountinfo_at(table, "/etc", &mount), 0);
    assert_string_equal(mount.fstype, "ext4");
    assert_int_equal(mountinfo_at(table, "/data", &mount), 0);
    assert_true(mount.nfs);
    mountinfo_free(table);
}

static void test_this_kernel(void **state)
{
    struct mountinfo *table = NULL;
    struct mount by_name, by_id;
    struct error err = {0};
    int fd = open("/proc", O_RDONLY | O_CLOEXEC | O_DIRECTORY), id = -1;
    assert_true(fd >= 0);
    assert_int_equal(mountinfo_read(NULL, &table, &err), 0);
    assert_int_equal(mount_id_of_fd(fd, &id), 0);
    assert_int_equal(mountinfo_by_id(table, id, &by_id), 0);
    assert_int_equal(mountinfo_at(table, "/proc", &by_name), 0);
    assert_int_equal(by_name.id, by_id.id);
    assert_string_equal(by_id.fstype, "proc");
    assert_int_equal(mount_id_of_fd(-1, &id), -ENOENT);
    mountinfo_free(table);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_source_forms),   cmocka_unit_test(test_read_only_levels),
        cmocka_unit_test(test_not_nfs),        cmocka_unit_test(test_mounted_over),
        cmocka_unit_test(test_options),        cmocka_unit_test(test_escapes),
        cmocka_unit_test(test_broken_lines),   cmocka_unit_test(test_refused),
        cmocka_unit_test(test_file_system_id), cmocka_unit_test(test_hidden_root),
        cmocka_unit_test(test_visible_rootfs), cmocka_unit_test(test_this_kernel),
    };
    return cmocka_run_group_tests_name("mountinfo", tests, NULL, NULL);
}
