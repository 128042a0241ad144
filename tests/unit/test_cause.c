/* The table of causes is complete, its codes and names are unique and within what ECS can carry. */
#include <ctype.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/cleanup.h"
#include "lib/explain/cause.h"

static void test_complete(void **state)
{
    for (int i = CAUSE_NONE + 1; i < CAUSE_COUNT; i++) {
        const struct cause_info *cause = &cause_table[i];
        assert_non_null(cause->name);
        assert_true(isupper((unsigned char)cause->name[0]) && !strchr(cause->name, ' '));
        assert_in_range(cause->exit_code, 1, 124);
        assert_true(strlen(cause->meaning) > 10 && !strchr(cause->meaning, '.'));
        assert_true(strlen(cause->fix) > 10 && cause->fix[strlen(cause->fix) - 1] == '.');
        for (int j = CAUSE_NONE; j < i; j++) {
            assert_int_not_equal(cause->exit_code, cause_table[j].exit_code);
            assert_string_not_equal(cause->name, cause_table[j].name);
        }
    }
    assert_int_equal(cause_table[CAUSE_NONE].exit_code, 0);
}

static void test_from_errno(void **state)
{
    static const struct {
        int error;
        enum cause cause;
    } cases[] = {
        {EROFS, CAUSE_NO_CLIENT_WRITE},
        {EACCES, CAUSE_PERMISSION_DENIED},
        {EPERM, CAUSE_PERMISSION_DENIED},
        {ENOENT, CAUSE_PATH_MISSING},
        {ENAMETOOLONG, CAUSE_PATH_UNUSABLE},
        {EDQUOT, CAUSE_QUOTA_EXCEEDED},
        {EIO, CAUSE_IO_ERROR},
        {ESTALE, CAUSE_STALE_HANDLE},
        {ENOSPC, CAUSE_NO_SPACE},
        {EMLINK, CAUSE_TOO_MANY_LINKS},
        {ETIMEDOUT, CAUSE_SERVER_UNREACHABLE},
        {ENOLCK, CAUSE_LOCKS_UNAVAILABLE},
        {EOPNOTSUPP, CAUSE_UNSUPPORTED},
        {EMFILE, CAUSE_NO_RESOURCES},
        {EXFULL, CAUSE_UNEXPECTED},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(cause_from_errno(cases[i].error), cases[i].cause);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_complete),
        cmocka_unit_test(test_from_errno),
    };
    return cmocka_run_group_tests_name("cause", tests, NULL, NULL);
}
