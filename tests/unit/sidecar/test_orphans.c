#include "sidecar/orphans.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka needs these */
#include <cmocka.h>

static char data[] = "/data", scratch[] = "/data/a=b", archive_dir[] = "old";

static struct settings make_settings(char *a, char *b, char *archive)
{
    struct settings settings = {.orphans_archive = archive};
    settings.mounts.n = 2;
    settings.mounts.mounts[0].path = data;
    settings.mounts.mounts[1].path = scratch;
    settings.orphans_policy.n = b ? 2 : 1;
    settings.orphans_policy.names[0] = a;
    settings.orphans_policy.names[1] = b;
    return settings;
}

static const char *complaint(char *a, char *b, char *archive)
{
    static struct config_report report;
    struct settings settings = make_settings(a, b, archive);
    report = (struct config_report){0};
    orphans_check(&settings, &report);
    return report.text;
}

static void test_policy_of_a_mount(void **state)
{
    char keep[] = "keep", one[] = "/data/a=b=delete", adopt[] = "adopt";
    struct settings settings = make_settings(keep, one, archive_dir);
    assert_int_equal(orphans_policy(&settings, data), ORPHANS_KEEP);
    assert_int_equal(orphans_policy(&settings, scratch), ORPHANS_DELETE);
    settings = make_settings(one, adopt, archive_dir); /* in any order */
    assert_int_equal(orphans_policy(&settings, data), ORPHANS_ADOPT);
    assert_int_equal(orphans_policy(&settings, scratch), ORPHANS_DELETE);
}

static void test_what_is_wrong_is_named(void **state)
{
    char burn[] = "burn", other[] = "/other=delete", archive[] = "/data=archive", keep[] = "keep",
         none[] = "", outside[] = "../old";
    assert_string_equal(complaint(keep, NULL, none), "");
    assert_non_null(strstr(complaint(burn, NULL, none), "orphans.policy: \"burn\""));
    assert_non_null(strstr(complaint(other, NULL, none), "/other=delete"));
    assert_non_null(strstr(complaint(keep, archive, none), "orphans.archive: \"\""));
    assert_non_null(strstr(complaint(keep, archive, outside), "orphans.archive: \"../old\""));
    assert_string_equal(complaint(keep, archive, archive_dir), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_policy_of_a_mount),
        cmocka_unit_test(test_what_is_wrong_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
