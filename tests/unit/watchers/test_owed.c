#include "watchers/owed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
/* cmocka needs the two above and stddef.h */
#include <cmocka.h>

static struct owed owed;

static void expect(size_t i, const char *path, enum change_reason reason)
{
    assert_true(i < owed.count);
    assert_string_equal(owed.paths[i], path);
    assert_int_equal(owed.reasons[i], reason);
}

static void test_a_path_covers_what_is_below(void **state)
{
    assert_int_equal(owed_add(&owed, "a/b", CHANGE_REASON_RENAMED), 0);
    assert_int_equal(owed_add(&owed, "a/b/c", CHANGE_REASON_UNLINKED), 0);
    assert_int_equal(owed_add(&owed, "a/b", CHANGE_REASON_UNLINKED), 0);
    assert_int_equal(owed.count, 1);
    expect(0, "a/b", CHANGE_REASON_RENAMED);
    assert_int_equal(owed_add(&owed, "a/bc", CHANGE_REASON_UNLINKED), 0); /* not below it */
    assert_int_equal(owed_add(&owed, "d", CHANGE_REASON_UNLINKED), 0);
    assert_int_equal(owed.count, 3);
    assert_int_equal(owed_add(&owed, "a", CHANGE_REASON_OVERFLOW), 0);
    assert_int_equal(owed.count, 2);
    expect(0, "d", CHANGE_REASON_UNLINKED);
    expect(1, "a", CHANGE_REASON_OVERFLOW);
    assert_int_equal(owed_add(&owed, "", CHANGE_REASON_RESTART), 0);
    assert_int_equal(owed.count, 1);
    expect(0, "", CHANGE_REASON_RESTART);
    owed_release(&owed);
    assert_int_equal(owed.count, 0);
}

static void test_the_root_stands_for_too_many(void **state)
{
    char path[16];
    for (int i = 0; i < OWED_MAX; i++) {
        snprintf(path, sizeof(path), "d%d", i);
        assert_int_equal(owed_add(&owed, path, CHANGE_REASON_RENAMED), 0);
    }
    assert_int_equal(owed.count, OWED_MAX);
    assert_int_equal(owed_add(&owed, "one more", CHANGE_REASON_UNLINKED), 0);
    assert_int_equal(owed.count, 1);
    expect(0, "", CHANGE_REASON_UNLINKED);
    owed_release(&owed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_path_covers_what_is_below),
        cmocka_unit_test(test_the_root_stands_for_too_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
