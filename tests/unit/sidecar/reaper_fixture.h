/* Directories of tasks that live, left and died, with the clock moved by hand. */
#ifndef TESTS_UNIT_SIDECAR_REAPER_FIXTURE_H
#define TESTS_UNIT_SIDECAR_REAPER_FIXTURE_H

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
/* cmocka needs these */
#include <cmocka.h>

#include "lib/clock.h"
#include "lib/ofd.h"
#include "lib/share/layout.h"
#include "lib/share/owner.h"
#include "sidecar/janitor.h"
#include "sidecar/reaper.h"

enum { FENCE_MS = 30 * 1000, RETENTION_MS = 60 * 60 * 1000, OWN = 200, GENERATION = 77 };

static char top[] = "/tmp/reaper-XXXXXX";
static char state_dir[] = "state", state_mount[] = "", task_name[] = "own", tasks_dir[] = "tasks",
            archive_dir[] = "old/tasks";
static char policy_text[16];
static char *policies[] = {policy_text};
static struct settings settings;
static struct place place;
static struct janitor janitor;
static struct reaper reaper;
static int board_fd;

static inline const char *in_top(const char *format, ...) __attribute__((format(printf, 1, 2)));
static inline const char *in_top(const char *format, ...)
{
    static char full[512];
    int n = snprintf(full, sizeof(full), "%s/", top);
    va_list args;
    va_start(args, format);
    vsnprintf(full + n, sizeof(full) - (size_t)n, format, args);
    va_end(args);
    return full;
}

static inline void shell(const char *format, ...) __attribute__((format(printf, 1, 2)));
static inline void shell(const char *format, ...)
{
    char command[1024];
    int n = snprintf(command, sizeof(command), "cd %s && ", top);
    va_list args;
    va_start(args, format);
    vsnprintf(command + n, sizeof(command) - (size_t)n, format, args);
    va_end(args);
    assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c): in our own mkdtemp name */
}

static inline bool is(const char *test)
{
    char command[1024];
    snprintf(command, sizeof(command), "cd %s && %s", top, test);
    return system(command) == 0; /* NOLINT(cert-env33-c): in our own mkdtemp name */
}

static inline void set_policy(enum orphans_policy policy)
{
    snprintf(policy_text, sizeof(policy_text), "%s", orphans_policy_names[policy]);
    settings.orphans_policy = (struct name_list){.n = 1};
    settings.orphans_policy.names[0] = policies[0];
    reaper_release(&reaper);
    reaper_init(&reaper, &place);
}

static inline int set_up(void **state)
{
    if (!mkdtemp(top) || mkdir(in_top("state"), 0755) < 0 ||
        mkdir(in_top("state/feed"), 0755) < 0 || mkdir(in_top("state/members"), 0755) < 0 ||
        mkdir(in_top("tasks"), 0755) < 0 || mkdir(in_top("tasks/own"), 0755) < 0)
        return -1;
    int fd = open(in_top("state"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (board_create(fd, -1) < 0 || board_open(fd, false, &board_fd) < 0)
        return -1;
    close(fd);
    settings = (struct settings){
        .task_name = task_name,
        .state_dir = state_dir,
        .state_mount = state_mount,
        .tasks_dir = tasks_dir,
        .orphans_archive = archive_dir,
        .orphans_retention_ms = RETENTION_MS,
        .claim_max_attempts = 5,
        .state_gid = -1,
    };
    place = (struct place){.settings = &settings, .path = top, .name = "m", .writable = true};
    clock_fake_set(1000000, 1800000000000);
    janitor_init(&janitor, &place, 15 * 60 * 1000);
    janitor.own_slot = OWN;
    reaper_init(&reaper, &place);
    return 0;
}

static inline int tear_down(void **state)
{
    char command[64];
    clock_fake_off();
    reaper_release(&reaper);
    janitor_release(&janitor);
    close(board_fd);
    snprintf(command, sizeof(command), "rm -rf %s", top);
    strcpy(top, "/tmp/reaper-XXXXXX"); /* NOLINT: as long as it is */
    return system(command);            /* NOLINT(cert-env33-c): our own mkdtemp name */
}

static inline void write_slot(unsigned number, enum slot_state state, uint32_t epoch)
{
    const struct slot slot = {
        .state = state, .epoch = epoch, .sequence = 5, .segment = 1, .fence_ms = FENCE_MS};
    assert_int_equal(board_write_slot(board_fd, number, &slot), 0);
}

static inline int hold(unsigned number)
{
    int fd = open(in_top("state/board"), O_RDWR | O_CLOEXEC);
    assert_int_equal(ofd_lock(fd, F_WRLCK, (off_t)number * BOARD_SLOT_BYTES, BOARD_SLOT_BYTES), 0);
    return fd;
}

static inline void own(const char *task, uint64_t generation, unsigned slot, uint32_t epoch)
{
    struct owner owner = {
        .generation = generation, .slot = slot, .epoch = epoch, .fence_ms = FENCE_MS};
    snprintf(owner.task, sizeof(owner.task), "%s", task);
    int fd = open(in_top("tasks/%s", task), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(owner_write(fd, LAYOUT_OWNER, &owner), 0);
    close(fd);
}

/* A task with a directory, a file in it, and one that it was publishing. */
static inline void make_task(const char *task, unsigned slot, uint32_t epoch)
{
    shell(
        "mkdir -p tasks/%s/.stage/sub && echo data >tasks/%s/data && echo x >tasks/%s/.stage/sub/x",
        task, task, task);
    own(task, GENERATION, slot, epoch);
}

static inline void turn(void)
{
    struct error err = {0};
    if (janitor_round(&janitor, &err) != 0)
        fail_msg("%s", err.text);
    if (janitor_has_dead(&janitor)) {
        janitor.told = true;
        assert_int_equal(janitor_round(&janitor, &err), 0);
    }
    if (reaper_round(&reaper, &janitor, GENERATION, &err) != 0)
        fail_msg("%s", err.text);
}

static inline void turn_after(int64_t ms)
{
    clock_fake_advance(ms);
    turn();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
