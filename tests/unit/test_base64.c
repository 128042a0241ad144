#include "lib/base64.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka needs the four above */
#include <cmocka.h>

/* RFC 4648, section 10, and bytes that are no text. */
static void test_both_ways(void **state)
{
    static const struct {
        const char *plain, *coded;
    } cases[] = {
        {"", ""},
        {"f", "Zg=="},
        {"fo", "Zm8="},
        {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="},
        {"fooba", "Zm9vYmE="},
        {"foobar", "Zm9vYmFy"},
        {"\xff\xfe\xfd", "//79"},
        {"\xfb\xef\xbe", "++++"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char coded[16], plain[16];
        size_t length = strlen(cases[i].plain), n = 99;
        assert_int_equal(BASE64_LENGTH(length), strlen(cases[i].coded));
        base64_encode(cases[i].plain, length, coded);
        assert_memory_equal(coded, cases[i].coded, BASE64_LENGTH(length));
        assert_int_equal(base64_decode(cases[i].coded, strlen(cases[i].coded), plain, &n), 0);
        assert_int_equal(n, length);
        assert_memory_equal(plain, cases[i].plain, length);
    }
}

/* One text for one path: what is read in two ways would pass one check and be used as the other. */
static void test_refused(void **state)
{
    static const char *const bad[] = {
        "Z",    "Zg",   "Zg=",      "Zh==", "Zm9=", "Z===",     "====",
        "Zm 9", "Zm9*", "Zg==Zg==", "=Zg=", "Zg=v", "Zm9v\n123"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char plain[16];
        size_t n = 99;
        if (base64_decode(bad[i], strlen(bad[i]), plain, &n) != -EINVAL)
            fail_msg("\"%s\" was taken", bad[i]);
        assert_int_equal(n, 99);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_ways),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
