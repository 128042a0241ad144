/* Lines in a file: whole or not at all, and never more than twice the size. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/cleanup.h"
#include "lib/fs.h"
#include "lib/line_file.h"
#include "lib/line_queue.h"

enum { MAX_BYTES = 1000 };

static char directory[] = "/tmp/efs-line-file.XXXXXX";
static char path[64], old_path[64];

static int set_up(void **state)
{
    unlink(path);
    unlink(old_path);
    return 0;
}

static struct line_file *open_file(void)
{
    struct line_file *file = NULL;
    struct error err = {0};
    if (line_file_open(path, MAX_BYTES, &file, &err) < 0)
        fail_msg("%s", err.text);
    return file;
}

/* "number 0000 ..." of 20 bytes with its line break, in two pieces. */
static int write_number(struct line_file *file, int number)
{
    char line[32];
    snprintf(line, sizeof(line), "number %012d\n", number);
    const struct iovec parts[2] = {{line, 7}, {line + 7, 13}};
    return line_file_write(file, parts);
}

/* The numbers in a file must go on from first; how many they are. */
static int count_lines(const char *name, int first)
{
    _cleanup_free_ char *text = NULL;
    size_t length;
    assert_int_equal(fs_read_file(AT_FDCWD, name, 100000, &text, &length), 0);
    assert_int_equal(length % 20, 0);
    for (size_t at = 0; at < length; at += 20)
        assert_int_equal(strtol(text + at + 7, NULL, 10), first + (int)(at / 20));
    return (int)(length / 20);
}

static void test_rotation(void **state)
{
    struct line_file *file = open_file();
    for (int i = 0; i < 170; i++)
        assert_int_equal(write_number(file, i), 0);
    line_file_close(file);
    assert_int_equal(count_lines(old_path, 100), 50); /* 1000 bytes; the first 100 are gone */
    assert_int_equal(count_lines(path, 150), 20);

    file = open_file(); /* the size of what was there counts */
    for (int i = 170; i < 205; i++)
        assert_int_equal(write_number(file, i), 0);
    line_file_close(file);
    assert_int_equal(count_lines(old_path, 150), 50);
    assert_int_equal(count_lines(path, 200), 5);
}

static void test_half_a_line(void **state)
{
    FILE *before = fopen(path, "w");
    fputs("{\"half", before);
    fclose(before);
    struct line_file *file = open_file();
    assert_int_equal(write_number(file, 1), 0);
    line_file_close(file);
    _cleanup_free_ char *text = NULL;
    size_t length;
    assert_int_equal(fs_read_file(AT_FDCWD, path, 1000, &text, &length), 0);
    assert_string_equal(text, "{\"half\nnumber 000000000001\n");
}

static void test_no_space(void **state)
{
    struct rlimit before, tight;
    getrlimit(RLIMIT_FSIZE, &before);
    signal(SIGXFSZ, SIG_IGN);
    tight = before;
    tight.rlim_cur = 110; /* 5 lines and a half */
    struct line_file *file = open_file();
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    int r = 0, n = 0;
    while (r == 0 && n < 100)
        r = write_number(file, n++);
    int again = write_number(file, 77);
    setrlimit(RLIMIT_FSIZE, &before);
    assert_int_equal(n, 6);
    assert_int_equal(r, -ENOSPC);
    assert_true(again < 0);
    assert_int_equal(count_lines(path, 0), 5); /* nothing of the sixth */
    assert_int_equal(write_number(file, 5), 0);
    line_file_close(file);
    assert_int_equal(count_lines(path, 0), 6);
}

static void test_removed(void **state)
{
    struct line_file *file = open_file();
    assert_int_equal(write_number(file, 0), 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(write_number(file, 1), 0);
    line_file_close(file);
    assert_int_equal(count_lines(path, 1), 1);
}

static void test_what_is_no_file(void **state)
{
    struct line_file *file;
    struct error err = {0};
    assert_int_equal(line_file_open("/dev/null", MAX_BYTES, &file, &err), -EINVAL);
    assert_int_equal(line_file_open("/nowhere/x", MAX_BYTES, &file, &err), -ENOENT);
    assert_non_null(strstr(err.text, "/nowhere/x"));
    assert_int_equal(symlink("/tmp/x", path), 0);
    assert_true(line_file_open(path, MAX_BYTES, &file, &err) < 0);
}

/* Through a queue whose ring wraps often: the same whole lines; drops are counted. */
static void test_queue(void **state)
{
    struct line_queue *queue;
    assert_int_equal(line_queue_open_file(open_file(), 99, &queue), 0);
    for (int i = 0; i < 45; i++) {
        char line[32];
        int n = snprintf(line, sizeof(line), "number %012d", i);
        while (line_queue_push(queue, line, (size_t)n) == -ENOBUFS)
            usleep(100);
    }
    assert_int_equal(line_queue_drain(queue, 5000), 0);
    assert_int_equal(line_queue_error(queue), 0);
    assert_int_equal(count_lines(path, 0), 45);
    line_queue_close(queue, 5000);

    struct rlimit before, tight;
    getrlimit(RLIMIT_FSIZE, &before);
    tight = before;
    tight.rlim_cur = 910;
    assert_int_equal(line_queue_open_file(open_file(), 4096, &queue), 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    for (int i = 0; i < 3; i++)
        line_queue_push(queue, "number 000000000045", 19);
    int r = line_queue_drain(queue, 5000);
    setrlimit(RLIMIT_FSIZE, &before);
    assert_int_equal(r, 0);
    assert_int_equal(line_queue_dropped(queue), 3);
    assert_int_equal(line_queue_error(queue), ENOSPC);
    line_queue_close(queue, 5000);
    assert_int_equal(count_lines(path, 0), 45);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_rotation, set_up),
        cmocka_unit_test_setup(test_half_a_line, set_up),
        cmocka_unit_test_setup(test_no_space, set_up),
        cmocka_unit_test_setup(test_removed, set_up),
        cmocka_unit_test_setup(test_what_is_no_file, set_up),
        cmocka_unit_test_setup(test_queue, set_up),
    };
    if (!mkdtemp(directory))
        return 1;
    snprintf(path, sizeof(path), "%s/lines", directory);
    snprintf(old_path, sizeof(old_path), "%s/lines.1", directory);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    set_up(NULL);
    rmdir(directory);
    return failed;
}
