/* Every message that users reported is known, leads to its cause first, and its ids stand in the
 * advice. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/explain/catalogue.h"
#include "lib/explain/explain.h"
#include "lib/explain/match.h"
#include "lib/fs.h"
#include "lib/json.h"
#include "lib/text.h"

#define TEXTS "tests/data/stopped-reasons/"

static char *read_file(const char *path, size_t *ret_length)
{
    char *text = NULL;
    if (fs_read_file(AT_FDCWD, path, EXPLAIN_TEXT_MAX, &text, ret_length) < 0)
        fail_msg("cannot read %s", path);
    return text;
}

static json_t *ask(const char *text, const char *gate_name)
{
    json_t *answer = NULL;
    struct error err = {0};
    if (explain(text, strlen(text), gate_name, &answer, &err) < 0)
        fail_msg("%s", err.text);
    return answer;
}

static char *printed(const json_t *answer)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    explain_print(answer, out);
    assert_int_equal(fclose(out), 0);
    return text;
}

/* The first finding of a text, or of the first task. */
static const json_t *first_finding(const json_t *answer)
{
    const json_t *task = json_array_get(json_object_get(answer, "tasks"), 0);
    if (task)
        return json_object_get(json_object_get(task, "first_cause"), "finding");
    return json_array_get(json_object_get(answer, "findings"), 0);
}

static const char *first_id(const json_t *answer)
{
    const char *id = json_string_value(json_object_get(first_finding(answer), "id"));
    return id ? id : "nothing";
}

static const char *container_text(const json_t *answer, size_t i, const char *key)
{
    const json_t *task = json_array_get(json_object_get(answer, "tasks"), 0);
    const json_t *container = json_array_get(json_object_get(task, "containers"), i);
    const char *text = json_string_value(json_object_get(container, key));
    return text ? text : "";
}

/* ---- the texts of the threads ---- */

struct expected {
    char *file, *id, *advice, *source;
};

static bool next_expected(char **rest, struct expected *expected)
{
    char *line;
    while ((line = strsep(rest, "\n"))) {
        if (*line == '#' || *line == '\0')
            continue;
        expected->file = strsep(&line, "\t");
        expected->id = strsep(&line, "\t");
        expected->advice = strsep(&line, "\t");
        expected->source = strsep(&line, "\t");
        assert_true(expected->source && *expected->source && !line);
        return true;
    }
    return false;
}

static size_t count_texts(void)
{
    size_t n = 0;
    _cleanup_closedir_ DIR *dir = opendir(TEXTS);
    assert_non_null(dir);
    for (struct dirent *file; (file = readdir(dir));)
        n += strstr(file->d_name, ".txt") || strstr(file->d_name, ".json");
    return n;
}

static void try_reported(const struct expected *expected)
{
    size_t length;
    char path[256];
    snprintf(path, sizeof(path), TEXTS "%s", expected->file);
    _cleanup_free_ char *text = read_file(path, &length);
    _cleanup_json_ json_t *answer = ask(text, NULL);
    _cleanup_free_ char *shown = printed(answer);
    if (strcmp(expected->id, "-") == 0) {
        assert_false(explain_known(answer));
        return;
    }
    assert_true(explain_known(answer));
    if (strcmp(first_id(answer), expected->id) != 0)
        fail_msg("%s: %s, not %s", expected->file, first_id(answer), expected->id);
    assert_non_null(strstr(shown, expected->id));
    /* People see the advice wrapped; the JSON has it as it is. */
    _cleanup_free_ char *dumped = json_dumps(first_finding(answer), JSON_ENCODE_ANY);
    _cleanup_json_ json_t *advice = json_string(expected->advice);
    _cleanup_free_ char *quoted = json_dumps(advice, JSON_ENCODE_ANY);
    quoted[strlen(quoted) - 1] = '\0';
    if (!strstr(dumped, quoted + 1))
        fail_msg("%s: no \"%s\" in %s", expected->file, expected->advice, dumped);
}

static void test_reported_texts(void **state)
{
    size_t length, n = 0;
    _cleanup_free_ char *table = read_file(TEXTS "expected.tsv", &length);
    struct expected expected;
    for (char *rest = table; next_expected(&rest, &expected); n++)
        try_reported(&expected);
    assert_true(n > 50);
    assert_int_equal(n, count_texts()); /* they are the corpus of the fuzzer as well */
}

