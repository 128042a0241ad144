/* Task metadata: the fields of real answers, and what becomes of missing and odd ones. */
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

#include "lib/aws/metadata.h"
#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/fs.h"

static void load(const char *name, struct metadata *m)
{
    _cleanup_free_ char *text = NULL;
    char path[128];
    size_t length = 0;
    struct error err = {0};
    memset(m, 0, sizeof(*m));
    snprintf(path, sizeof(path), "tests/fuzz/corpus/aws_metadata/%s.json", name);
    assert_int_equal(fs_read_file(AT_FDCWD, path, 1 << 20, &text, &length), 0);
    bool container = strstr(name, "container") != NULL;
    int r = container ? metadata_parse_container(text, length, m, &err)
                      : metadata_parse_task(text, length, m, &err);
    if (r < 0)
        fail_msg("%s: %s", path, err.text);
}

static void test_fargate(void **state)
{
    struct metadata m;
    load("fargate-task", &m);
    assert_string_equal(m.cluster, "arn:aws:ecs:us-east-1:111122223333:cluster/default");
    assert_string_equal(m.task_id, "e9028f8d5d8e4f258373e7b93ce9a3c3");
    assert_string_equal(m.family, "curltest");
    assert_string_equal(m.revision, "3");
    assert_string_equal(m.availability_zone, "us-east-1a");
    assert_string_equal(m.availability_zone_id, "use1-az4");
    assert_string_equal(m.launch_type, "FARGATE");
    assert_string_equal(m.service, "MyService");
    assert_string_equal(m.desired_status, "RUNNING");
    assert_true(m.cpu_limit == 0.25 && m.memory_limit_mib == 512);
    load("fargate-container", &m);
    assert_string_equal(m.container, "curl");
    assert_true(m.container_cpu_limit == 10 && m.container_memory_limit_mib == 128);
}

static void test_sparse(void **state)
{
    struct metadata m;
    load("ec2-task", &m);
    assert_string_equal(m.cluster, "default");
    assert_string_equal(m.launch_type, "EC2");
    assert_string_equal(m.availability_zone_id, "");
    assert_true(m.cpu_limit == 0 && m.memory_limit_mib == 0);
    load("everything-missing", &m);
    assert_string_equal(m.task_id, "");
    load("other-types", &m);
    assert_string_equal(m.task_arn, "");
    assert_true(m.cpu_limit == 0);
}

static void test_too_long(void **state)
{
    struct metadata m = {0};
    char text[2048], id[1024];
    memset(id, 'i', sizeof(id));
    for (int n = 240; n < 600; n++) { /* an ARN is whole or not there, and so is its last part */
        int length = snprintf(text, sizeof(text), "{\"TaskARN\":\"arn:x/%.*s\"}", n, id);
        assert_int_equal(metadata_parse_task(text, (size_t)length, &m, NULL), 0);
        assert_int_equal(strlen(m.task_arn), n + 6 < (int)sizeof(m.task_arn) ? n + 6 : 0);
        assert_int_equal(strlen(m.task_id), n < (int)sizeof(m.task_id) ? n : 0);
    }
}

static void test_no_task(void **state)
{
    struct metadata m;
    struct error err = {0};
    unsetenv("ECS_CONTAINER_METADATA_URI_V4");
    assert_int_equal(metadata_read(clock_now_ms() + 1000, &m, &err), -ENOENT);
    assert_non_null(strstr(err.text, "ECS_CONTAINER_METADATA_URI_V4"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fargate),
        cmocka_unit_test(test_sparse),
        cmocka_unit_test(test_too_long),
        cmocka_unit_test(test_no_task),
    };
    return cmocka_run_group_tests_name("aws_metadata", tests, NULL, NULL);
}
