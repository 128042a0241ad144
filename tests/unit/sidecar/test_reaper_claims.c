/* What becomes of what those claimed who are over. */
#include "tests/unit/sidecar/reaper_fixture.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_claims_go_back),
        TEST(test_claims_without_a_record),
        TEST(test_claims_of_an_earlier_life),
        TEST(test_claims_of_one_that_lives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
