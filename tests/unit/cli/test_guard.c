/* A guard with real commands; under efsctl it is tested with the whole programs. */
#include "cli/guard.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
/* cmocka needs the four above */
#include <cmocka.h>

#include "lib/clock.h"

enum { DEADLINE_MS = 10 * 1000, ORDERS = 100 };

static char file[] = "/tmp/test_guard.XXXXXX";

static const char remove_file[] = "rm -f \"$GUARD_TEST_FILE\"";
static const char stays[] = "trap '' TERM; sleep 60 & wait; wait";

static struct guard *start(const char *script, enum guard_on_lost on_lost, int64_t valid_for_ms)
{
    char shell[] = "sh", option[] = "-c", text[64];
    char *argv[] = {shell, option, text, NULL};
    sigset_t none;
    snprintf(text, sizeof(text), "%s", script);
    sigemptyset(&none);
    const struct guard_options options = {.argv = argv,
                                          .on_lost = on_lost,
                                          .valid_until_ms = clock_now_ms() + valid_for_ms,
                                          .signals = &none};
    struct guard *guard = NULL;
    assert_int_equal(guard_start(&options, &guard, NULL), 0);
    return guard;
}

/* The reports as letters, until the last one. */
static const char *read_reports(struct guard *guard, char letters[8])
{
    struct guard_report report;
    size_t n = 0;
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

static const char *reports_of(const char *script, enum guard_on_lost on_lost, int64_t valid_for_ms,
                              char letters[8])
{
    return read_reports(start(script, on_lost, valid_for_ms), letters);
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
    assert_string_equal(reports_of(remove_file, GUARD_TERM, DEADLINE_MS, letters), "XG");
    assert_int_equal(access(file, F_OK), -1);
}

static void test_does_not_run_when_the_time_is_up(void **state)
{
    char letters[8];
    make_file();
    assert_string_equal(reports_of(remove_file, GUARD_TERM, 0, letters), "EG");
    assert_string_equal(reports_of(remove_file, GUARD_KILL, -1, letters), "EG");
    assert_int_equal(access(file, F_OK), 0);
    assert_string_equal(reports_of(remove_file, GUARD_IGNORE, -1, letters), "XG");
    assert_int_equal(access(file, F_OK), -1);
}

static void test_is_killed_when_the_time_is_up(void **state)
{
    char letters[8];
    int64_t start_ms = clock_now_ms();
    assert_string_equal(reports_of(stays, GUARD_TERM, 500, letters), "EXG");
    assert_in_range(clock_now_ms() - start_ms, 400, 400 + DEADLINE_MS / 2);
    start_ms = clock_now_ms();
    assert_string_equal(reports_of(stays, GUARD_KILL, 500, letters), "EXG");
    assert_in_range(clock_now_ms() - start_ms, 400, 400 + DEADLINE_MS / 2);
}

/* What it says comes, although the kernel tells of the orders that it ended without reading. */
static void test_reports_when_orders_are_left(void **state)
{
    char letters[8];
    struct guard *guard = start("kill -STOP $PPID", GUARD_TERM, DEADLINE_MS);
    pid_t pid = waitpid(-1, NULL, WUNTRACED);
    siginfo_t end;
    assert_true(pid > 0);
    for (int i = 0; i < ORDERS; i++)
        guard_extend(guard, clock_now_ms() + DEADLINE_MS);
    kill(pid, SIGCONT);
    assert_int_equal(waitid(P_PID, (id_t)pid, &end, WEXITED | WNOWAIT), 0);
    assert_string_equal(read_reports(guard, letters), "XG");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_runs_in_time),
        cmocka_unit_test(test_does_not_run_when_the_time_is_up),
        cmocka_unit_test(test_is_killed_when_the_time_is_up),
        cmocka_unit_test(test_reports_when_orders_are_left),
    };
    int fd = mkstemp(file);
    if (fd < 0)
        return 1;
    close(fd);
    setenv("GUARD_TEST_FILE", file, 1);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(file);
    return failed;
}
