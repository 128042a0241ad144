/* What tells hosts and namespaces apart, from canned proc and sys folders and from this kernel. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/host_identity.h"

static struct host_identity host_at(const char *root)
{
    struct host_identity host = {0};
    struct error err = {0};
    if (host_identity_read(root, &host, &err) < 0)
        fail_msg("%s", err.text);
    return host;
}

static void test_canned(void **state)
{
    struct host_identity named = host_at("tests/data/host/named");
    struct host_identity bare = host_at("tests/data/host/bare");
    assert_string_equal(named.boot_id, "0c2b7a41-96f4-4a3a-9f58-0d8a2a0a1f11");
    assert_true(named.net_namespace == 4026532201);
    assert_string_equal(named.nfs4_unique_id, ""); /* the kernel prints (null) */
    assert_string_equal(named.nfs4_namespace_id, "task-7");
    assert_true(bare.net_namespace == 4026531840);
    assert_string_equal(bare.nfs4_unique_id, "");
    assert_string_equal(bare.nfs4_namespace_id, "");
}

static void test_this_kernel(void **state)
{
    struct host_identity host = host_at("");
    assert_int_equal(strlen(host.boot_id), 36);
    assert_true(host.net_namespace > 0);
    assert_true(host.host_name[0] != '\0');
}

static void test_missing(void **state)
{
    struct host_identity host = {.net_namespace = 7};
    struct error err = {0};
    assert_int_equal(host_identity_read("tests/data/mountinfo", &host, &err), -ENOENT);
    assert_non_null(strstr(err.text, "boot id"));
    assert_true(host.net_namespace == 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_canned),
        cmocka_unit_test(test_this_kernel),
        cmocka_unit_test(test_missing),
    };
    return cmocka_run_group_tests_name("host_identity", tests, NULL, NULL);
}
