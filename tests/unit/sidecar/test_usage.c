#include "sidecar/usage.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* cmocka needs these */
#include <cmocka.h>

static char top[] = "/tmp/usage-XXXXXX";
static int top_fd;

static void shell(const char *what)
{
    char command[512];
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
    memcpy(top, "/tmp/usage-XXXXXX", sizeof(top));
    return 0;
}

/* In slices of `most`; returns how many. */
static unsigned measure(struct usage *usage, unsigned most)
{
    unsigned slices = 1;
    int r;
    while ((r = usage_measure(usage, top_fd, most)) == 1)
        slices++;
    assert_int_equal(r, 0);
    assert_int_equal(usage->root_fd, -1); /* nothing is left open */
    assert_null(usage->dir);
    return slices;
}

static void test_sums(void **state)
{
    struct usage usage = USAGE_NONE;
    measure(&usage, 50);
    assert_int_equal(usage.files, 0);
    shell("mkdir -p a/b .stage && head -c 1000 /dev/zero >x && head -c 24 /dev/zero >a/b/y && "
          "ln -s / link && echo record >.owner && echo 1 >a/.owner");
    assert_int_equal(measure(&usage, 1000), 1);
    assert_int_equal(usage.files, 4); /* its own record is not counted */
    assert_int_equal(usage.bytes, 1000 + 24 + 1 + 2);
    assert_false(usage.partial);
}

static void test_a_slice_is_bounded(void **state)
{
    struct usage usage = USAGE_NONE;
    shell("mkdir d && cd d && touch $(seq 100)");
    assert_true(measure(&usage, 10) >= 10);
    assert_int_equal(usage.files, 100);
}

static void test_it_may_change_meanwhile(void **state)
{
    struct usage usage = USAGE_NONE;
    shell("mkdir d e && touch d/1 e/1");
    assert_int_equal(usage_measure(&usage, top_fd, 5), 1);
    shell("rm -r d e");
    while (usage_measure(&usage, top_fd, 1) == 1)
        ;
    assert_false(usage.partial);
    usage_reset(&usage);
    usage_measure(&usage, top_fd, 1); /* and in the middle of it nothing leaks */
    usage_reset(&usage);
    assert_int_equal(usage.root_fd, -1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_sums),
        TEST(test_a_slice_is_bounded),
        TEST(test_it_may_change_meanwhile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
