#include "watchers/scanner.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
/* cmocka needs the four above */
#include <cmocka.h>

#include "lib/clock.h"

enum { PATIENCE_MS = 60 * 1000 };

static char root[64];
static struct scanner_options options;
static uint8_t buffer[CHANGE_ENCODED_MAX];

static int setup(void **state)
{
    static const char *const excludes[] = {"state"};
    strcpy(root, "/tmp/test_scanner.XXXXXX");
    if (!mkdtemp(root) || chdir(root) < 0 || mkdir("state", 0755) < 0)
        return -1;
    options = (struct scanner_options){
        .root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC),
        .state_fd = open("state", O_PATH | O_DIRECTORY | O_CLOEXEC),
        .state_gid = -1,
        .scope = {.excludes = excludes, .exclude_count = 1},
        .interval_ms = 50,
        .rate = 100 * 1000,
        .grace_ms = 20,
        .max_entries = 1000,
    };
    return 0;
}

static int teardown(void **state)
{
    char command[128];
    close(options.root_fd);
    if (options.state_fd >= 0)
        close(options.state_fd);
    snprintf(command, sizeof(command), "rm -rf %s", root);
    if (chdir("/") < 0)
        return -1;
    return system(command); /* NOLINT(cert-env33-c): our own mkdtemp name */
}

static struct scanner *start(void)
{
    struct scanner *scanner;
    struct error err;
    assert_int_equal(scanner_open(&options, &scanner, &err), 0);
    return scanner;
}

static void wait_passes(struct scanner *scanner, uint64_t passes)
{
    struct scanner_status status;
    int64_t until_ms = clock_now_ms() + PATIENCE_MS;
    do {
        usleep(5000);
        scanner_status(scanner, &status);
        assert_true(clock_now_ms() < until_ms);
    } while (status.passes < passes);
}

static void put(const char *name)
{
    close(open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
}

static void next(struct scanner *scanner, struct change *ret_change)
{
    struct pollfd fds = {.fd = scanner_fd(scanner), .events = POLLIN};
    assert_int_equal(poll(&fds, 1, PATIENCE_MS), 1);
    assert_true(scanner_collect(scanner, buffer, ret_change));
    assert_int_equal(ret_change->source, CHANGE_SOURCE_SCAN);
}

static void test_it_tells_what_it_finds(void **state)
{
    struct scanner_status status;
    struct change change;
    struct scanner *scanner = start();
    wait_passes(scanner, 1);
    put("found");
    next(scanner, &change);
    assert_int_equal(change.op, CHANGE_CREATE);
    assert_string_equal(change.path, "found");
    scanner_status(scanner, &status);
    assert_int_equal(status.found, 1);
    assert_int_equal(status.entries, 1);
    assert_true(status.complete_ms >= 0);
    assert_int_equal(scanner_close(scanner, PATIENCE_MS), 0);
}

static void test_one_works_and_the_next_takes_over(void **state)
{
    struct scanner_status status;
    struct change change;
    struct scanner *first = start();
    wait_passes(first, 1);
    struct scanner *second = start();
    usleep(100 * 1000);
    scanner_status(second, &status);
    assert_int_equal(status.state, SCANNER_WAITING);
    assert_int_equal(status.complete_ms, -1);
    put("by-a-foreign-writer");
    next(first, &change);
    assert_int_equal(scanner_close(first, PATIENCE_MS), 0);
    next(second, &change); /* it cannot know what the first had seen */
    assert_int_equal(change.op, CHANGE_RESYNC);
    assert_int_equal(change.reason, CHANGE_REASON_SCAN);
    put("another");
    next(second, &change);
    assert_string_equal(change.path, "another");
    assert_int_equal(scanner_close(second, PATIENCE_MS), 0);
}

static void test_without_a_state_directory_each_scans(void **state)
{
    struct change change;
    close(options.state_fd);
    options.state_fd = -1;
    struct scanner *scanner = start();
    wait_passes(scanner, 1);
    put("x");
    next(scanner, &change);
    assert_string_equal(change.path, "x");
    assert_int_equal(scanner_close(scanner, PATIENCE_MS), 0);
}

static void test_it_looks_now_when_something_was_lost(void **state)
{
    struct change change;
    options.interval_ms = 3600 * 1000;
    struct scanner *scanner = start();
    wait_passes(scanner, 1);
    put("x");
    scanner_note(
        scanner,
        &(struct change){.op = CHANGE_RESYNC, .reason = CHANGE_REASON_JOURNAL_GAP, .path = ""});
    next(scanner, &change);
    assert_string_equal(change.path, "x");
    put("y");
    scanner_look_now(scanner);
    next(scanner, &change);
    assert_string_equal(change.path, "y");
    assert_int_equal(scanner_close(scanner, PATIENCE_MS), 0);
}

/* Far more than the queue holds: the scanner waits, and all of it comes. */
static void test_nobody_collects_for_a_while(void **state)
{
    enum { FILES = 3000 };
    char name[160];
    struct change change;
    options.max_entries = 2 * FILES;
    struct scanner *scanner = start();
    wait_passes(scanner, 1);
    for (int i = 0; i < FILES; i++) {
        snprintf(name, sizeof(name), "%0*d", 150, i);
        put(name);
    }
    usleep(500 * 1000);
    for (int i = 0; i < FILES; i++)
        next(scanner, &change);
    assert_int_equal(scanner_close(scanner, PATIENCE_MS), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_it_tells_what_it_finds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_works_and_the_next_takes_over, setup, teardown),
        cmocka_unit_test_setup_teardown(test_without_a_state_directory_each_scans, setup, teardown),
        cmocka_unit_test_setup_teardown(test_it_looks_now_when_something_was_lost, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nobody_collects_for_a_while, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