/* What is not a command fits into 80 columns. */
static void test_width(void **state)
{
    const struct explain_entry *entry;
    for (size_t i = 0; (entry = explain_entry(i)); i++) {
        _cleanup_json_ json_t *answer = ask(entry->id, NULL);
        _cleanup_free_ char *shown = printed(answer);
        assert_string_equal(first_id(answer), entry->id);
        for (char *rest = shown, *line; (line = strsep(&rest, "\n"));)
            if (strlen(line) > TEXT_WIDTH && strncmp(line, "       ", 7) != 0)
                fail_msg("%s: a line of %zu columns: %s", entry->id, strlen(line), line);
    }
}

/* ---- the catalogue ---- */

static void check_form(const struct explain_entry *entry, const char *form)
{
    if (*form == '*' || *form == '\0' || form[strlen(form) - 1] == '*')
        fail_msg("%s: a form begins or ends with any text: %s", entry->id, form);
    for (const char *p = form; *p; p++) {
        if (strchr("|`", *p)) /* in docs/errors.md a form is a cell of a table */
            fail_msg("%s: not for Markdown: %s", entry->id, form);
        if ((unsigned char)*p < ' ' || isupper((unsigned char)*p) || (p[0] == ' ' && p[1] == ' '))
            fail_msg("%s: not as texts are compared: %s", entry->id, form);
        if (*p == '{' && explain_value_from_name(p + 1, strcspn(p, "}") - 1) == VALUE_COUNT)
            fail_msg("%s: unknown value: %s", entry->id, p);
    }
}

/* Braces around a lower-case word are values; those of JSON and Terraform are not. */
static void check_advice(const struct explain_entry *entry, const char *text)
{
    for (const char *p = text; p && (p = strchr(p, '{')); p++) {
        size_t length = strspn(p + 1, "abcdefghijklmnopqrstuvwxyz");
        if (length > 0 && p[length + 1] == '}' &&
            explain_value_from_name(p + 1, length) == VALUE_COUNT)
            fail_msg("%s: unknown value: %s", entry->id, p);
    }
}

static void test_catalogue(void **state)
{
    const struct explain_entry *entry;
    for (size_t i = 0; (entry = explain_entry(i)); i++) {
        assert_ptr_equal(explain_entry_by_id(entry->id), entry);
        assert_true(strspn(entry->id, "abcdefghijklmnopqrstuvwxyz0123456789-") ==
                    strlen(entry->id));
        assert_true(entry->forms[0] && entry->causes[0].why && entry->sources[0]);
        assert_int_equal(entry->meaning[strlen(entry->meaning) - 1], '.');
        for (const char *const *form = entry->forms; *form; form++)
            check_form(entry, *form);
        for (const struct explain_cause *cause = entry->causes; cause->why; cause++) {
            if (!cause->fix || cause->why[strlen(cause->why) - 1] != '.')
                fail_msg("%s: no fix, or no sentence: %s", entry->id, cause->why);
            check_advice(entry, cause->why);
            check_advice(entry, cause->confirm);
            check_advice(entry, cause->fix);
            check_advice(entry, cause->cli);
            check_advice(entry, cause->terraform);
        }
    }
}

static const char *sample(enum explain_value value)
{
    static const char *const samples[VALUE_COUNT] = {
        [VALUE_FILE_SYSTEM] = "fs-0123456789abcdef0",
        [VALUE_ACCESS_POINT] = "fsap-0123456789abcdef0",
        [VALUE_ROLE] = "arn:aws:iam::123456789012:role/web",
        [VALUE_PATH] = "/srv/data",
        [VALUE_HOST] = "10.0.0.1",
        [VALUE_PORT] = "20049",
        [VALUE_EXIT_CODE] = "21",
    };
    return samples[value] ? samples[value] : "word";
}

/* A text that has the form, with values of the right kind. */
static char *text_with(const char *form)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    fputs("10:15 web[1]: ", out);
    while (*form) {
        if (*form == '{') {
            size_t length = strcspn(form, "}");
            fputs(sample(explain_value_from_name(form + 1, length - 1)), out);
            form += length + 1;
        } else if (*form == '*') {
            fputs(" and ", out);
            form++;
        } else {
            fputc(toupper((unsigned char)*form++), out);
        }
    }
    fputs(" :", out);
    assert_int_equal(fclose(out), 0);
    return text;
}

