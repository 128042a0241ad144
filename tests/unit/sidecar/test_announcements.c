#include "sidecar/announcements.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
/* cmocka needs the three above */
#include <cmocka.h>

static int n_done, last_result;
static uint64_t last_sequence;

static void note(void *arg, int result, uint64_t sequence)
{
    n_done++;
    last_result = result;
    last_sequence = sequence;
}

static void add_another(void *arg, int result, uint64_t sequence)
{
    uint64_t id;
    n_done++;
    assert_int_equal(announcements_add(arg, note, NULL, &id), 0);
}

static void test_each_ends_once(void **state)
{
    static struct announcements waiting;
    uint64_t ids[ANNOUNCEMENTS_MAX], one_more;
    for (int i = 0; i < ANNOUNCEMENTS_MAX; i++)
        assert_int_equal(announcements_add(&waiting, note, NULL, &ids[i]), 0);
    assert_int_equal(announcements_add(&waiting, note, NULL, &one_more), -ENOBUFS);
    announcements_end(&waiting, ids[7], 0, 99);
    assert_true(n_done == 1 && last_result == 0 && last_sequence == 99);
    announcements_end(&waiting, ids[7], 0, 99);
    announcements_end(&waiting, 0, 0, 99);
    announcements_forget(&waiting, ids[8]);
    assert_int_equal(n_done, 1);
    announcements_end_all(&waiting, -ECONNRESET);
    assert_int_equal(n_done, ANNOUNCEMENTS_MAX - 1);
    assert_int_equal(last_result, -ECONNRESET);
    assert_int_equal(waiting.n, 0);
}

static void test_one_who_asks_again(void **state)
{
    static struct announcements waiting;
    uint64_t id;
    n_done = 0;
    for (int i = 0; i < 3; i++)
        assert_int_equal(announcements_add(&waiting, add_another, &waiting, &id), 0);
    announcements_end_all(&waiting, -ECONNRESET);
    assert_int_equal(n_done, 3);
    assert_int_equal(waiting.n, 3); /* those are for the next child */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_ends_once),
        cmocka_unit_test(test_one_who_asks_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
