/* Patterns for paths: what each element takes, and that the two places to come back to are enough.
 */
#include "lib/glob.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
/* cmocka needs the four above */
#include <cmocka.h>

#include "lib/cleanup.h"

static void test_matches(void **state)
{
    static const struct {
        const char *pattern, *path;
        bool matches;
    } cases[] = {
        {"a", "a", true},
        {"a", "b", false},
        {"a", "aa", false},
        {"a", "a/b", false},
        {"?", "a", true},
        {"a?b", "a/b", false},
        {"*", "", true},
        {"*", "a.yaml", true},
        {"*", "a/b", false},
        {"*.yaml", ".yaml", true},
        {"*.yaml", "a/b.yaml", false},
        {"a*", "a", true},
        {"*a*b*", "xaxxbx", true},
        {"*a*b*", "xbxxax", false},
        {"a/*/c", "a/b/c", true},
        {"a/*/c", "a/c", false},
        {"a/*/c", "a/b/b/c", false},
        {"**", "a/b/c", true},
        {"**.yaml", "a.yaml", true},
        {"**.yaml", "a/b/c.yaml", true},
        {"**.yaml", "a.yaml/b", false},
        {"a/**", "a/b/c", true},
        {"a/**", "a", false},
        {"a/**", "ab", false},
        {"**/c", "c", true},
        {"**/c", "a/b/c", true},
        {"**/c", "a/bc", false},
        {"a/**/c", "a/c", true},
        {"a/**/c", "a/x/y/c", true},
        {"a/**/c", "a/x/yc", false},
        {"a/**/*.c", "a/x/y.h/z.c", true},
        {"**/a/*.c", "a/b/a/x.c", true},
        {"**/a/*b/**/c", "a/a/xb/y/z/c", true},
        {"a**c", "a/b/c", true},
        {"[ab]x", "bx", true},
        {"[!ab]x", "bx", false},
        {"[^ab]x", "cx", true},
        {"[a-c]", "b", true},
        {"[a-c]", "d", false},
        {"[a-]", "-", true},
        {"[]x]", "]", true},
        {"[!a]", "/", false},
        {"[\\]]", "]", true},
        {"\\*", "*", true},
        {"\\*", "a", false},
        {"\xff?", "\xff\xfe", true},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (glob_matches(cases[i].pattern, cases[i].path) != cases[i].matches)
            fail_msg("%s and %s", cases[i].pattern, cases[i].path);
}

/* The same question, answered by trying everything. */
static bool matches_slowly(const char *pattern, const char *p, const char *s)
{
    if (!*p)
        return !*s;
    if (p[0] == '*' && p[1] == '*') {
        const char *behind = p + strspn(p, "*");
        if ((p == pattern || p[-1] == '/') && *behind == '/') {
            if (!*s)
                return false;
            if (matches_slowly(pattern, behind + 1, s))
                return true;
            s = strchr(s, '/');
            return s && matches_slowly(pattern, p, s + 1);
        }
        return matches_slowly(pattern, behind, s) || (*s && matches_slowly(pattern, p, s + 1));
    }
    if (*p == '*')
        return matches_slowly(pattern, p + 1, s) ||
               (*s && *s != '/' && matches_slowly(pattern, p, s + 1));
    return *s && *s == *p && matches_slowly(pattern, p + 1, s + 1);
}

static void random_text(char *text, size_t size, const char *letters)
{
    size_t n = 1 + (size_t)rand() % (size - 1);
    for (size_t i = 0; i < n; i++)
        text[i] = letters[(size_t)rand() % strlen(letters)];
    text[n] = '\0';
}

static void test_against_trying_everything(void **state)
{
    char pattern[10], path[10];
    const char *why;
    size_t checked = 0, matched = 0;
    srand(1);
    for (int i = 0; i < 300000; i++) {
        random_text(pattern, sizeof(pattern), "ab/***");
        random_text(path, sizeof(path), "aabb/");
        if (glob_check(pattern, &why) < 0 || glob_check(path, &why) < 0)
            continue;
        bool expected = matches_slowly(pattern, pattern, path);
        if (glob_matches(pattern, path) != expected)
            fail_msg("%s and %s: expected %d", pattern, path, expected);
        checked++;
        matched += expected;
        /* what matches below a directory is reached from it */
        for (char *slash = path; expected && (slash = strchr(slash, '/')); *slash++ = '/') {
            *slash = '\0';
            if (!glob_reaches(pattern, path))
                fail_msg("%s does not reach %s", pattern, path);
        }
    }
    assert_in_range(checked, 20000, 300000);
    assert_in_range(matched, 1000, checked);
}

static void test_reaches(void **state)
{
    static const struct {
        const char *pattern, *path;
        bool reaches;
    } cases[] = {
        {"a/b", "", true},       {"a/b", "a", true},        {"a/b", "a/b", true},
        {"a/b", "a/b/c", false}, {"a/b", "b", false},       {"a/*/c", "a/x", true},
        {"a/*/c", "x", false},   {"a/**", "a/b/c/d", true}, {"a/**", "b", false},
        {"**.yaml", "x", true},  {"*.yaml", "x", false},    {"[ab]/c", "b", true},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (glob_reaches(cases[i].pattern, cases[i].path) != cases[i].reaches)
            fail_msg("%s and %s", cases[i].pattern, cases[i].path);
}

static void test_check(void **state)
{
    static const char *const bad[] = {"",     "/", "/a", "a/",     "a//b",   ".",  "..",   "./a",
                                      "a/..", "[", "[]", "a[b/c]", "a[b\\]", "\\", "a\\/b"};
    static const char *const good[] = {"a",   "**",  "**/a", "[]]",  "[!]]",
                                       "a.b", "...", "\\[",  "[\\]]"};
    const char *why = NULL;
    char longest[GLOB_MAX + 2];
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (glob_check(bad[i], &why) != -EINVAL)
            fail_msg("%s was taken", bad[i]);
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        if (glob_check(good[i], &why) != 0)
            fail_msg("%s: %s", good[i], why);
    memset(longest, 'a', sizeof(longest));
    longest[GLOB_MAX + 1] = '\0';
    assert_int_equal(glob_check(longest, &why), -EINVAL);
    longest[GLOB_MAX] = '\0';
    assert_int_equal(glob_check(longest, &why), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matches),
        cmocka_unit_test(test_against_trying_everything),
        cmocka_unit_test(test_reaches),
        cmocka_unit_test(test_check),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
