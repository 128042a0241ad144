#include "watchers/moves.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka needs the four above */
#include <cmocka.h>

#include "lib/clock.h"

static struct dir here, there; /* only their addresses matter */

static void test_pairs(void **state)
{
    struct moves moves = {0};
    struct move move;
    moves_put(&moves, 1, &here, "a", false, 100);
    moves_put(&moves, 2, &here, "b", true, 110);
    moves_put(&moves, 3, &there, "a", false, 120);
    assert_true(moves_deadline_ms(&moves) == 100);
    assert_true(moves_take(&moves, 2, &move));
    assert_string_equal(move.name, "b");
    assert_true(move.is_dir);
    assert_false(moves_take(&moves, 2, &move));
    assert_false(moves_take_name(&moves, &there, "b", &move));
    assert_true(moves_take_name(&moves, &there, "a", &move));
    assert_int_equal(move.cookie, 3);
    assert_false(moves_pop(&moves, 99, &move));
    assert_true(moves_pop(&moves, 100, &move));
    assert_int_equal(move.cookie, 1);
    assert_true(moves_deadline_ms(&moves) == CLOCK_NEVER);
}

static void test_full_and_forget(void **state)
{
    struct moves moves = {0};
    struct move move;
    char name[NAME_MAX + 1];
    memset(name, 'n', NAME_MAX);
    name[NAME_MAX] = '\0';
    for (uint32_t i = 0; i < MOVES_MAX; i++)
        moves_put(&moves, i, i % 2 ? &here : &there, name, false, i);
    assert_true(moves_is_full(&moves));
    assert_true(moves_pop(&moves, CLOCK_NEVER, &move));
    assert_int_equal(move.cookie, 0);
    assert_string_equal(move.name, name);
    moves_forget(&moves, &here);
    assert_int_equal(moves.count, MOVES_MAX / 2 - 1);
    assert_true(moves_take(&moves, 2, &move));
    assert_false(moves_take(&moves, 3, &move));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_full_and_forget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
