/* Directories that others may write to become sticky where that may be set; what another user made
 * is refused with his uid. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/cleanup.h"
#include "lib/own_dir.h"

enum { SIDECAR = 1000, APP = 2000 };

static char top[] = "/tmp/own-dir-XXXXXX";
static int top_fd = -1;

static int set_up(void **state)
{
    if (!mkdtemp(top))
        return -1;
    top_fd = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return top_fd < 0;
}

static int tear_down(void **state)
{
    char command[64];
    close(top_fd);
    snprintf(command, sizeof(command), "rm -rf %s", top);
    memcpy(top, "/tmp/own-dir-XXXXXX", sizeof(top));
    return system(command); /* NOLINT(cert-env33-c): our own mkdtemp name */
}

static mode_t mode_of(int fd)
{
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    return st.st_mode & 07777;
}

static void sticky(void **state)
{
    static const struct {
        mode_t before, after;
    } known[] = {{0755, 0755},   {0777, 01777},  {0775, 01775},
                 {02770, 03770}, {01777, 01777}, {0700, 0700}};
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        assert_int_equal(fchmod(top_fd, known[i].before), 0);
        assert_int_equal(own_dir_protect(top_fd), 0);
        assert_int_equal(mode_of(top_fd), known[i].after);
    }
}

static void makes(void **state)
{
    _cleanup_close_ int fd = -1, again = -1, above = -1;
    struct error err = {0};
    assert_int_equal(own_dir_make(top_fd, "a/b", 0755, &fd, &err), 0);
    assert_int_equal(mode_of(fd), 0755);
    assert_int_equal(fchmod(fd, 0777), 0); /* as somebody with less care made it */
    assert_int_equal(own_dir_make(top_fd, "a/b", 0755, &again, &err), 0);
    assert_int_equal(mode_of(again), 0755);
    assert_int_equal(symlinkat("a", top_fd, "link"), 0);
    assert_true(own_dir_make(top_fd, "link/b", 0755, &above, &err) < 0);
    assert_int_equal(above, -1);
}

static void another_users(void **state)
{
    int fd = -1;
    struct error err = {0};
    if (geteuid() != 0)
        skip();
    assert_int_equal(fchmod(top_fd, 0777), 0);
    assert_int_equal(mkdirat(top_fd, "theirs", 0755), 0);
    assert_int_equal(fchownat(top_fd, "theirs", APP, APP, 0), 0);
    assert_int_equal(seteuid(SIDECAR), 0);
    int missing = own_dir_protect(top_fd);
    int r = own_dir_make(top_fd, "theirs/inner", 0755, &fd, &err);
    assert_int_equal(seteuid(0), 0);
    assert_int_equal(missing, 1);
    assert_int_equal(r, -EPERM);
    assert_int_equal(fd, -1);
    assert_non_null(strstr(err.text, "theirs was made by uid 2000"));
    assert_non_null(strstr(err.text, "(uid 1000)"));
    assert_int_equal(mode_of(top_fd), 0777);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(sticky, set_up, tear_down),
        cmocka_unit_test_setup_teardown(makes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(another_users, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
