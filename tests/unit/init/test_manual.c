/* The manual page and docs/checks.md list causes and checks as the tables in the program have them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "init/report.h"
#include "lib/explain/cause.h"

static char manual[64 * 1024], checks[64 * 1024];

static void read_file(const char *name, char *text, size_t size)
{
    FILE *file = fopen(name, "re");
    if (!file)
        fail_msg("%s is missing", name);
    text[fread(text, 1, size - 1, file)] = '\0';
    fclose(file);
}

static int read_docs(void **state)
{
    read_file("docs/man/efs-init.8", manual, sizeof(manual));
    read_file("docs/checks.md", checks, sizeof(checks));
    return 0;
}

static void test_causes(void **state)
{
    for (int i = CAUSE_NONE + 1; i < CAUSE_COUNT; i++) {
        const struct cause_info *cause = &cause_table[i];
        char row[1024], item[512];
        snprintf(row, sizeof(row), "| %d | %s | %s | %s |\n", cause->exit_code, cause->name,
                 cause->meaning, cause->fix);
        snprintf(item, sizeof(item), ".It %d\n.Sy %s :\n%s.\n", cause->exit_code, cause->name,
                 cause->meaning);
        if (!strstr(checks, row))
            fail_msg("docs/checks.md lacks the row: %s", row);
        if (!strstr(manual, item))
            fail_msg("docs/man/efs-init.8 lacks the item: %s", item);
    }
}

static void test_checks(void **state)
{
    size_t rows = 0, known = 0;
    for (const char *row = checks; (row = strstr(row, "\n| `")) != NULL; row++)
        rows++;
    for (const struct check_info *info = check_table; info->id; info++, known++) {
        char row[256], item[256];
        snprintf(row, sizeof(row), "\n| `%s` | ", info->id);
        snprintf(item, sizeof(item), ".It Sy %s\n%s\n", info->id, info->asks);
        if (!strstr(checks, row))
            fail_msg("docs/checks.md lacks the row: %s", row);
        if (!strstr(manual, item))
            fail_msg("docs/man/efs-init.8 lacks the item: %s", item);
    }
    assert_int_equal(rows, known); /* none that the program does not have */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_causes),
        cmocka_unit_test(test_checks),
    };
    return cmocka_run_group_tests_name("manual", tests, read_docs, NULL);
}
