/* The EFS API's answers: every field, the caps, and what is missing. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>

#include "lib/aws/efs_parse.h"
#include "lib/cleanup.h"
#include "lib/fs.h"

static char *load(const char *name, size_t *ret_length)
{
    char *text = NULL, path[128];
    snprintf(path, sizeof(path), "tests/fuzz/corpus/aws_efs/%s.json", name);
    assert_int_equal(fs_read_file(AT_FDCWD, path, 1 << 20, &text, ret_length), 0);
    return text;
}

static void test_file_system(void **state)
{
    size_t length;
    struct efs_file_system fs;
    _cleanup_free_ char *text = load("file-systems", &length);
    assert_int_equal(efs_parse_file_system(text, length, &fs, NULL), 0);
    assert_string_equal(fs.id, "fs-d45bcaa0");
    assert_string_equal(fs.name, "shared");
    assert_string_equal(fs.state, "available");
    assert_string_equal(fs.throughput_mode, "elastic");
    assert_string_equal(fs.performance_mode, "generalPurpose");
    assert_string_equal(fs.availability_zone_name, "");
    assert_true(fs.encrypted && fs.n_mount_targets == 1 && fs.provisioned_mibps == 0);
}

static void test_mount_targets(void **state)
{
    size_t length;
    struct efs_mount_targets targets = {0};
    char next[EFS_MARKER] = "x";
    _cleanup_free_ char *text = load("mount-targets", &length);
    assert_int_equal(efs_parse_mount_targets(text, length, &targets, next, NULL), 0);
    assert_int_equal(targets.n, 1);
    assert_string_equal(next, "");
    assert_string_equal(targets.items[0].id, "fsmt-aa05b070");
    assert_string_equal(targets.items[0].availability_zone_id, "euw1-az3");
    assert_string_equal(targets.items[0].availability_zone_name, "eu-west-1a");
    assert_string_equal(targets.items[0].ipv4, "172.31.0.4");
    assert_string_equal(targets.items[0].ipv6, "");
    for (int i = 0; i < EFS_MOUNT_TARGETS_MAX + 1; i++)
        assert_int_equal(efs_parse_mount_targets(text, length, &targets, next, NULL), 0);
    assert_int_equal(targets.n, EFS_MOUNT_TARGETS_MAX);
    assert_true(targets.more);
    assert_string_equal(targets.items[EFS_MOUNT_TARGETS_MAX - 1].state, "available");
    efs_mount_targets_release(&targets);
}

static void test_access_points(void **state)
{
    size_t length;
    struct efs_access_points points = {0};
    char next[EFS_MARKER];
    _cleanup_free_ char *text = load("access-points", &length), *odd = load("odd-items", &length);
    assert_int_equal(efs_parse_access_points(text, strlen(text), &points, next, NULL), 0);
    const struct efs_access_point *p = &points.items[0];
    assert_string_equal(p->id, "fsap-75ea1762");
    assert_true(p->has_posix_user && p->uid == 1000 && p->gid == 1000);
    assert_int_equal(p->n_secondary_gids, 2);
    assert_true(p->secondary_gids[0] == 4294967295 && p->secondary_gids[1] == 5);
    assert_string_equal(p->root_path, "/app");
    assert_true(p->has_creation && p->creation_uid == 1000 && p->creation_gid == 1001);
    assert_int_equal(p->creation_mode, 0750);
    assert_int_equal(efs_parse_access_points(odd, length, &points, next, NULL), 0);
    assert_int_equal(points.n, 5);
    assert_false(points.items[4].has_posix_user || points.items[4].has_creation);
    assert_string_equal(points.items[4].root_path, "/");
    efs_access_points_release(&points);
}

static void test_refused(void **state)
{
    static const char *const bad[] = {"", "[]", "{}", "{\"MountTargets\":{}}",
                                      "{\"MountTargets\":[],\"NextMarker\":5}"};
    struct efs_mount_targets targets = {0};
    struct efs_file_system fs;
    struct error err = {0};
    char next[EFS_MARKER], long_marker[400], *policy = NULL;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(efs_parse_mount_targets(bad[i], strlen(bad[i]), &targets, next, &err),
                         -EBADMSG);
        assert_int_equal(efs_parse_policy(bad[i], strlen(bad[i]), &policy, &err), -EBADMSG);
        assert_int_equal(efs_parse_file_system(bad[i], strlen(bad[i]), &fs, &err), -EBADMSG);
    }
    int n = snprintf(long_marker, sizeof(long_marker),
                     "{\"MountTargets\":[],\"NextMarker\":\"%0129d\"}", 1);
    assert_int_equal(efs_parse_mount_targets(long_marker, (size_t)n, &targets, next, &err),
                     -EBADMSG);
    assert_non_null(strstr(err.text, "NextMarker"));
    assert_null(policy);
    static const char two[] = "{\"FileSystems\":[{},{}]}";
    assert_int_equal(efs_parse_file_system(two, strlen(two), &fs, &err), -EBADMSG);
    assert_non_null(strstr(err.text, "2 file systems"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_file_system),
        cmocka_unit_test(test_mount_targets),
        cmocka_unit_test(test_access_points),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests_name("aws_efs_parse", tests, NULL, NULL);
}
