/* An efs-watch that never lives long: a hundred ends, and what is left of them. */
#include <dirent.h>
#include <fcntl.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/clock.h"
#include "sidecar/watcher.h"

enum { ENDS = 100, STEP_MS = 1000, PAUSE_MOST_MS = 60 * 1000, PATIENCE = 20000, CHUNK_BYTES = 64 };

static char directory[] = "/tmp/test_watcher.XXXXXX";
static struct settings settings;
static struct conditions conditions;

/* A program of that name, first in the path. */
static void write_program(const char *text)
{
    char path[64];
    snprintf(path, sizeof(path), "%s/efs-watch", directory);
    unlink(path);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    fputs(text, file);
    fchmod(fileno(file), 0755);
    fclose(file);
}

static int set_up(void **state)
{
    static struct config_report report;
    char name[] = "efs-sidecar", *argv[] = {name, NULL}, path[128];
    enum config_action action;
    int first;
    if (!mkdtemp(directory))
        return -1;
    snprintf(path, sizeof(path), "%s:/usr/bin:/bin", directory);
    setenv("PATH", path, 1);
    return config_load(&settings_table, PROGRAM_SIDECAR, 1, argv, &settings, &action, &first,
                       &report);
}

static int tear_down(void **state)
{
    char path[64];
    snprintf(path, sizeof(path), "%s/efs-watch", directory);
    unlink(path);
    config_release(&settings_table, &settings);
    clock_fake_off();
    return rmdir(directory);
}

static int count_descriptors(void)
{
    int n = 0;
    DIR *dir = opendir("/proc/self/fd");
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

static struct watcher *open_watcher(struct event_base *base, struct feed *feed)
{
    struct watcher *watcher;
    const struct watcher_options options = {
        .base = base,
        .settings = &settings,
        .path = directory,
        .feed = feed,
        .conditions = &conditions,
    };
    conditions_init(&conditions, "/data");
    assert_int_equal(watcher_new(&options, &watcher), 0);
    watcher_allow(watcher, true);
    return watcher;
}

/* Until it has ended so often; how long that took on the clock. */
static int64_t until_ended(struct event_base *base, struct watcher *watcher, uint64_t n)
{
    struct watcher_status status;
    int64_t begin_ms = clock_now_ms();
    for (int i = 0; i < PATIENCE; i++) {
        watcher_tick(watcher);
        watcher_status(watcher, &status);
        if (status.restarts >= n)
            return clock_now_ms() - begin_ms;
        if (waitid(P_ALL, 0, &(siginfo_t){0}, WEXITED | WNOHANG | WNOWAIT) < 0) {
            clock_fake_advance(STEP_MS); /* there is none: its time has not come */
            continue;
        }
        event_base_loop(base, EVLOOP_ONCE);
    }
    fail_msg("it ended %d times only", (int)status.restarts);
    return 0;
}

static void test_hundred_ends(void **state)
{
    struct event_base *base = event_base_new();
    struct feed *feed;
    struct watcher_status status;
    clock_fake_set(1000, 1000);
    write_program("#!/bin/sh\necho 'no room' >&2\nexit 3\n");
    assert_int_equal(feed_new(1 << 20, "task-a", &feed), 0);
    struct watcher *watcher = open_watcher(base, feed);
    until_ended(base, watcher, ENDS / 10);
    int before = count_descriptors();
    size_t used_bytes = mallinfo2().uordblks;
    for (uint64_t n = ENDS / 10 + 1; n <= ENDS; n++)
        assert_in_range(until_ended(base, watcher, n), PAUSE_MOST_MS / 2, PAUSE_MOST_MS + STEP_MS);
    assert_int_equal(count_descriptors(), before);
    assert_in_range(mallinfo2().uordblks, 0, used_bytes + (size_t)ENDS * CHUNK_BYTES);
    assert_int_equal(waitid(P_ALL, 0, &(siginfo_t){0}, WEXITED | WNOHANG | WNOWAIT), -1);

    const struct condition *ready = &conditions.of[CONDITION_FEED_READY];
    assert_int_equal(ready->status, CONDITION_FALSE);
    assert_string_equal(ready->reason, "WatcherFailing");
    assert_non_null(strstr(ready->message, "ended 100 times in a row: it ended with code 3. It "
                                           "said \"no room\""));
    watcher_status(watcher, &status);
    assert_in_range(watcher_staleness_ms(&status), (ENDS - 10) * PAUSE_MOST_MS / 2,
                    ENDS * 2 * PAUSE_MOST_MS);
    watcher_stop(watcher);
    assert_true(watcher_stopped(watcher));
    watcher_free(watcher);
    feed_free(feed);
    event_base_free(base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hundred_ends),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
