/* A guard with real commands. What the time of a lock does to them under efsctl is tested with the
 * whole programs. */
#include "cli/guard.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* cmocka needs the four above */
#include <cmocka.h>

#include "lib/clock.h"

enum { DEADLINE_MS = 10 * 1000 };

static char file[] = "/tmp/test_guard.XXXXXX";

/* The reports as letters, until the last one. */
static const char *reports_of(enum guard_on_lost on_lost, int64_t valid_for_ms, char letters[8])
{
    char remove_file[] = "rm", force[] = "-f";
    char *argv[] = {remove_file, force, file, NULL};
    sigset_t none;
    sigemptyset(&none);
    const struct guard_options options = {.argv = argv,
                                          .on_lost = on_lost,
                                          .valid_until_ms = clock_now_ms() + valid_for_ms,
                                          .signals = &none};
    struct guard *guard;
    struct guard_report report;
    size_t n = 0;
    assert_int_equal(guard_start(&options, &guard, NULL), 0);
    do {
        struct pollfd wait = {.fd = guard_fd(guard), .events = POLLIN};
        assert_int_equal(poll(&wait, 1, DEADLINE_MS), 1);
        assert_int_equal(guard_next(guard, &report), 1);
        assert_true(n < 7);
        letters[n++] = "XEG"[report.event];
    } while (report.event != GUARD_GONE);
    letters[n] = '\0';
    guard_close(guard);
    assert_true(guard_end_orphans());
    return letters;
}

static void make_file(void)
{
    FILE *stream = fopen(file, "w");
    assert_non_null(stream);
    fclose(stream);
}

static void test_runs_in_time(void **state)
{
    char letters[8];
    make_file();
    assert_string_equal(reports_of(GUARD_TERM, DEADLINE_MS, letters), "XG");
    assert_int_equal(access(file, F_OK), -1);
}

static void test_does_not_run_when_the_time_is_up(void **state)
{
    char letters[8];
    make_file();
    assert_string_equal(reports_of(GUARD_TERM, 0, letters), "EG");
    assert_string_equal(reports_of(GUARD_KILL, -1, letters), "EG");
    assert_int_equal(access(file, F_OK), 0);
    assert_string_equal(reports_of(GUARD_IGNORE, -1, letters), "XG");
    assert_int_equal(access(file, F_OK), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_runs_in_time),
        cmocka_unit_test(test_does_not_run_when_the_time_is_up),
    };
    int fd = mkstemp(file);
    if (fd < 0)
        return 1;
    close(fd);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(file);
    return failed;
}
