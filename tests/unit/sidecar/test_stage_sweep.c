/* What is removed from .stage, by a clock that the test moves. */
#include "sidecar/stage_sweep.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* cmocka needs these */
#include <cmocka.h>

enum { AGE_MS = 3600 * 1000 };

static char top[] = "/tmp/stage-XXXXXX";
static int top_fd;
static int64_t now_ms;
static struct stage_sweep sweep;

static void shell(const char *what)
{
    char command[512];
    snprintf(command, sizeof(command), "cd %s && %s", top, what);
    assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c): in our own mkdtemp name */
}

static int set_up(void **state)
{
    now_ms = 12345;
    sweep = (struct stage_sweep){0};
    if (!mkdtemp(top))
        return -1;
    top_fd = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return top_fd < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
    stage_sweep_release(&sweep);
    close(top_fd);
    shell("rm -rf ../$(basename $PWD)");
    memcpy(top, "/tmp/stage-XXXXXX", sizeof(top));
    return 0;
}

static struct stage_swept look(int64_t later_ms)
{
    struct error err = {0};
    struct stage_swept swept;
    now_ms += later_ms;
    int r = stage_sweep_look(&sweep, top_fd, now_ms, AGE_MS, &swept, &err);
    assert_string_equal(err.text, "");
    assert_int_equal(r, 0);
    return swept;
}

static void test_nothing(void **state)
{
    assert_int_equal(look(0).files, 0); /* not even the directory */
    shell("mkdir .stage");
    assert_int_equal(look(AGE_MS).files, 0);
}

static void test_left(void **state)
{
    shell("mkdir .stage && head -c 1000 /dev/zero >.stage/left && echo 1 >other");
    assert_int_equal(look(0).files, 0);
    assert_int_equal(look(AGE_MS - 1).files, 0);
    struct stage_swept swept = look(1);
    assert_int_equal(swept.files, 1);
    assert_int_equal(swept.bytes, 1000);
    shell("test ! -e .stage/left && test -e other");
    assert_int_equal(look(AGE_MS).files, 0);
}

/* Each of these is somebody at work. */
static void test_touched(void **state)
{
    static const char *const work[] = {
        "printf x >>.stage/f",
        "touch .stage/f",
        "chmod 600 .stage/f",
        "ln .stage/f link",
        "mv .stage/f .stage/g && mv .stage/g .stage/f",
        "cp .stage/f g && mv g .stage/f",
    };
    shell("mkdir .stage && echo 1 >.stage/f");
    look(0);
    for (size_t i = 0; i < sizeof(work) / sizeof(work[0]); i++) {
        shell("sleep 0.02"); /* another tick of the file system's clock */
        shell(work[i]);
        assert_int_equal(look(AGE_MS).files, 0);
    }
    assert_int_equal(look(AGE_MS).files, 1);
}

/* A link goes, what it leads to stays; directories are nobody's copies. */
static void test_not_followed(void **state)
{
    shell("mkdir -p .stage/dir away && echo 1 >away/f && echo 1 >.stage/dir/f && "
          "ln -s ../away .stage/to_dir && ln -s ../away/f .stage/to_file");
    look(0);
    assert_int_equal(look(AGE_MS).files, 2);
    shell("test -e away/f && test -e .stage/dir/f && test ! -L .stage/to_dir");
    shell("rm -r .stage && ln -s away .stage");
    struct error err;
    struct stage_swept swept;
    for (int i = 0; i < 2; i++)
        assert_true(stage_sweep_look(&sweep, top_fd, now_ms += AGE_MS, AGE_MS, &swept, &err) < 0);
    shell("test -e away/f");
}

/* Who was frozen, with the task, has had no time to write. */
static void test_late(void **state)
{
    shell("mkdir .stage && echo 1 >.stage/f");
    look(0);
    assert_int_equal(look(2 * AGE_MS).files, 0);
    assert_int_equal(look(AGE_MS).files, 1);
}

static void test_many(void **state)
{
    uint64_t files = 0;
    shell("mkdir .stage && cd .stage && seq 1500 | xargs touch");
    look(0);
    for (int i = 0; i < 3; i++)
        files += look(AGE_MS).files;
    assert_int_equal(files, 1500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_left, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_touched, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_not_followed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_late, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_many, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