/* No entry hides another. */
static void test_each_form_leads_to_its_entry(void **state)
{
    const struct explain_entry *entry;
    for (size_t i = 0; (entry = explain_entry(i)); i++) {
        for (const char *const *form = entry->forms; *form; form++) {
            struct explain_result result = {0};
            _cleanup_free_ char *text = text_with(*form);
            assert_int_equal(explain_match(text, strlen(text), &result), 0);
            if (result.n == 0 || result.at[0].entry != entry)
                fail_msg("%s: \"%s\" leads to %s", entry->id, text,
                         result.n ? result.at[0].entry->id : "nothing");
        }
    }
}

/* ---- what is asked otherwise ---- */

static void test_exit_codes(void **state)
{
    for (size_t i = 1; i < CAUSE_COUNT; i++) {
        char code[8];
        snprintf(code, sizeof(code), "%d", cause_table[i].exit_code);
        _cleanup_json_ json_t *answer = ask(code, NULL);
        _cleanup_free_ char *shown = printed(answer);
        assert_true(explain_known(answer));
        assert_non_null(strstr(shown, cause_table[i].name));
        assert_ptr_equal(cause_from_exit_code(cause_table[i].exit_code), &cause_table[i]);
    }
    _cleanup_json_ json_t *sigterm = ask(" 143\n", NULL);
    assert_string_equal(first_id(sigterm), "terminated");
    _cleanup_json_ json_t *read_only = ask("20", NULL);
    assert_int_equal(json_array_size(json_object_get(first_finding(read_only), "causes")), 2);
    _cleanup_json_ json_t *unknown = ask("99", NULL);
    _cleanup_free_ char *shown = printed(unknown);
    assert_false(explain_known(unknown));
    assert_string_equal(shown, "This exit code is not known here.\n");
    _cleanup_json_ json_t *zero = ask("0", NULL);
    assert_false(explain_known(zero));
}

static void test_unknown(void **state)
{
    _cleanup_json_ json_t *answer =
        ask("the mount target answered with a permission problem while mounting", NULL);
    const json_t *nearest = json_object_get(answer, "nearest");
    assert_false(explain_known(answer));
    assert_string_equal(json_string_value(json_object_get(json_array_get(nearest, 0), "id")),
                        "mount-denied");
    assert_true(json_array_size(nearest) <= EXPLAIN_NEAREST_MAX);
    _cleanup_free_ char *shown = printed(answer);
    assert_non_null(strstr(shown, "not known here.\nNearest (explain ID shows one):\n"));

    _cleanup_json_ json_t *nothing_near = ask("xyzzy", NULL);
    assert_int_equal(json_array_size(json_object_get(nothing_near, "nearest")), 0);
}

static void test_refused(void **state)
{
    struct error err = {0};
    json_t *answer = NULL;
    assert_int_equal(explain(" \n", 2, NULL, &answer, &err), -EINVAL);
    assert_string_equal(err.text, "nothing to explain");
    _cleanup_free_ char *big = calloc(1, EXPLAIN_TEXT_MAX + 1);
    assert_non_null(big);
    assert_int_equal(explain(big, EXPLAIN_TEXT_MAX + 1, NULL, &answer, &err), -EFBIG);
    assert_null(answer);
}

static void test_values_in_advice(void **state)
{
    _cleanup_json_ json_t *answer =
        ask("failed to chown /a: lchown /a: operation not permitted fs-0123456789abcdef0", NULL);
    _cleanup_free_ char *shown = printed(answer);
    assert_non_null(strstr(shown, "--file-system-id fs-0123456789abcdef0"));
    assert_non_null(strstr(shown, "--region REGION"));
    assert_non_null(strstr(shown, "Found: fs=fs-0123456789abcdef0 path=/a\n"));
}

/* ---- tasks ---- */

static void test_failed_gate(void **state)
{
    size_t length;
    _cleanup_free_ char *text = read_file(TEXTS "task-gate.json", &length);
    _cleanup_json_ json_t *answer = ask(text, NULL);
    assert_string_equal(container_text(answer, 0, "verdict"), "consequence");
    assert_string_equal(container_text(answer, 0, "says"),
                        "ended, or never started, because of gate");
    assert_string_equal(container_text(answer, 1, "verdict"), "first cause");
    assert_non_null(strstr(container_text(answer, 1, "says"), "efs-init: NoClientWrite"));
    assert_string_equal(container_text(answer, 2, "verdict"), "consequence");
    _cleanup_free_ char *shown = printed(answer);
    assert_non_null(strstr(shown, "First cause, in container gate: read-only\n"));
    assert_non_null(strstr(shown, "--region eu-west-1"));
}

