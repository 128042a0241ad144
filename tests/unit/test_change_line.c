/* The JSON line of a change, byte by byte, and beside jansson, which must read and write the same.
 */
#include "lib/share/change_line.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
/* cmocka needs the four above */
#include <cmocka.h>

#include "lib/config.h"
#include "lib/json.h"

static char line[CHANGE_LINE_MAX];

/* What the line says for jansson, and what jansson makes of that, is the line again. */
static json_t *parsed(const struct change *c, const char *mount)
{
    json_error_t error;
    size_t n = change_line(c, mount, line, sizeof(line) - 1);
    assert_in_range(n, 1, sizeof(line) - 1);
    line[n] = '\0';
    json_t *json = json_loadb(line, n, JSON_REJECT_DUPLICATES, &error);
    if (!json)
        fail_msg("%s in %s", error.text, line);
    char *again = json_dumps(json, JSON_COMPACT);
    assert_string_equal(line, again);
    free(again);
    return json;
}

static void assert_line(const struct change *c, const char *mount, const char *expected)
{
    json_decref(parsed(c, mount));
    assert_string_equal(line, expected);
}

static void test_fields(void **state)
{
    assert_line(&(struct change){.op = CHANGE_CREATE,
                                 .source = CHANGE_SOURCE_PEER,
                                 .flags = CHANGE_HAS_ATTRS,
                                 .epoch = 5,
                                 .sequence = 12,
                                 .size = 3,
                                 .mtime_ns = 1763891754123456789,
                                 .path = "d/caf\xc3\xa9",
                                 .observer = "t1"},
                "/data",
                "{\"path\":\"d/caf\xc3\xa9\",\"op\":\"create\",\"source\":\"peer\",\"observer\":"
                "\"t1\",\"size\":3,\"mtime\":\"2025-11-23T09:55:54.123456789Z\",\"cursor\":"
                "\"5.12\",\"mount\":\"/data\"}");
    assert_line(&(struct change){.op = CHANGE_RENAME, .path = "\xff\xfe\xfd\xfc", .from = "a\xff"},
                NULL,
                "{\"path\":\"????\",\"path_base64\":\"//79/A==\",\"op\":\"rename\",\"from\":\"a?\","
                "\"from_base64\":\"Yf8=\",\"source\":\"local\",\"cursor\":\"0.0\"}");
    assert_line(&(struct change){.op = CHANGE_RESYNC,
                                 .reason = CHANGE_REASON_BLIND,
                                 .source = CHANGE_SOURCE_SCAN,
                                 .flags = CHANGE_IS_DIR,
                                 .path = ""},
                NULL,
                "{\"path\":\"\",\"op\":\"resync\",\"reason\":\"blind\",\"source\":\"scan\",\"dir\":"
                "true,\"cursor\":\"0.0\"}");
}

static void test_times(void **state)
{
    static const struct {
        int64_t ns;
        const char *text;
    } times[] = {
        {-1, "1969-12-31T23:59:59.999999999Z"},
        {0, "1970-01-01T00:00:00.000000000Z"},
        {951782400000000005, "2000-02-29T00:00:00.000000005Z"},
        {INT64_MIN, "1677-09-21T00:12:43.145224192Z"},
        {INT64_MAX, "2262-04-11T23:47:16.854775807Z"},
    };
    for (size_t i = 0; i < ARRAY_LEN(times); i++) {
        json_t *json = parsed(&(struct change){.op = CHANGE_ATTRIB,
                                               .flags = CHANGE_HAS_ATTRS,
                                               .mtime_ns = times[i].ns,
                                               .path = "a"},
                              NULL);
        assert_string_equal(json_string_value(json_object_get(json, "mtime")), times[i].text);
        json_decref(json);
    }
}

/* Any bytes: exact as text if jansson takes them for UTF-8, else by their base64. */
static void test_any_name(void **state)
{
    static const unsigned char heads[] = {0x1f, '"',  '\\', 0x7f, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1,
                                          0xed, 0xef, 0xf0, 0xf1, 0xf4, 0xf5, 0xff, '\n', 'a'};
    static const unsigned char tails[] = {0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 'z'};
    size_t texts = 0;
    srand(1);
    for (int i = 0; i < 50000; i++) {
        char name[9];
        size_t length = 1 + (size_t)rand() % (sizeof(name) - 1);
        for (size_t j = 0; j < length; j++)
            name[j] = (char)(rand() % 3 ? tails[(size_t)rand() % sizeof(tails)]
                                        : heads[(size_t)rand() % sizeof(heads)]);
        name[length] = '\0';
        json_t *json = parsed(&(struct change){.op = CHANGE_CREATE, .path = name}, NULL);
        json_t *exact = json_string(name);
        assert_int_equal(exact == NULL, json_object_get(json, "path_base64") != NULL);
        json_t *shown = exact ? exact : json_string_lossy(name);
        assert_true(json_equal(json_object_get(json, "path"), shown));
        texts += exact != NULL;
        json_decref(shown);
        json_decref(json);
    }
    assert_in_range(texts, 1000, 49000); /* both kinds were among them */
}

static void test_size(void **state)
{
    char path[CHANGE_PATH_MAX + 1], observer[CHANGE_OBSERVER_MAX + 1];
    memset(path, 1, sizeof(path));
    memset(observer, 1, sizeof(observer));
    path[0] = '\xff';
    path[CHANGE_PATH_MAX] = observer[CHANGE_OBSERVER_MAX] = '\0';
    const struct change longest = {
        .op = CHANGE_RENAME,
        .source = CHANGE_SOURCE_LOCAL,
        .flags = CHANGE_HAS_ATTRS | CHANGE_IS_DIR,
        .epoch = UINT32_MAX,
        .sequence = UINT64_MAX,
        .size = INT64_MAX,
        .path = path,
        .from = path,
        .observer = observer,
    };
    json_decref(parsed(&longest, path + CHANGE_PATH_MAX - (CONFIG_TEXT_MAX - 1)));
    const struct change small = {.op = CHANGE_DELETE, .path = "a\xff\n"};
    json_decref(parsed(&small, NULL));
    size_t n = strlen(line);
    char *exact = malloc(n); /* of just that size, so that a sanitizer sees what goes too far */
    assert_int_equal(change_line(&small, NULL, exact, n), n);
    for (size_t size = 0; size < n; size++)
        assert_int_equal(change_line(&small, NULL, exact, size), 0);
    free(exact);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_any_name),
        cmocka_unit_test(test_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
