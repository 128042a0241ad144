#include "lib/share/lock_name.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka needs the four above */
#include <cmocka.h>

static void refuses(const char *name, const char *word)
{
    struct error err = {0};
    assert_int_equal(lock_name_check(name, &err), -EINVAL);
    assert_non_null(strstr(err.text, word));
}

static void test_names(void **state)
{
    char name[400];
    struct error err;
    assert_int_equal(lock_name_check("nightly", &err), 0);
    assert_int_equal(lock_name_check("deploy/web", &err), 0);
    assert_int_equal(lock_name_check("..", &err), 0);
    assert_int_equal(lock_name_check("größe", &err), 0);
    refuses("", "needs a name");
    refuses("a\nb", "byte 2");
    refuses("\x7f", "byte 1");
    refuses("\xff\xfe", "UTF-8");
    memset(name, 'a', sizeof(name));
    name[LOCK_NAME_MAX] = '\0';
    assert_int_equal(lock_name_check(name, &err), 0);
    name[LOCK_NAME_MAX] = 'a';
    name[LOCK_NAME_MAX + 1] = '\0';
    refuses(name, "201");
    memset(name, '/', LOCK_NAME_MAX);
    name[LOCK_NAME_MAX] = '\0';
    refuses(name, "too long for a file");
}

static void test_files(void **state)
{
    char file[LOCK_FILE_SIZE], path[LOCK_PATH_SIZE];
    assert_string_equal(lock_name_file("nightly_2.0-x", file), "nightly_2.0-x");
    assert_string_equal(lock_name_file("deploy/web", file), "deploy%2Fweb");
    assert_string_equal(lock_name_file("..", file), "%2E.");
    assert_string_equal(lock_name_file("%2F", file), "%252F");
    assert_string_equal(lock_name_file("\xc3\xb6 ", file), "%C3%B6%20");
    lock_name_path("deploy/web", path);
    assert_memory_equal(path, "locks/", 6);
    assert_int_equal(strspn(path + 6, "0123456789abcdef"), 2);
    assert_string_equal(path + 8, "/deploy%2Fweb");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
