/* Nothing opens outside the directory, with openat2 and with the walk; atomic writes leave no
 * litter. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
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
#include "lib/fs.h"

static char root[] = "/tmp/test_fs.XXXXXX";
static int root_fd = -1;

static int setup(void **state)
{
    assert_non_null(mkdtemp(root));
    root_fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(root_fd >= 0);
    assert_int_equal(mkdirat(root_fd, "in", 0755), 0);
    assert_int_equal(mkdirat(root_fd, "in/deep", 0755), 0);
    assert_int_equal(fs_write_atomic(root_fd, "secret", "s", 1, 0600), 0);
    assert_int_equal(symlinkat("../secret", root_fd, "in/escape"), 0);
    assert_int_equal(symlinkat("/etc", root_fd, "in/absolute"), 0);
    assert_int_equal(symlinkat("deep", root_fd, "in/inside"), 0);
    return 0;
}

static int teardown(void **state)
{
    char command[PATH_MAX];
    close(root_fd);
    snprintf(command, sizeof(command), "rm -rf '%s'", root);
    return system(command); /* NOLINT(cert-env33-c): our own mkdtemp name */
}

static void check_beneath(bool pretend)
{
    int fd = -1;
    fs_pretend_no_openat2(pretend);
    _cleanup_close_ int in_fd = -1;
    assert_int_equal(fs_open_beneath(root_fd, "in", O_RDONLY | O_DIRECTORY, 0, &in_fd), 0);
    static const char *const refused[] = {"../secret", "/etc/passwd", "",      "deep/../../secret",
                                          "deep//x",   "..",          "./deep"};
    for (size_t i = 0; i < ARRAY_LEN(refused); i++)
        assert_int_equal(fs_open_beneath(in_fd, refused[i], O_RDONLY, 0, &fd), -EINVAL);
    assert_true(fs_open_beneath(in_fd, "escape", O_RDONLY, 0, &fd) < 0);
    assert_true(fs_open_beneath(in_fd, "absolute/passwd", O_RDONLY, 0, &fd) < 0);
    assert_int_equal(fs_open_beneath(in_fd, "missing", O_RDONLY, 0, &fd), -ENOENT);
    assert_int_equal(fd, -1);

    int r = fs_open_beneath(in_fd, "inside", O_RDONLY | O_DIRECTORY, 0, &fd);
    if (pretend) {
        assert_true(r == -ELOOP || r == -ENOTDIR);
    } else {
        assert_int_equal(r, 0);
        close(fd);
    }
    assert_int_equal(fs_open_beneath(in_fd, ".", O_RDONLY | O_DIRECTORY, 0, &fd), 0);
    close(fd);
    assert_int_equal(fs_open_beneath(in_fd, "deep/new", O_WRONLY | O_CREAT | O_EXCL, 0640, &fd), 0);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    close(fd);
    assert_int_equal(unlinkat(in_fd, "deep/new", 0), 0);
    /* Another mount is another tree, although "beneath". */
    _cleanup_close_ int top_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    fd = -1;
    assert_int_equal(fs_open_beneath(top_fd, "proc/self/root/etc", O_PATH, 0, &fd), -EXDEV);
    assert_int_equal(fs_open_beneath(top_fd, "proc/version", O_RDONLY, 0, &fd), -EXDEV);
    assert_int_equal(fs_open_beneath(top_fd, "proc", O_PATH, 0, &fd), -EXDEV);
    assert_int_equal(fs_mkdir_beneath(top_fd, "proc/self", 0700, &fd), -EXDEV);
    assert_int_equal(fd, -1);
    /* Nobody has the other end: an open that waits for him would wait for ever. */
    assert_int_equal(mkfifoat(in_fd, "fifo", 0600), 0);
    assert_int_equal(fs_open_beneath(in_fd, "fifo", O_WRONLY | O_CREAT, 0600, &fd), -ENXIO);
    assert_int_equal(fs_open_beneath(in_fd, "fifo", O_RDONLY, 0, &fd), 0);
    close(fd);
    assert_int_equal(unlinkat(in_fd, "fifo", 0), 0);
    fs_pretend_no_openat2(false);
}

static void test_beneath_openat2(void **state)
{
    check_beneath(false);
}

