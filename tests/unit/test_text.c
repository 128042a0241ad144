#include "lib/text.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka needs the four above */
#include <cmocka.h>

#include "lib/cleanup.h"
#include "lib/parse.h"

static char *printed(void (*print)(FILE *out, const char *text), const char *text)
{
    char *result = NULL;
    size_t size;
    FILE *out = open_memstream(&result, &size);
    assert_non_null(out);
    print(out, text);
    fclose(out);
    return result;
}

static void test_terminal_is_safe(void **state)
{
    _cleanup_free_ char *text = printed(text_put, "a\033[2Jb\nc\x7f\xc2\x9b caf\xc3\xa9 \xff \x9b"
                                                  "31m \xe2\x82 \xe2\x82\xac \xc0\x9b \xf0\x9f");
    assert_string_equal(text, "a\\x1b[2Jb\\x0ac\\x7f\\xc2\\x9b caf\xc3\xa9 \\xff \\x9b"
                              "31m \\xe2\\x82 \xe2\x82\xac \\xc0\\x9b \\xf0\\x9f");
}

static void wrap_4(FILE *out, const char *text)
{
    text_wrap(out, 4, text);
}

static void test_wrap(void **state)
{
    char sentence[400];
    int used = 0;
    for (int i = 0; i < 40; i++)
        used += snprintf(sentence + used, sizeof(sentence) - (size_t)used, " %s",
                         i == 20 ? "caf\xc3\xa9s" : "words");
    _cleanup_free_ char *text = printed(wrap_4, sentence);
    size_t lines = 0;
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"), lines++) {
        assert_memory_equal(line, "    w", 5);
        assert_true(strlen(line) <= TEXT_WIDTH + (strstr(line, "caf") ? 1 : 0));
    }
    assert_int_equal(lines, 4); /* twelve words of six columns and five fit in 76: 40 words */
}

static void test_wrap_keeps_long_words(void **state)
{
    char word[101] = "", sentence[200], expected[200];
    memset(word, 'x', sizeof(word) - 1);
    snprintf(sentence, sizeof(sentence), "%s \n y ", word);
    snprintf(expected, sizeof(expected), "    %s\n    y\n", word);
    _cleanup_free_ char *text = printed(wrap_4, sentence);
    assert_string_equal(text, expected);
}

static void test_durations(void **state)
{
    static const struct {
        int64_t ms;
        const char *text;
    } cases[] = {
        {0, "<1ms"},         {999, "999ms"},
        {1000, "1s"},        {59999, "59s"},
        {60000, "1m00s"},    {3599999, "59m59s"},
        {3600000, "1h00m"},  {86399999, "23h59m"},
        {86400000, "1d00h"}, {INT64_MAX, "106751991167d07h"},
    };
    char buf[TEXT_SHORT];
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_string_equal(text_duration(cases[i].ms, buf), cases[i].text);
}

static void test_exact_durations(void **state)
{
    static const struct {
        int64_t ms;
        const char *text;
    } cases[] = {
        {0, "0s"},      {250, "250ms"},  {1000, "1s"},    {1500, "1500ms"},
        {90000, "90s"}, {600000, "10m"}, {3600000, "1h"}, {604800000, "7d"},
    };
    char buf[TEXT_SHORT];
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t back = -1;
        assert_string_equal(text_duration_exact(cases[i].ms, buf), cases[i].text);
        assert_int_equal(parse_duration_ms(buf, 0, INT64_MAX, &back), 0);
        assert_int_equal(back, cases[i].ms);
    }
}

static void test_sizes(void **state)
{
    static const struct {
        int64_t bytes;
        const char *text;
    } cases[] = {
        {0, "0 B"},
        {1023, "1023 B"},
        {1024, "1.0 KiB"},
        {10 * 1024, "10 KiB"},
        {1024 * 1024 - 1, "1.0 MiB"},
        {1536LL << 20, "1.5 GiB"},
        {INT64_MAX, "8.0 EiB"},
    };
    char buf[TEXT_SHORT];
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_string_equal(text_size(cases[i].bytes, buf), cases[i].text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_terminal_is_safe),      cmocka_unit_test(test_wrap),
        cmocka_unit_test(test_wrap_keeps_long_words), cmocka_unit_test(test_durations),
        cmocka_unit_test(test_exact_durations),       cmocka_unit_test(test_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
