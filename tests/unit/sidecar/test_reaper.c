/* Directories of tasks that live, left and died, with the clock moved by hand. */
#include <errno.h>
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

static const char *in_top(const char *format, ...) __attribute__((format(printf, 1, 2)));
static const char *in_top(const char *format, ...)
{
    static char full[512];
    int n = snprintf(full, sizeof(full), "%s/", top);
    va_list args;
    va_start(args, format);
    vsnprintf(full + n, sizeof(full) - (size_t)n, format, args);
    va_end(args);
    return full;
}

static void shell(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void shell(const char *format, ...)
{
    char command[1024];
    int n = snprintf(command, sizeof(command), "cd %s && ", top);
    va_list args;
    va_start(args, format);
    vsnprintf(command + n, sizeof(command) - (size_t)n, format, args);
    va_end(args);
    assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c): in our own mkdtemp name */
}

static bool is(const char *test)
{
    char command[1024];
    snprintf(command, sizeof(command), "cd %s && %s", top, test);
    return system(command) == 0; /* NOLINT(cert-env33-c): in our own mkdtemp name */
}

static void set_policy(enum orphans_policy policy)
{
    snprintf(policy_text, sizeof(policy_text), "%s", orphans_policy_names[policy]);
    settings.orphans_policy = (struct name_list){.n = 1};
    settings.orphans_policy.names[0] = policies[0];
    reaper_release(&reaper);
    reaper_init(&reaper, &place);
}

static int set_up(void **state)
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

static int tear_down(void **state)
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

static void write_slot(unsigned number, enum slot_state state, uint32_t epoch)
{
    const struct slot slot = {
        .state = state, .epoch = epoch, .sequence = 5, .segment = 1, .fence_ms = FENCE_MS};
    assert_int_equal(board_write_slot(board_fd, number, &slot), 0);
}

static int hold(unsigned number)
{
    int fd = open(in_top("state/board"), O_RDWR | O_CLOEXEC);
    assert_int_equal(ofd_lock(fd, F_WRLCK, (off_t)number * BOARD_SLOT_BYTES, BOARD_SLOT_BYTES), 0);
    return fd;
}

