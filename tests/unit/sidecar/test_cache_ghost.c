/* Admission: the second miss counts, as long as the first is remembered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shim/cache_layout.h"
#include "sidecar/cache_ghost.h"

static uint64_t hash_of(int i)
{
    char path[32];
    return cache_hash(path, (size_t)snprintf(path, sizeof(path), "dir/file-%d", i));
}

static void test_second(void **state)
{
    struct ghost *ghost;
    assert_int_equal(ghost_new(1000, &ghost), 0);
    assert_false(ghost_take(ghost, hash_of(1)));
    assert_false(ghost_take(ghost, hash_of(2)));
    assert_true(ghost_take(ghost, hash_of(1)));
    assert_false(ghost_take(ghost, hash_of(1))); /* and it was forgotten */
    ghost_note(ghost, hash_of(3));
    ghost_note(ghost, hash_of(3));
    assert_true(ghost_take(ghost, hash_of(3)));
    assert_false(ghost_take(ghost, hash_of(3)));
    ghost_free(ghost);
}

/* Of the last n nearly all are known, of those long before nearly none; few are mistaken. */
static void test_capacity(void **state)
{
    enum { N = 8000 };
    struct ghost *ghost;
    int early = 0, late = 0, mistaken = 0;
    assert_int_equal(ghost_new(N, &ghost), 0);
    for (int i = 0; i < 4 * N; i++)
        mistaken += ghost_take(ghost, hash_of(i));
    for (int i = 0; i < N / 4; i++)
        early += ghost_take(ghost, hash_of(i));
    for (int i = 0; i < 4 * N; i++)
        ghost_note(ghost, hash_of(i));
    for (int i = 4 * N - N / 4; i < 4 * N; i++)
        late += ghost_take(ghost, hash_of(i));
    assert_true(mistaken <= 2);
    assert_true(early < N / 40);
    assert_true(late > N / 4 * 9 / 10);
    ghost_free(ghost);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_second),
        cmocka_unit_test(test_capacity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
