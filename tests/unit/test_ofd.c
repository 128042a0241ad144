/* Locks of open file descriptions on a local file, and the judgement of a loss. That a proof fails
 * when a lease is gone is shown on real NFS in tests/cluster. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/ofd.h"

struct files {
    char name[32];
    int first, second;
};

static int set_up(void **state)
{
    static struct files files;
    files = (struct files){.name = "/tmp/ofd-XXXXXX"};
    files.first = mkostemp(files.name, O_CLOEXEC);
    files.second = open(files.name, O_RDWR | O_CLOEXEC);
    *state = &files;
    return files.first < 0 || files.second < 0;
}

static int tear_down(void **state)
{
    struct files *files = *state;
    close(files->first);
    close(files->second);
    unlink(files->name);
    return 0;
}

static void test_exclusive(void **state)
{
    struct files *files = *state;
    assert_int_equal(ofd_query(files->second, F_WRLCK, 0, 0), 0);
    assert_int_equal(ofd_lock(files->first, F_WRLCK, 0, 0), 0);
    assert_int_equal(ofd_lock(files->first, F_WRLCK, 0, 0), 0);
    assert_int_equal(ofd_query(files->second, F_RDLCK, 0, 0), -EAGAIN);
    assert_int_equal(ofd_lock(files->second, F_RDLCK, 0, 0), -EAGAIN);
    assert_int_equal(ofd_unlock(files->first, 0, 0), 0);
    assert_int_equal(ofd_lock(files->second, F_WRLCK, 0, 0), 0);
    assert_int_equal(ofd_lock(files->first, F_RDLCK, 0, 0), -EAGAIN);
}

static void test_shared_and_ranges(void **state)
{
    struct files *files = *state;
    assert_int_equal(ofd_lock(files->first, F_RDLCK, 0, 0), 0);
    assert_int_equal(ofd_lock(files->second, F_RDLCK, 0, 0), 0);
    assert_int_equal(ofd_query(files->second, F_WRLCK, 0, 0), -EAGAIN);
    assert_int_equal(ofd_unlock(files->first, 0, 0), 0);
    assert_int_equal(ofd_unlock(files->second, 0, 0), 0);

    assert_int_equal(ofd_lock(files->first, F_WRLCK, 64, 64), 0);
    assert_int_equal(ofd_lock(files->second, F_WRLCK, 0, 64), 0);
    assert_int_equal(ofd_lock(files->second, F_WRLCK, 127, 1), -EAGAIN);
    assert_int_equal(ofd_lock(files->second, F_WRLCK, 128, 64), 0);
}

static void test_prove(void **state)
{
    struct files *files = *state;
    assert_int_equal(ofd_lock(files->first, F_WRLCK, 0, 0), 0);
    assert_int_equal(ofd_prove(files->first), 0);
    assert_int_equal(unlink(files->name), 0);
    assert_int_equal(ofd_prove(files->first), -ENOENT);
    assert_int_equal(ofd_prove(-1), -EBADF);
}

static void test_judge_loss(void **state)
{
    assert_int_equal(ofd_judge_loss(300, 90000), OFD_LOSS_IDENTITY_SHARED);
    assert_int_equal(ofd_judge_loss(89999, 90000), OFD_LOSS_IDENTITY_SHARED);
    assert_int_equal(ofd_judge_loss(90000, 90000), OFD_LOSS_LEASE_EXPIRED);
    assert_int_equal(ofd_judge_loss(9999, 0), OFD_LOSS_IDENTITY_SHARED);
    assert_int_equal(ofd_judge_loss(10000, 0), OFD_LOSS_LEASE_EXPIRED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_exclusive, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_shared_and_ranges, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_prove, set_up, tear_down),
        cmocka_unit_test(test_judge_loss),
    };
    return cmocka_run_group_tests_name("ofd", tests, NULL, NULL);
}
