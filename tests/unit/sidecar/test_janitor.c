/* Members that live, left and died on a real board, with the clock moved by hand. That a dead
 * host's locks go is the server's business: tests/cluster. */
#include <errno.h>
#include <fcntl.h>
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

#include "lib/clock.h"
#include "lib/ofd.h"
#include "lib/share/journal_writer.h"
#include "sidecar/janitor.h"

enum { RETENTION_MS = 15 * 60 * 1000, FENCE_MS = 30 * 1000, OWN = 200 };

static char top[] = "/tmp/janitor-XXXXXX";
static char state_dir[] = "state", state_mount[] = "", task_name[] = "janitor";
static struct settings settings;
static struct place place;
static struct janitor janitor;
static int board_fd;

static const char *in_state(const char *path)
{
    static char full[256];
    snprintf(full, sizeof(full), "%s/state/%s", top, path);
    return full;
}

static int set_up(void **state)
{
    if (!mkdtemp(top) || mkdir(in_state(""), 0755) < 0 || mkdir(in_state("feed"), 0755) < 0 ||
        mkdir(in_state("members"), 0755) < 0)
        return -1;
    int fd = open(in_state("."), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (board_create(fd, -1) < 0 || board_open(fd, false, &board_fd) < 0)
        return -1;
    close(fd);
    settings = (struct settings){.task_name = task_name,
                                 .state_dir = state_dir,
                                 .state_mount = state_mount,
                                 .state_gid = -1};
    place = (struct place){.settings = &settings, .path = top, .name = "m", .writable = true};
    clock_fake_set(1000000, 1800000000000);
    janitor_init(&janitor, &place, RETENTION_MS);
    janitor.own_slot = OWN;
    return 0;
}

static int tear_down(void **state)
{
    char command[64];
    clock_fake_off();
    janitor_release(&janitor);
    close(board_fd);
    snprintf(command, sizeof(command), "rm -rf %s", top);
    strcpy(top, "/tmp/janitor-XXXXXX");
    return system(command); /* NOLINT(cert-env33-c): our own mkdtemp name */
}

static void write_slot(unsigned number, enum slot_state state, uint32_t epoch)
{
    const struct slot slot = {
        .state = state, .epoch = epoch, .sequence = 5, .segment = 1, .fence_ms = FENCE_MS};
    assert_int_equal(board_write_slot(board_fd, number, &slot), 0);
}

static struct slot slot_now(unsigned number)
{
    uint8_t board[BOARD_BYTES];
    struct slot slot = {0};
    assert_int_equal(board_read(board_fd, board), 0);
    slot_decode(board + (size_t)number * BOARD_SLOT_BYTES, &slot);
    return slot;
}

static int hold(unsigned number)
{
    int fd = open(in_state("board"), O_RDWR | O_CLOEXEC);
    assert_int_equal(ofd_lock(fd, F_WRLCK, (off_t)number * BOARD_SLOT_BYTES, BOARD_SLOT_BYTES), 0);
    return fd;
}

static void write_member(unsigned number, const char *text)
{
    char name[32];
    snprintf(name, sizeof(name), "members/%u.json", number);
    FILE *file = fopen(in_state(name), "we");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static bool exists(const char *path)
{
    return access(in_state(path), F_OK) == 0;
}

static void turn(void)
{
    struct error err = {0};
    if (janitor_round(&janitor, &err) != 0)
        fail_msg("%s", err.text);
}

/* Dead is who has not left and does not hold its slot, for as long as it may act. */
static void test_dead_member(void **state)
{
    write_slot(3, SLOT_JOINED, 7);
    write_slot(4, SLOT_JOINED, 1);
    write_slot(5, SLOT_LEFT, 2);
    write_slot(OWN, SLOT_JOINED, 1);
    write_member(3, "{\"task\":\"web-1\"}");
    int alive = hold(4);
    turn();
    assert_false(janitor_has_dead(&janitor));
    assert_int_equal(janitor.due_ms, clock_now_ms() + FENCE_MS);
    clock_fake_advance(FENCE_MS - 1);
    turn();
    assert_false(janitor_has_dead(&janitor));
    clock_fake_advance(1);
    turn();
    assert_true(janitor_has_dead(&janitor));
    assert_int_equal(janitor.dead.slot, 3);
    assert_string_equal(janitor.dead.task, "web-1");
    /* Ours now, and joined until the peers know. */
    int other = open(in_state("board"), O_RDWR | O_CLOEXEC);
    assert_int_equal(ofd_lock(other, F_WRLCK, 3 * BOARD_SLOT_BYTES, BOARD_SLOT_BYTES), -EAGAIN);
    assert_int_equal(slot_now(3).state, SLOT_JOINED);

    janitor.told = true;
    turn();
    assert_false(janitor_has_dead(&janitor));
    struct slot slot = slot_now(3);
    assert_int_equal(slot.state, SLOT_LEFT);
    assert_true(slot.epoch == 7 && slot.sequence == 5); /* what there was to read stays */
    assert_false(exists("members/3.json"));
    assert_int_equal(ofd_lock(other, F_WRLCK, 3 * BOARD_SLOT_BYTES, BOARD_SLOT_BYTES), 0);
    assert_int_equal(slot_now(4).state, SLOT_JOINED);
    assert_int_equal(slot_now(OWN).state, SLOT_JOINED);
    assert_int_equal(janitor.buried, 1);
    close(other);
    close(alive);
}

/* Nobody could be told: it stays dead, and the next round finds it again. */
static void test_not_told(void **state)
{
    write_slot(3, SLOT_JOINED, 7);
    turn();
    clock_fake_advance(FENCE_MS);
    turn();
    assert_true(janitor_has_dead(&janitor));
    assert_string_equal(janitor.dead.task, "");
    turn();
    assert_true(janitor_has_dead(&janitor)); /* given back and taken again */
    assert_int_equal(slot_now(3).state, SLOT_JOINED);
    assert_int_equal(janitor.buried, 0);
}

/* It came back, or another took the slot, while it was being watched. */
static void test_comes_back(void **state)
{
    write_slot(3, SLOT_JOINED, 7);
    turn();
    clock_fake_advance(FENCE_MS / 2);
    int back = hold(3);
    turn();
    close(back);
    clock_fake_advance(FENCE_MS / 2);
    turn(); /* free again: anew from here */
    assert_false(janitor_has_dead(&janitor));
    clock_fake_advance(FENCE_MS / 2);
    write_slot(3, SLOT_JOINED, 8);
    turn(); /* a new epoch: anew as well */
    clock_fake_advance(FENCE_MS / 2);
    turn();
    assert_false(janitor_has_dead(&janitor));
    clock_fake_advance(FENCE_MS / 2);
    turn();
    assert_true(janitor_has_dead(&janitor));
    assert_int_equal(janitor.dead.was.epoch, 8);
}

/* Nonsense in a slot neither hurries nor stops anything. */
static void test_garbage(void **state)
{
    const struct slot hasty = {.state = SLOT_JOINED, .epoch = 1, .segment = 1, .fence_ms = 0};
    assert_int_equal(board_write_slot(board_fd, 9, &hasty), 0);
    assert_int_equal(pwrite(board_fd, "rubbish", 7, 10 * BOARD_SLOT_BYTES), 7);
    turn();
    clock_fake_advance(1000);
    turn();
    assert_false(janitor_has_dead(&janitor));
    clock_fake_advance(60 * 1000);
    turn();
    assert_int_equal(janitor.dead.slot, 9);
}

static void test_one_janitor(void **state)
{
    struct janitor other;
    struct error err;
    turn();
    janitor_init(&other, &place, RETENTION_MS);
    assert_int_equal(janitor_round(&other, &err), 0);
    assert_true(janitor_is_elected(&janitor) && !janitor_is_elected(&other));
    janitor_release(&janitor);
    assert_int_equal(janitor_round(&other, &err), 0);
    assert_true(janitor_is_elected(&other) && !janitor_is_elected(&janitor));
    janitor_release(&other);
}

static void make_journal(unsigned slot, uint32_t epoch)
{
    const struct journal_limits limits = {.gid = -1};
    struct journal_writer *writer;
    int fd = open(in_state("feed"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(journal_writer_create(fd, slot, epoch, "task", &limits, &writer), 0);
    journal_writer_close(writer);
    close(fd);
}

static void test_journals(void **state)
{
    int alive = hold(3);
    write_slot(3, SLOT_JOINED, 7);
    write_slot(5, SLOT_LEFT, 2);
    make_journal(3, 6);
    make_journal(3, 7);
    make_journal(3, 8); /* it is just joining anew */
    make_journal(5, 2);
    make_journal(6, 1); /* just joining for the first time */
    mkdir(in_state("feed/not-ours"), 0755);
    turn();
    clock_fake_advance(RETENTION_MS - 1);
    turn();
    assert_true(exists("feed/3-6") && exists("feed/5-2"));
    clock_fake_advance(10 * 60 * 1000);
    turn();
    assert_false(exists("feed/3-6") || exists("feed/5-2"));
    assert_true(exists("feed/3-7/1.log") && exists("feed/3-8/1.log") && exists("feed/6-1/1.log"));
    assert_true(exists("feed/not-ours"));
    assert_int_equal(janitor.removed, 2);
    close(alive);
}

enum { MEMBERS = 50, FIRST = 100 };

static int alive[MEMBERS];

/* These slots, all of members that live. */
static void join_many(unsigned own)
{
    for (unsigned i = 0; i < MEMBERS; i++) {
        write_slot(FIRST + i, SLOT_JOINED, 1);
        alive[i] = FIRST + i == own ? -1 : hold(FIRST + i);
    }
    janitor.own_slot = own;
}

static void die(unsigned slot)
{
    close(alive[slot - FIRST]);
    alive[slot - FIRST] = -1;
}

static void end_many(void)
{
    for (unsigned i = 0; i < MEMBERS; i++)
        if (alive[i] >= 0)
            close(alive[i]);
}

/* Who is elected asks two questions in a round, however many members there are: the next one's
 * death is seen in the first, and that of any other when its turn comes. */
static void test_elected_of_many(void **state)
{
    join_many(FIRST + MEMBERS - 1); /* the next one is the first again */
    for (unsigned i = 1; i <= 10; i++) {
        turn();
        assert_int_equal(janitor.asked, 2 * i);
    }
    die(FIRST);
    turn();
    assert_int_not_equal(janitor.free_ms[FIRST], 0);
    unsigned far = FIRST + MEMBERS / 2;
    die(far);
    for (unsigned i = 0; i < MEMBERS && janitor.free_ms[far] == 0; i++)
        turn();
    assert_int_not_equal(janitor.free_ms[far], 0);
    end_many();
}

/* Who is not elected asks one, about the next member, and goes on behind those that are free. */
static void test_the_next_one(void **state)
{
    struct janitor elected;
    struct error err;
    janitor_init(&elected, &place, RETENTION_MS);
    elected.own_slot = OWN;
    assert_int_equal(janitor_round(&elected, &err), 0);
    unsigned own = FIRST + 10;
    join_many(own);
    for (unsigned i = 1; i <= 10; i++) {
        turn();
        assert_int_equal(janitor.asked, i);
    }
    die(own + 1);
    die(own + 2);
    die(own + 4); /* the business of the one before it */
    turn();
    assert_int_equal(janitor.asked, 13);
    assert_true(janitor.free_ms[own + 1] && janitor.free_ms[own + 2]);
    assert_false(janitor.free_ms[own + 3] || janitor.free_ms[own + 4]);
    clock_fake_advance(FENCE_MS);
    for (unsigned i = 1; i <= 2; i++) {
        turn();
        assert_true(janitor_has_dead(&janitor));
        assert_int_equal(janitor.dead.slot, own + i);
        janitor.told = true;
    }
    turn();
    assert_false(janitor_has_dead(&janitor));
    assert_int_equal(slot_now(own + 1).state, SLOT_LEFT);
    assert_int_equal(slot_now(own + 2).state, SLOT_LEFT);
    assert_int_equal(slot_now(own + 4).state, SLOT_JOINED);
    assert_false(janitor_is_elected(&janitor));
    end_many();
    janitor_release(&elected);
}

/* Two see the same death: one of them tells it. */
static void test_seen_by_two(void **state)
{
    struct janitor other;
    struct error err;
    write_slot(3, SLOT_JOINED, 7);
    janitor_init(&other, &place, RETENTION_MS);
    other.own_slot = OWN + 1;
    for (int i = 0; i < 2; i++) {
        turn();
        assert_int_equal(janitor_round(&other, &err), 0);
        clock_fake_advance(FENCE_MS);
    }
    assert_true(janitor_has_dead(&janitor));
    assert_false(janitor_has_dead(&other));
    janitor.told = true;
    turn();
    assert_int_equal(slot_now(3).state, SLOT_LEFT);
    assert_int_equal(janitor_round(&other, &err), 0);
    assert_false(janitor_has_dead(&other));
    assert_int_equal(other.buried, 0);
    janitor_release(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_dead_member, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_not_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_comes_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_garbage, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_one_janitor, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_journals, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_elected_of_many, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_next_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_seen_by_two, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
