/* A reader that never reads costs dropped lines and nothing else; whole lines only; the log tells
 * what was dropped. */
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
#include <unistd.h>

#include <cmocka.h>

#include "lib/clock.h"
#include "lib/json.h"
#include "lib/line_queue.h"
#include "lib/log.h"

static char buffer[1 << 20];

static size_t read_rest(int fd)
{
    size_t used = 0;
    for (ssize_t n; (n = read(fd, buffer + used, sizeof(buffer) - 1 - used)) > 0;)
        used += (size_t)n;
    buffer[used] = '\0';
    return used;
}

static void test_lines_in_order(void **state)
{
    int fds[2];
    struct line_queue *queue;
    char line[64];
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(line_queue_open(fds[1], 100, &queue), 0); /* small: the ring wraps often */
    for (int i = 0; i < 1000; i++) {
        int n = snprintf(line, sizeof(line), "line %d", i);
        while (line_queue_push(queue, line, (size_t)n) == -ENOBUFS)
            usleep(100);
    }
    line_queue_close(queue, 5000);
    close(fds[1]);
    read_rest(fds[0]);
    char *rest = buffer;
    for (int i = 0; i < 1000; i++) {
        snprintf(line, sizeof(line), "line %d", i);
        assert_string_equal(strsep(&rest, "\n"), line);
    }
    assert_string_equal(rest, "");
    close(fds[0]);
}

static void test_nobody_reads(void **state)
{
    enum { LINES = 50000 };
    int fds[2];
    struct line_queue *queue;
    char line[101];
    memset(line, 'x', 100);
    line[100] = '\0';
    assert_int_equal(pipe(fds), 0);
    fcntl(fds[1], F_SETPIPE_SZ, 4096); /* less than the ring, so that it stays full */
    assert_int_equal(line_queue_open(fds[1], 16384, &queue), 0);
    int64_t start_ms = clock_now_ms();
    unsigned kept = 0;
    for (int i = 0; i < LINES; i++)
        kept += line_queue_push(queue, line, 100) == 0;
    assert_true(clock_now_ms() - start_ms < 5000);
    assert_true(kept < LINES / 10); /* what fits a pipe and the ring */
    assert_true(kept + line_queue_dropped(queue) == LINES);
    assert_int_equal(line_queue_drain(queue, 50), -ETIMEDOUT);

    /* Somebody reads again: what was kept comes out whole. */
    size_t got = 0;
    while (got < kept * 101ul)
        got += (size_t)read(fds[0], buffer + got, sizeof(buffer) - got);
    for (unsigned i = 0; i < kept; i++)
        assert_memory_equal(buffer + i * 101ul, "xxxxx", 5);
    for (unsigned i = 0; i < kept; i++)
        assert_true(buffer[i * 101ul + 100] == '\n');
    assert_int_equal(line_queue_drain(queue, 5000), 0);
    line_queue_close(queue, 1000);
    close(fds[0]);
    close(fds[1]);
}

static void test_close_leaves_a_stuck_writer(void **state)
{
    int fds[2];
    struct line_queue *queue;
    assert_int_equal(pipe(fds), 0);
    fcntl(fds[1], F_SETPIPE_SZ, 4096);
    assert_int_equal(line_queue_open(fds[1], 65536, &queue), 0);
    memset(buffer, 'y', 60000);
    assert_int_equal(line_queue_push(queue, buffer, 60000), 0);
    int64_t start_ms = clock_now_ms();
    line_queue_close(queue, 100);
    assert_true(clock_now_ms() - start_ms < 2000);
    /* The descriptors stay open: the abandoned writer still uses them. */
}

static void test_broken_pipe(void **state)
{
    int fds[2];
    struct line_queue *queue;
    signal(SIGPIPE, SIG_IGN);
    assert_int_equal(pipe(fds), 0);
    close(fds[0]);
    assert_int_equal(line_queue_open(fds[1], 4096, &queue), 0);
    line_queue_push(queue, "lost", 4);
    line_queue_drain(queue, 5000);
    assert_int_equal(line_queue_push(queue, "counted", 7), -EPIPE);
    assert_int_equal(line_queue_dropped(queue), 1);
    line_queue_close(queue, 1000);
    close(fds[1]);
}

static void test_log_is_json(void **state)
{
    int fds[2], saved = dup(STDERR_FILENO);
    assert_int_equal(pipe(fds), 0);
    dup2(fds[1], STDERR_FILENO);
    close(fds[1]);
    clock_fake_set(1000, 1795427754123);
    assert_int_equal(log_open("test", LOG_INFO), 0);
    log_info("a \"quoted\"\nname \xff");
    log_debug("not shown");
    log_event(LOG_WARN, "mount stalled", "mount", "/data", "left_out", NULL, "call", "statx", NULL);
    log_close(5000);
    log_error("after the end: goes nowhere");
    clock_fake_off();
    dup2(saved, STDERR_FILENO);
    close(saved);
    read_rest(fds[0]);
    close(fds[0]);

    char *rest = buffer;
    char *line = strsep(&rest, "\n");
    const char *text;
    _cleanup_json_ json_t *first = NULL, *second = NULL;
    assert_int_equal(json_parse(line, strlen(line), &first, NULL), 0);
    assert_int_equal(json_get_string(first, "msg", 100, &text, NULL), 0);
    assert_string_equal(text, "a \"quoted\"\nname ?");
    assert_int_equal(json_get_string(first, "time", 100, &text, NULL), 0);
    assert_string_equal(text, "2026-11-23T09:55:54.123Z");
    line = strsep(&rest, "\n");
    assert_int_equal(json_parse(line, strlen(line), &second, NULL), 0);
    assert_int_equal(json_get_string(second, "level", 100, &text, NULL), 0);
    assert_string_equal(text, "warn");
    assert_int_equal(json_get_string(second, "mount", 100, &text, NULL), 0);
    assert_string_equal(text, "/data");
    assert_null(json_object_get(second, "left_out"));
    assert_int_equal(json_get_string(second, "call", 100, &text, NULL), 0);
    assert_string_equal(rest, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines_in_order),
        cmocka_unit_test(test_nobody_reads),
        cmocka_unit_test(test_close_leaves_a_stuck_writer),
        cmocka_unit_test(test_broken_pipe),
        cmocka_unit_test(test_log_is_json),
    };
    return cmocka_run_group_tests_name("line_queue", tests, NULL, NULL);
}