/* Only who runs efs-init has its exit codes. */
static void test_gate_by_name(void **state)
{
    static const char task[] =
        "{\"stopCode\": \"EssentialContainerExited\", \"containers\": ["
        "{\"name\": \"web\", \"exitCode\": 21}, {\"name\": \"check\", \"exitCode\": 30}]}";
    _cleanup_json_ json_t *guessed = ask(task, NULL);
    assert_string_equal(first_id(guessed), "container-ended");
    _cleanup_json_ json_t *named = ask(task, "check");
    assert_string_equal(first_id(named), "mount-hung");
    assert_string_equal(container_text(named, 0, "verdict"), "failed");
}

static void test_task_without_cause(void **state)
{
    _cleanup_json_ json_t *answer =
        ask("{\"tasks\": [{\"taskArn\": \"arn:aws:ecs:x:1:task/a\", \"lastStatus\": \"RUNNING\","
            " \"containers\": [{\"name\": \"web\", \"lastStatus\": \"RUNNING\"}]}],"
            " \"failures\": [{\"arn\": \"arn:aws:ecs:x:1:task/gone\", \"reason\": \"MISSING\"}]}",
            NULL);
    _cleanup_free_ char *shown = printed(answer);
    assert_false(explain_known(answer));
    assert_string_equal(container_text(answer, 0, "verdict"), "running");
    assert_non_null(strstr(shown, "No cause that is known here."));
    assert_non_null(strstr(shown, "ECS no longer knows arn:aws:ecs:x:1:task/gone (MISSING)"));
}

static void test_shapes_of_json(void **state)
{
    static const struct {
        const char *text, *id;
    } cases[] = {
        {"{\"task\": {\"stoppedReason\": \"OutOfMemoryError: Container killed due to memory "
         "usage\"}}",
         "out-of-memory"},
        {"{\"detail\": {\"taskArn\": \"a\", \"containers\": [{\"name\": \"efs-init\", "
         "\"exitCode\": 10}]}}",
         "root-directory-missing"},
        {"[{\"stoppedReason\": \"Essential container in task exited\"}]", "essential-exited"},
        {"{\"message\": \"nfs: server 10.0.0.1 not responding, timed out\"}", "mount-hung"},
        {"{ \"cut\": \"Stale file handle", "stale-handle"},
        {"{\"tasks\": []}", "nothing"},
        {"{\"tasks\": [5, {\"containers\": {}}]}", "nothing"},
        {"{\"containers\": [null, 7, {\"exitCode\": \"x\", \"name\": 9}]}", "nothing"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        _cleanup_json_ json_t *answer = ask(cases[i].text, NULL);
        _cleanup_free_ char *shown = printed(answer);
        assert_true(*shown);
        if (strcmp(first_id(answer), cases[i].id) != 0)
            fail_msg("%s: %s", cases[i].text, first_id(answer));
    }
}

/* A terminal does not act on what a task's reason brings along. */
static void test_control_characters(void **state)
{
    _cleanup_json_ json_t *answer =
        ask("{\"containers\": [{\"name\": \"\\u001b[2J\", \"exitCode\": 1}],"
            " \"stoppedReason\": \"\\u001b]0;x\\u0007\", \"stopCode\": \"\\u001b\","
            " \"lastStatus\": \"\\u001b\", \"taskArn\": \"a/\\u001b\"}",
            NULL);
    _cleanup_free_ char *shown = printed(answer);
    assert_null(strchr(shown, '\x1b'));
    assert_null(strchr(shown, '\a'));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reported_texts),
        cmocka_unit_test(test_width),
        cmocka_unit_test(test_catalogue),
        cmocka_unit_test(test_each_form_leads_to_its_entry),
        cmocka_unit_test(test_exit_codes),
        cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_values_in_advice),
        cmocka_unit_test(test_failed_gate),
        cmocka_unit_test(test_gate_by_name),
        cmocka_unit_test(test_task_without_cause),
        cmocka_unit_test(test_shapes_of_json),
        cmocka_unit_test(test_control_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
