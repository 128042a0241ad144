#include "lib/fs_remove.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
/* cmocka needs these */
#include <cmocka.h>

static char top[] = "/tmp/fs_remove-XXXXXX";
static int top_fd;

static void shell(const char *what)
{
    char command[1024];
    snprintf(command, sizeof(command), "cd %s && %s", top, what);
    assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c): in our own mkdtemp name */
}

static int set_up(void **state)
{
    if (!mkdtemp(top))
        return -1;
    top_fd = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return top_fd < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
    close(top_fd);
    shell("rm -rf ../$(basename $PWD)");
    memcpy(top, "/tmp/fs_remove-XXXXXX", sizeof(top));
    return 0;
}

static bool exists(const char *path)
{
    return faccessat(top_fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void test_a_part_at_a_time(void **state)
{
    unsigned budget = 10;
    shell("mkdir -p t/a/b u && touch t/a/b/$(seq -s ' t/a/b/' 20) && ln -s ../../u t/a/link && "
          "touch u/keep");
    assert_int_equal(fs_remove(top_fd, "t", &budget), 0);
    assert_int_equal(budget, 0);
    assert_true(exists("t"));
    budget = 100;
    assert_int_equal(fs_remove(top_fd, "t", &budget), 1);
    assert_int_equal(budget, 100 - 20 - 1 - 3 + 10); /* files, link, directories */
    assert_false(exists("t"));
    assert_true(exists("u/keep"));
    assert_int_equal(fs_remove(top_fd, "t", &budget), 1); /* gone is gone */
}

static void test_a_link_is_not_followed(void **state)
{
    unsigned budget = 10;
    shell("mkdir u && touch u/keep && ln -s u link");
    assert_int_equal(fs_remove(top_fd, "link", &budget), 1);
    assert_true(exists("u/keep"));
    assert_false(exists("link"));
}

static void test_too_deep(void **state)
{
    unsigned budget = 1000;
    shell("mkdir -p $(printf 'd/%.0s' $(seq 70))");
    assert_int_equal(fs_remove(top_fd, "d", &budget), -ELOOP);
    assert_true(exists("d"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_part_at_a_time),
        TEST(test_a_link_is_not_followed),
        TEST(test_too_deep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
