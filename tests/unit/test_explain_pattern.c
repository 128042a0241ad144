/* Forms find what they should in any surroundings, and values are nothing a shell could mind. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/explain/pattern.h"

/* The form found in the text and its values; false: not found. */
static bool find(const char *raw, const char *form, struct explain_values *values,
                 struct explain_found *found)
{
    struct explain_text text;
    assert_int_equal(explain_text_make(raw, strlen(raw), &text), 0);
    *values = (struct explain_values){0};
    bool there = explain_form_find(&text, form, found);
    if (there)
        explain_form_values(&text, form, found, values);
    explain_text_release(&text);
    return there;
}

static void test_forms(void **state)
{
    static const struct {
        const char *text, *form, *path;
        size_t literal; /* 0: not found */
    } cases[] = {
        {"Stale\n\t File handle", "stale file handle", "", 17},
        {"xstale file handle", "stale file handle", "", 0},
        {"\\nstale file handle", "stale file handle", "", 17},
        {"a stale file handles", "stale file handle", "", 17},
        {"stale file", "stale file handle", "", 0},
        {"slow, this EFS", "slow*efs", "", 7},
        {"EFS is slow", "slow*efs", "", 0},
        {"open /data/x: Permission denied", "open {path}: permission denied", "/data/x", 24},
        {"open a b: Permission denied", "open {path}: permission denied", "", 0},
        {"open : permission denied", "open {path}: permission denied", "", 0},
        {"rm: '/Data/x': permission denied", "{path}: permission denied", "/Data/x", 19},
        {": permission denied", "{path}: permission denied", "", 0},
        {"x:/opt/a failed", ":{path} failed", "/opt/a", 8},
        {"x:/ and:/opt/b failed", ":{path} failed", "/opt/b", 8},
        {"chown /a/b,", "chown {path}", "/a/b", 6},
        {"chown ", "chown {path}", "", 0},
        {"lchown /a: not lchown /a: no", "lchown {path}: no*lchown {path}: no", "/a", 22},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct explain_values values;
        struct explain_found found = {0};
        bool there = find(cases[i].text, cases[i].form, &values, &found);
        if (there != (cases[i].literal > 0) || (there && found.literal != cases[i].literal) ||
            strcmp(values.of[VALUE_PATH], cases[i].path) != 0)
            fail_msg("\"%s\" in \"%s\": found %d, %zu bytes, path \"%s\"", cases[i].form,
                     cases[i].text, there, found.literal, values.of[VALUE_PATH]);
    }
}

static void test_gaps_end(void **state)
{
    struct explain_values values;
    struct explain_found found;
    char text[EXPLAIN_GAP_MAX + 16];
    for (int extra = 0; extra < 2; extra++) {
        snprintf(text, sizeof(text), "a%*sb", EXPLAIN_GAP_MAX + extra, "");
        for (char *p = text + 1; *p != 'b'; p++)
            *p = '.';
        assert_int_equal(find(text, "a*b", &values, &found), extra == 0);
    }
}

static void test_values(void **state)
{
    static const char raw[] =
        "arn:aws-cn:ecs:cn-north-1:123456789012:task/prod/0f3c efs-0123456789 fsap-xyz fs-12 "
        "fs-0123456789abcdef0:/srv/data fsap-0123456789ABCDEF0 fs-99999999 "
        "arn:aws:iam::210987654321:role/web";
    struct explain_text text;
    struct explain_values values = {0};
    assert_int_equal(explain_text_make(raw, sizeof(raw) - 1, &text), 0);
    explain_values_scan(&text, &values);
    assert_string_equal(values.of[VALUE_FILE_SYSTEM], "fs-0123456789abcdef0");
    assert_string_equal(values.of[VALUE_ACCESS_POINT], "fsap-0123456789abcdef0");
    assert_string_equal(values.of[VALUE_REGION], "cn-north-1");
    assert_string_equal(values.of[VALUE_ACCOUNT], "123456789012");
    assert_string_equal(values.of[VALUE_PATH], "/srv/data");
    assert_string_equal(values.of[VALUE_TASK],
                        "arn:aws-cn:ecs:cn-north-1:123456789012:task/prod/0f3c");
    assert_string_equal(values.of[VALUE_ROLE], "arn:aws:iam::210987654321:role/web");
    assert_string_equal(values.of[VALUE_HOST], "");
    explain_text_release(&text);
}

/* What people paste into a shell afterwards. */
static void test_values_are_harmless(void **state)
{
    static const char *const texts[] = {
        "open /data/$(reboot): permission denied",
        "open /data/`id`: permission denied",
        "open /a;reboot: permission denied",
        "open /a'b: permission denied",
        "open /a\"b: permission denied",
        "open /a|b: permission denied",
        "open /a\\b: permission denied",
        "open /a\x1b[31m: permission denied",
        "open /a\xc2\x9b: permission denied",
        "open -rf: permission denied",
        "open /a&b: permission denied",
        "open /a>b: permission denied",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct explain_values values;
        struct explain_found found;
        (void)find(texts[i], "open {path}: permission denied", &values, &found);
        assert_string_equal(values.of[VALUE_PATH], "");
    }
}

static void test_any_bytes(void **state)
{
    struct explain_text text;
    static const char raw[] = " \0\0a\x01\x02\xff\xfe B\0";
    assert_int_equal(explain_text_make(raw, sizeof(raw) - 1, &text), 0);
    assert_string_equal(text.text, "a \xff\xfe B ");
    assert_string_equal(text.lower, "a \xff\xfe b ");
    explain_text_release(&text);

    _cleanup_free_ char *big = calloc(1, EXPLAIN_TEXT_MAX + 1);
    assert_non_null(big);
    assert_int_equal(explain_text_make(big, EXPLAIN_TEXT_MAX + 1, &text), -EFBIG);
    assert_int_equal(explain_text_make(big, EXPLAIN_TEXT_MAX, &text), 0);
    assert_int_equal(text.length, 0);
    explain_text_release(&text);
}

/* Texts made to be slow: much that begins like a form, words without end. */
static void test_time_is_bounded(void **state)
{
    static const char *const bricks[] = {
        "fs-:/", "arn:", "mount attempt", "a: permission denie", "failed to resolve \"", "fs-a"};
    _cleanup_free_ char *raw = malloc(EXPLAIN_TEXT_MAX);
    assert_non_null(raw);
    for (size_t i = 0; i < ARRAY_LEN(bricks); i++) {
        struct explain_text text;
        struct explain_values values = {0};
        struct explain_found found;
        for (size_t at = 0; at < EXPLAIN_TEXT_MAX; at++)
            raw[at] = bricks[i][at % strlen(bricks[i])];
        int64_t start_ms = clock_now_ms();
        assert_int_equal(explain_text_make(raw, EXPLAIN_TEXT_MAX, &text), 0);
        explain_values_scan(&text, &values);
        (void)explain_form_find(&text, "mount attempt*failed due to timeout after", &found);
        (void)explain_form_find(&text, "{path}: permission denied", &found);
        (void)explain_form_find(&text, "failed to resolve \"{host}\" - check", &found);
        explain_text_release(&text);
        assert_true(clock_now_ms() - start_ms < 3000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),     cmocka_unit_test(test_gaps_end),
        cmocka_unit_test(test_values),    cmocka_unit_test(test_values_are_harmless),
        cmocka_unit_test(test_any_bytes), cmocka_unit_test(test_time_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
