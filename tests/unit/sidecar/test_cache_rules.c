/* cache.rules: what is understood, which rule counts, and what the words say of a bad one. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sidecar/cache_rules.h"

static int parse(const char *const texts[], struct cache_rules *ret_rules, struct error *err)
{
    struct name_list list = {0};
    for (; texts[list.n]; list.n++)
        list.names[list.n] = strdup(texts[list.n]);
    int r = cache_rules_parse(&list, "/data", ret_rules, err);
    for (size_t i = 0; i < list.n; i++)
        free(list.names[i]);
    return r;
}

static void test_first_match(void **state)
{
    static const char *const texts[] = {"/data/models/**=immutable",
                                        "/other/**=off",
                                        "/database/x=off",
                                        "conf/*.json=bounded:10s",
                                        "conf/**=off",
                                        "a=b/**=validate",
                                        NULL};
    static struct cache_rules rules;
    struct error err;
    assert_int_equal(parse(texts, &rules, &err), 0);
    assert_int_equal(rules.n, 5);
    assert_int_equal(cache_rules_find(&rules, "models/a/b.bin")->mode, CACHE_IMMUTABLE);
    assert_int_equal(cache_rules_find(&rules, "conf/x.json")->mode, CACHE_BOUNDED);
    assert_int_equal(cache_rules_find(&rules, "conf/x.json")->bound_ms, 10000);
    assert_int_equal(cache_rules_find(&rules, "conf/d/x.json")->mode, CACHE_OFF);
    assert_ptr_equal(cache_rules_find(&rules, "a=b/c"), &rules.of[3]);
    assert_ptr_equal(cache_rules_find(&rules, "else"), &rules.of[4]);
    assert_int_equal(rules.of[4].mode, CACHE_VALIDATE);
}

static void test_none(void **state)
{
    static const char *const texts[] = {NULL};
    static struct cache_rules rules;
    assert_int_equal(parse(texts, &rules, NULL), 0);
    assert_int_equal(cache_rules_find(&rules, "x")->mode, CACHE_VALIDATE);
}

static void test_bad(void **state)
{
    static const struct {
        const char *text, *words;
    } bad[] = {
        {"models/**", "has no mode"},
        {"x=fresh", "\"fresh\" is none of"},
        {"x=bounded", "\"bounded\" is none of"},
        {"x=bounded:", "\"bounded:\" is none of"},
        {"x=bounded:10ms", "from 1s to 1h"},
        {"x=bounded:2h", "from 1s to 1h"},
        {"x=Validate", "is none of"},
        {"=validate", "is empty"},
        {"/=validate", "is empty"},
        {"/other/=off", "at its begin or end"},
        {"a/../b=validate", "\"..\""},
        {"a[=validate", "without \"]\""},
    };
    static struct cache_rules rules;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const char *const texts[] = {"ok/**=off", bad[i].text, NULL};
        struct error err = {0};
        assert_int_equal(parse(texts, &rules, &err), -EINVAL);
        assert_non_null(strstr(err.text, bad[i].words));
        assert_non_null(strstr(err.text, bad[i].text));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_match),
        cmocka_unit_test(test_none),
        cmocka_unit_test(test_bad),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
