/* What becomes of the directories of those who are over. */
#include "tests/unit/sidecar/reaper_fixture.h"

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
        TEST(test_goes_on_where_another_one_stopped),
        TEST(test_who_lives_gets_it_back),
        TEST(test_who_lives_gets_it_beside_the_new_one),
        TEST(test_kept_ones_come_back),
        TEST(test_nobody_acts_who_is_not_elected),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