static void test_beneath_walking(void **state)
{
    check_beneath(true);
}

static void test_names(void **state)
{
    char name[NAME_MAX + 2];
    memset(name, 'x', sizeof(name));
    name[NAME_MAX + 1] = '\0';
    assert_int_equal(fs_check_name(name), -ENAMETOOLONG);
    assert_int_equal(fs_check_relative(name), -ENAMETOOLONG);
    name[NAME_MAX] = '\0';
    assert_int_equal(fs_check_name(name), 0);
    assert_int_equal(fs_check_name("a/b"), -EINVAL);
    assert_int_equal(fs_check_name(".."), -EINVAL);
    assert_int_equal(fs_check_name(""), -EINVAL);
    assert_int_equal(fs_check_name("..."), 0);
    assert_int_equal(fs_check_relative("a/.hidden/b"), 0);
}

static void test_mkdir(void **state)
{
    struct stat st;
    int fd;
    mode_t old = umask(077);
    assert_int_equal(fs_mkdir_beneath(root_fd, "a/b/c", 02770, &fd), 0);
    umask(old);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_mode & 07777, 02770);
    close(fd);
    assert_int_equal(fs_mkdir_beneath(root_fd, "a/b/c", 0700, &fd), 0);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_mode & 07777, 02770); /* what exists is left as it is */
    close(fd);
    assert_true(fs_mkdir_beneath(root_fd, "in/absolute/x", 0700, &fd) < 0);
}

static void test_write_and_read(void **state)
{
    _cleanup_free_ char *text = NULL;
    size_t length;
    assert_int_equal(fs_write_atomic(root_fd, "report", "one", 3, 0644), 0);
    assert_int_equal(fs_write_atomic(root_fd, "report", "three", 5, 0644), 0);
    assert_int_equal(fs_read_file(root_fd, "report", 5, &text, &length), 0);
    assert_int_equal(length, 5);
    assert_string_equal(text, "three");
    char *untouched = NULL;
    assert_int_equal(fs_read_file(root_fd, "report", 4, &untouched, &length), -EFBIG);
    assert_null(untouched);
    assert_int_equal(fs_write_atomic(root_fd, "in", "x", 1, 0644), -EISDIR);
    _cleanup_closedir_ DIR *dir = opendir(root);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
        assert_null(strstr(entry->d_name, ".tmp-"));
}

/* What others can put into a directory in place of a file. */
static void test_read_nothing_else(void **state)
{
    char *text = NULL;
    assert_int_equal(mkfifoat(root_fd, "in/fifo", 0600), 0);
    assert_int_equal(symlinkat("../secret", root_fd, "in/link"), 0);
    assert_int_equal(fs_read_file(root_fd, "in/fifo", 100, &text, NULL), -EBADMSG);
    assert_int_equal(fs_read_file(root_fd, "in/link", 100, &text, NULL), -ELOOP);
    assert_int_equal(fs_read_file(root_fd, "in/deep", 100, &text, NULL), -EBADMSG);
    assert_true(fs_read_file(root_fd, "in/absolute/passwd", 100000, &text, NULL) < 0);
    assert_null(text);
    assert_int_equal(fs_read_file(AT_FDCWD, "/proc/self/statm", 100, &text, NULL), 0);
    free(text);
}

static void test_make_path(void **state)
{
    char path[PATH_MAX];
    struct stat st;
    int fd;
    snprintf(path, sizeof(path), "%s/one/two/three", root);
    mode_t old = umask(077);
    assert_int_equal(fs_make_path(path, 02775, &fd), 0);
    umask(old);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_mode & 07777, 02775);
    close(fd);
    assert_int_equal(fs_make_path(path, 0700, &fd), 0);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_mode & 07777, 02775);
    close(fd);
    snprintf(path, sizeof(path), "%s/secret/below", root);
    assert_int_equal(fs_make_path(path, 0700, &fd), -ENOTDIR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_beneath_openat2), cmocka_unit_test(test_beneath_walking),
        cmocka_unit_test(test_names),           cmocka_unit_test(test_mkdir),
        cmocka_unit_test(test_write_and_read),  cmocka_unit_test(test_read_nothing_else),
        cmocka_unit_test(test_make_path),
    };
    return cmocka_run_group_tests_name("fs", tests, setup, teardown);
}