static void own(const char *task, uint64_t generation, unsigned slot, uint32_t epoch)
{
    struct owner owner = {
        .generation = generation, .slot = slot, .epoch = epoch, .fence_ms = FENCE_MS};
    snprintf(owner.task, sizeof(owner.task), "%s", task);
    int fd = open(in_top("tasks/%s", task), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(owner_write(fd, LAYOUT_OWNER, &owner), 0);
    close(fd);
}

/* A task with a directory, a file in it, and one that it was publishing. */
static void make_task(const char *task, unsigned slot, uint32_t epoch)
{
    shell(
        "mkdir -p tasks/%s/.stage/sub && echo data >tasks/%s/data && echo x >tasks/%s/.stage/sub/x",
        task, task, task);
    own(task, GENERATION, slot, epoch);
}

static void turn(void)
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

static void turn_after(int64_t ms)
{
    clock_fake_advance(ms);
    turn();
}

static void test_the_dead_are_left_alone_until_their_fence(void **state)
{
    write_slot(3, SLOT_JOINED, 7);
    make_task("web-1", 3, 7);
    int alive = hold(3);
    turn();
    assert_int_equal(reaper.orphans, 0);
    close(alive);
    turn();
    turn_after(FENCE_MS - 1);
    assert_int_equal(reaper.orphans, 0);
    assert_true(is("test -e tasks/web-1/.stage/sub/x"));
    turn_after(1);
    assert_int_equal(reaper.orphans, 1);
    assert_false(is("test -e tasks/web-1/.stage"));
    assert_true(is("test -e tasks/web-1/data"));
    turn_after(RETENTION_MS * 2); /* kept */
    assert_true(is("test -e tasks/web-1/data"));
    assert_int_equal(reaper.orphans, 1);
}

/* Its slot is another one's by now: nobody says whether the fence has passed. */
static void test_a_slot_that_was_taken_again(void **state)
{
    write_slot(3, SLOT_JOINED, 8);
    make_task("web-1", 3, 7);
    int other = hold(3);
    turn();
    turn_after(FENCE_MS - 1);
    assert_int_equal(reaper.orphans, 0);
    turn_after(1);
    assert_int_equal(reaper.orphans, 1);
    close(other);
}

static void test_unknown_is_left_alone(void **state)
{
    set_policy(ORPHANS_ADOPT);
    write_slot(3, SLOT_LEFT, 7);
    write_slot(4, SLOT_LEFT, 6);
    shell("mkdir -p tasks/made-by-hand tasks/other-state tasks/old-board tasks/garbage/.owner");
    own("other-state", GENERATION - 1, 3, 7);
    own("old-board", GENERATION, 4, 7);
    turn();
    turn_after(RETENTION_MS);
    turn_after(RETENTION_MS);
    assert_int_equal(reaper.orphans, 0);
    assert_true(is("test -d tasks/made-by-hand -a -d tasks/other-state -a -d tasks/old-board -a -d "
                   "tasks/garbage"));
}

static void test_adopt(void **state)
{
    set_policy(ORPHANS_ADOPT);
    write_slot(3, SLOT_LEFT, 7);
    make_task("web-1", 3, 7);
    turn();
    assert_true(is("test -e tasks/web-1/data")); /* it may be back in a moment */
    turn_after(FENCE_MS - 1);
    assert_true(is("test -e tasks/web-1/data"));
    turn_after(1);
    assert_true(is("test -e tasks/own/adopted/web-1.*/data"));
    assert_false(is("test -e tasks/web-1"));
    assert_false(is("test -e tasks/.orphans"));
    turn_after(1000);
    turn_after(1000);
    assert_int_equal(reaper.orphans, 0);
    assert_int_equal(reaper.settled, 1);
}

static void test_who_is_back_in_time_keeps_it(void **state)
{
    set_policy(ORPHANS_ADOPT);
    write_slot(3, SLOT_LEFT, 7);
    make_task("web-1", 3, 7);
    turn();
    write_slot(3, SLOT_JOINED, 8);
    int back = hold(3);
    own("web-1", GENERATION, 3, 8);
    for (int i = 0; i < 5; i++)
        turn_after(FENCE_MS);
    assert_int_equal(reaper.orphans, 0);
    assert_true(is("test -e tasks/web-1/data"));
    close(back);
}

/* It was back, but nobody noticed yet: board and record are read once more before anything. */
static void test_the_second_look(void **state)
{
    struct error err = {0};
    set_policy(ORPHANS_DELETE);
    write_slot(3, SLOT_LEFT, 7);
    make_task("web-1", 3, 7);
    turn();
    turn_after(2 * REAPER_SETTLE_MS);
    own("web-1", GENERATION, 3, 8); /* as far as the janitor knows, nobody joined */
    clock_fake_advance(RETENTION_MS);
    assert_int_equal(reaper_round(&reaper, &janitor, GENERATION, &err), 0);
    assert_true(is("test -e tasks/web-1/data"));
    own("web-1", GENERATION, 3, 7); /* and the other way round: the board says something new */
    reaper_release(&reaper);
    turn();
    write_slot(3, SLOT_JOINED, 7);
    clock_fake_advance(RETENTION_MS);
    assert_int_equal(reaper_round(&reaper, &janitor, GENERATION, &err), 0);
    assert_true(is("test -e tasks/web-1/data"));
}

static void test_archive(void **state)
{
    set_policy(ORPHANS_ARCHIVE);
    write_slot(3, SLOT_LEFT, 7);
    make_task("web-1", 3, 7);
    turn();
    turn_after(FENCE_MS);
    assert_true(is("test -e old/tasks/web-1.*/data"));
    assert_false(is("test -e tasks/web-1"));
}

static void test_delete_after_the_retention(void **state)
{
    set_policy(ORPHANS_DELETE);
    write_slot(3, SLOT_LEFT, 7);
    make_task("web-1", 3, 7);
    shell("mkdir -p outside tasks/web-1/a/b && echo keep >outside/f && ln -s ../../../outside "
          "tasks/web-1/a/link && cd tasks/web-1/a/b && touch $(seq 200)");
    turn();
    turn_after(RETENTION_MS - 1);
    assert_true(is("test -e tasks/web-1/data"));
    turn_after(1);
    assert_false(is("test -e tasks/web-1"));
    assert_true(is("test -e tasks/.orphans")); /* 64 at a time */
    assert_int_equal(reaper.due_ms, clock_now_ms() + REAPER_MORE_MS);
    for (int i = 0; i < 5; i++)
        turn_after(REAPER_MORE_MS);
    assert_false(is("test -e tasks/.orphans"));
    assert_true(is("test -e outside/f")); /* links are not followed */
}

static void test_dry_run(void **state)
{
    set_policy(ORPHANS_DELETE);
    settings.orphans_dry_run = true;
    write_slot(3, SLOT_LEFT, 7);
    make_task("web-1", 3, 7);
    turn();
    turn_after(RETENTION_MS);
    turn_after(RETENTION_MS);
    assert_true(is("test -e tasks/web-1/data"));
    assert_int_equal(reaper.orphans, 1);
    settings.orphans_dry_run = false;
}

/* Two tasks of one name: the second one's record hides the first, which says on its slot who it is.
 */
static void test_a_namesake_that_lives(void **state)
{
    set_policy(ORPHANS_ADOPT);
    write_slot(3, SLOT_LEFT, 7);
    write_slot(4, SLOT_JOINED, 1);
    int alive = hold(4);
    shell("echo '{\"task\":\"web-1\"}' >state/members/4.json");
    make_task("web-1", 3, 7);
    turn();
    turn_after(FENCE_MS);
    turn_after(FENCE_MS);
    assert_true(is("test -e tasks/web-1/data"));
    close(alive);
}

/* ---- claims ---- */

static void claim(const char *task, unsigned slot, uint32_t epoch, const char *item)
{
    const struct owner owner = {
        .generation = GENERATION, .slot = slot, .epoch = epoch, .fence_ms = FENCE_MS};
    shell("mkdir -p in tasks/%s/.claims/%u-%u/1.0 && cd tasks/%s/.claims/%u-%u && printf in "
          ">1.queue && echo data >1.0/%s",
          task, slot, epoch, task, slot, epoch, item);
    int fd = open(in_top("tasks/%s/.claims/%u-%u", task, slot, epoch), O_RDONLY | O_CLOEXEC);
    assert_int_equal(owner_write(fd, LAYOUT_OWNER, &owner), 0);
    close(fd);
}

/* What web-1 claimed is its own for as long as its fence lasts, then it is counted and to be had
 * again. */
static void dies_and_gives_back(int alive)
{
    turn();
    close(alive);
    turn();
    turn_after(FENCE_MS - 1);
    assert_true(is("test -e tasks/web-1/.claims/3-7/1.0/a.jpg"));
    turn_after(1);
    assert_true(is("test -e in/.retry/1.*/a.jpg"));
}

static void test_claims_go_back(void **state)
{
    write_slot(3, SLOT_JOINED, 7);
    int alive = hold(3);
    make_task("web-1", 3, 7);
    claim("web-1", 3, 7, "a.jpg");
    dies_and_gives_back(alive);
    assert_false(is("test -e tasks/web-1/.claims/3-7"));
}

/* It was cut off before it could say that the directory is its own. */
static void test_claims_without_a_record(void **state)
{
    write_slot(3, SLOT_JOINED, 7);
    int alive = hold(3);
    make_task("web-1", 3, 7);
    claim("web-1", 3, 7, "a.jpg");
    shell("rm tasks/web-1/.owner");
    dies_and_gives_back(alive);
    assert_true(is("test -e tasks/web-1/data -a -e tasks/web-1/.stage/sub/x"));
}

/* Its command may still run, although the sidecar that came after it has left already. */
static void test_claims_of_an_earlier_life(void **state)
{
    set_policy(ORPHANS_ADOPT);
    write_slot(3, SLOT_LEFT, 7);
    write_slot(9, SLOT_JOINED, 3); /* somebody else's by now */
    int other = hold(9);
    make_task("web-1", 3, 7);
    claim("web-1", 9, 2, "a.jpg");
    turn();
    turn_after(FENCE_MS - 1);
    assert_true(is("test -e tasks/web-1/.claims/9-2/1.0/a.jpg"));
    assert_true(is("test -e tasks/web-1/data"));
    turn_after(1);
    assert_true(is("test -e in/.retry/1.*/a.jpg"));
    assert_true(is("test -e tasks/own/adopted/web-1.*/data"));
    close(other);
}

/* And those of a second task with its name are its own: nothing is moved from under it. */
static void test_claims_of_one_that_lives(void **state)
{
    set_policy(ORPHANS_DELETE);
    write_slot(3, SLOT_LEFT, 7);
    write_slot(9, SLOT_JOINED, 2);
    int alive = hold(9);
    make_task("web-1", 3, 7);
    claim("web-1", 9, 2, "a.jpg");
    turn();
    turn_after(RETENTION_MS);
    turn_after(RETENTION_MS);
    assert_true(is("test -e tasks/web-1/.claims/9-2/1.0/a.jpg"));
    close(alive);
}

/* ---- what another one had begun ---- */

static void begun(void)
{
    make_task("web-1", 3, 7);
    shell("mkdir -p tasks/.orphans/3-7-0123 && mv tasks/web-1 tasks/.orphans/3-7-0123/");
}

static void test_goes_on_where_another_one_stopped(void **state)
{
    set_policy(ORPHANS_ADOPT);
    write_slot(3, SLOT_LEFT, 7);
    begun();
    turn();
    assert_true(is("test -e tasks/own/adopted/web-1.3-7-0123/data"));
    assert_false(is("test -e tasks/.orphans"));
    shell("mkdir -p tasks/.orphans"); /* one that had finished, but for this */
    turn_after(1000);
    assert_false(is("test -e tasks/.orphans"));
    shell("mkdir -p tasks/.orphans/3-7-0456"); /* and this one before it moved anything */
    turn_after(1000);
    turn_after(1000);
    assert_false(is("test -e tasks/.orphans"));
}

static void test_who_lives_gets_it_back(void **state)
{
    set_policy(ORPHANS_DELETE);
    write_slot(3, SLOT_JOINED, 7);
    int alive = hold(3);
    begun();
    turn();
    assert_true(is("test -e tasks/web-1/data"));
    assert_false(is("test -e tasks/.orphans"));
    close(alive);
}

/* And where he made a new one meanwhile: into that. */
static void test_who_lives_gets_it_beside_the_new_one(void **state)
{
    set_policy(ORPHANS_DELETE);
    write_slot(3, SLOT_JOINED, 7);
    int alive = hold(3);
    begun();
    shell("mkdir tasks/web-1 && echo new >tasks/web-1/data");
    own("web-1", GENERATION, 3, 7);
    turn();
    assert_true(is("grep -q new tasks/web-1/data"));
    assert_true(is("grep -q data tasks/web-1/adopted/web-1.3-7-0123/data"));
    close(alive);
}

static void test_kept_ones_come_back(void **state)
{
    write_slot(3, SLOT_LEFT, 7);
    begun();
    turn();
    assert_true(is("test -e tasks/web-1/data"));
    assert_false(is("test -e tasks/.orphans"));
}

static void test_nobody_acts_who_is_not_elected(void **state)
{
    struct error err = {0};
    set_policy(ORPHANS_ADOPT);
    write_slot(3, SLOT_LEFT, 7);
    make_task("web-1", 3, 7);
    turn();
    assert_int_equal(reaper.orphans, 1);
    janitor_release(&janitor); /* it was, but is not any more */
    clock_fake_advance(FENCE_MS);
    assert_int_equal(reaper_round(&reaper, &janitor, GENERATION, &err), 0);
    assert_true(is("test -e tasks/web-1/data"));
    assert_int_equal(reaper.orphans, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_dead_are_left_alone_until_their_fence),
        TEST(test_a_slot_that_was_taken_again),
        TEST(test_unknown_is_left_alone),
        TEST(test_adopt),
        TEST(test_who_is_back_in_time_keeps_it),
        TEST(test_the_second_look),
        TEST(test_archive),
        TEST(test_delete_after_the_retention),
        TEST(test_dry_run),
        TEST(test_a_namesake_that_lives),
        TEST(test_claims_go_back),
        TEST(test_claims_without_a_record),
        TEST(test_claims_of_an_earlier_life),
        TEST(test_claims_of_one_that_lives),
        TEST(test_goes_on_where_another_one_stopped),
        TEST(test_who_lives_gets_it_back),
        TEST(test_who_lives_gets_it_beside_the_new_one),
        TEST(test_kept_ones_come_back),
        TEST(test_nobody_acts_who_is_not_elected),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
