/* A few elements out of an XML answer, and no more than that. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/aws/xml.h"
#include "lib/cleanup.h"

static char a[8], b[8];

static int read_xml(const char *body, struct error *err)
{
    struct xml_field fields[] = {{.name = "A", .text = a, .size = sizeof(a)},
                                 {.name = "B", .text = b, .size = sizeof(b)}};
    return xml_read(body, strlen(body), fields, ARRAY_LEN(fields), err);
}

static void test_read(void **state)
{
    static const struct {
        const char *body, *a, *b;
    } cases[] = {
        {"<R><A>1</A><B>2</B></R>", "1", "2"},
        {"<R xmlns='x' xmlns:p='y'><p:B>2</p:B></R>", "", "2"},
        {"<A>first</A>", "first", ""},
        {"<R><A>1</A><A>2</A></R>", "1", ""},
        {"<R><A>x<C>hidden</C>y</A></R>", "xy", ""},
        {"<R><A/><B>&lt;&amp;&#65;</B></R>", "", "<&A"},
        {"<R><A><![CDATA[<b>]]></A></R>", "<b>", ""},
        {"<R><A>1234567</A><B>12345678</B></R>", "1234567", ""},
        {"<R><A>1234<!-- x -->56789</A></R>", "", ""},
        {"<R><A>1<B>2</B>3</A></R>", "13", ""},
        {"<R><AA>1</AA><a>2</a></R>", "", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct error err = {0};
        if (read_xml(cases[i].body, &err) < 0)
            fail_msg("%s: %s", cases[i].body, err.text);
        assert_string_equal(a, cases[i].a);
        assert_string_equal(b, cases[i].b);
    }
}

static void test_refused(void **state)
{
    static const struct {
        const char *body, *words;
    } cases[] = {
        {"", "no element found"},
        {"<R>", "no element found"},
        {"<R></A>", "mismatched tag at line 1"},
        {"<R>&undefined;</R>", "undefined entity"},
        {"<!DOCTYPE R><R/>", "document type"},
        {"<!DOCTYPE R SYSTEM 'file:///etc/passwd'><R/>", "document type"},
        {"<!DOCTYPE R [<!ENTITY e 'x'>]><A>&e;</A>", "document type"},
        {"<R/>\n<R/>", "at line 2"},
        {"{}", "not well-formed"},
        {"<R>\xff</R>", "not well-formed"},
    };
    struct error err;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(read_xml(cases[i].body, &err), -EINVAL);
        if (!strstr(err.text, cases[i].words))
            fail_msg("%s: %s", cases[i].body, err.text);
    }
    char deep[400] = "";
    for (int i = 0; i < 100; i++)
        strcat(deep, "<R>"); /* NOLINT(clang-analyzer-security.insecureAPI.strcpy): it fits */
    assert_int_equal(read_xml(deep, &err), -EINVAL);
    assert_non_null(strstr(err.text, "too deeply"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests_name("aws_xml", tests, NULL, NULL);
}
