#include "lib/typo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka needs the four above */
#include <cmocka.h>

#include "lib/cleanup.h"

static const char *nearest(const char *name)
{
    static const char *const known[] = {"lock",    "locks",  "once",
                                        "publish", "status", "watch-max-dirs"};
    const char *found = NULL;
    unsigned best = typo_none(name);
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (typo_is_nearer(name, known[i], &best))
            found = known[i];
    }
    return found ? found : "";
}

static void test_typing_errors(void **state)
{
    assert_string_equal(nearest("status"), "status");
    assert_string_equal(nearest("stauts"), "status");
    assert_string_equal(nearest("publsh"), "publish");
    assert_string_equal(nearest("lcks"), "locks");
    assert_string_equal(nearest("watch-maxdir"), "watch-max-dirs");
}

static void test_other_words(void **state)
{
    char huge[300];
    memset(huge, 'x', sizeof(huge) - 1);
    huge[sizeof(huge) - 1] = '\0';
    assert_string_equal(nearest(""), "");
    assert_string_equal(nearest("un"), "");
    assert_string_equal(nearest("start"), "");
    assert_string_equal(nearest("watch-nothing"), "");
    assert_string_equal(nearest(huge), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_typing_errors),
        cmocka_unit_test(test_other_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
