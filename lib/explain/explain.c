#include "lib/explain/explain.h"

#include <errno.h>
#include <string.h>

#include "lib/explain/finding.h"
#include "lib/explain/match.h"
#include "lib/explain/task.h"
#include "lib/json.h"
#include "lib/parse.h"

/* ---- what was asked ---- */

static int too_long(struct error *err)
{
    return error_set(err, EFBIG,
                     "more than %d KiB of text: give it the part with the error, or fewer tasks",
                     EXPLAIN_TEXT_MAX / 1024);
}

static int read_all(FILE *in, char **ret_text, size_t *ret_length, struct error *err)
{
    _cleanup_free_ char *text = malloc(EXPLAIN_TEXT_MAX + 1);
    if (!text)
        return error_set_errno(err, ENOMEM, "cannot read the text");
    size_t length = fread(text, 1, EXPLAIN_TEXT_MAX + 1, in);
    if (ferror(in))
        return error_set_errno(err, EIO, "cannot read the text from stdin");
    if (length > EXPLAIN_TEXT_MAX)
        return too_long(err);
    *ret_text = take_ptr(text);
    *ret_length = length;
    return 0;
}

int explain_read(int n_arguments, char **arguments, FILE *in, char **ret_text, size_t *ret_length,
                 struct error *err)
{
    if (n_arguments == 0 || (n_arguments == 1 && strcmp(arguments[0], "-") == 0))
        return read_all(in, ret_text, ret_length, err);
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    if (!out)
        return error_set_errno(err, ENOMEM, "cannot read the text");
    for (int i = 0; i < n_arguments; i++)
        fprintf(out, "%s%s", i > 0 ? " " : "", arguments[i]);
    if (fclose(out) != 0) {
        free(text);
        return error_set_errno(err, ENOMEM, "cannot read the text");
    }
    *ret_text = text;
    *ret_length = length;
    return 0;
}

/* ---- answers ---- */

static json_t *new_answer(const char *asked)
{
    return json_pack("{s:i, s:s, s:b, s:[]}", "format", 1, "asked", asked, "known", 0, "findings");
}

static void add_finding(json_t *answer, json_t *finding)
{
    json_array_append_new(json_object_get(answer, "findings"), finding);
    json_object_set_new(answer, "known", json_true());
}

static json_t *answer_code(int code)
{
    struct explain_values values = {0};
    json_t *answer = new_answer("exit code");
    const struct cause_info *cause = cause_from_exit_code(code);
    const struct explain_entry *entry = code ? explain_entry_by_exit_code(code) : NULL;
    if (entry)
        add_finding(answer, explain_finding(entry, &values));
    else if (cause && code != 0)
        add_finding(answer, explain_gate_finding(cause, &values));
    return answer;
}

static json_t *answer_entry(const struct explain_entry *entry)
{
    struct explain_values values = {0};
    json_t *answer = new_answer("entry");
    add_finding(answer, explain_finding(entry, &values));
    return answer;
}

static int answer_text(const char *text, size_t length, json_t **ret_answer)
{
    struct explain_result result = {0};
    int r = explain_match(text, length, &result);
    if (r < 0)
        return r;
    json_t *answer = new_answer("text");
    for (size_t i = 0; i < result.n; i++)
        add_finding(answer, explain_finding(result.at[i].entry, &result.values));
    if (result.n == 0)
        json_object_set_new(answer, "nearest", explain_nearest(&result));
    *ret_answer = answer;
    return 0;
}

static bool is_task(const json_t *object)
{
    return json_is_string(json_object_get(object, "taskArn")) ||
           json_is_string(json_object_get(object, "stoppedReason")) ||
           json_is_array(json_object_get(object, "containers"));
}

/* tasks[] of describe-tasks, "task" of stop-task, "detail" of an event, or the task itself; a new
 * reference to an array, or NULL. */
static json_t *find_tasks(json_t *root)
{
    static const char *const holders[] = {"task", "detail"};
    json_t *tasks = json_is_array(root) ? root : json_object_get(root, "tasks");
    if (json_is_array(tasks) && (json_array_size(tasks) == 0 || is_task(json_array_get(tasks, 0))))
        return json_incref(tasks);
    for (size_t i = 0; i < ARRAY_LEN(holders); i++)
        if (is_task(json_object_get(root, holders[i])))
            return json_pack("[O]", json_object_get(root, holders[i]));
    return is_task(root) ? json_pack("[O]", root) : NULL;
}

static json_t *missing_tasks(const json_t *root)
{
    json_t *missing = json_array();
    size_t i;
    json_t *failure;
    json_array_foreach(json_object_get(root, "failures"), i, failure)
    {
        const char *arn = json_string_value(json_object_get(failure, "arn"));
        const char *reason = json_string_value(json_object_get(failure, "reason"));
        if (i < EXPLAIN_TASKS_MAX)
            json_array_append_new(missing, json_pack("{s:s, s:s}", "task", arn ? arn : "", "reason",
                                                     reason ? reason : ""));
    }
    return missing;
}

static json_t *answer_tasks(const json_t *root, const json_t *tasks, const char *gate_name)
{
    json_t *answer = new_answer("tasks"), *list = json_array();
    size_t i;
    json_t *element;
    json_array_foreach(tasks, i, element)
    {
        if (i >= EXPLAIN_TASKS_MAX)
            break;
        json_t *task = explain_task(element, gate_name);
        if (!json_is_null(json_object_get(task, "first_cause")))
            json_object_set_new(answer, "known", json_true());
        json_array_append_new(list, task);
    }
    json_object_set_new(answer, "tasks", list);
    json_object_set_new(answer, "missing", missing_tasks(root));
    return answer;
}

/* NULL: not JSON, or JSON of something else, which is read as text. */
static json_t *answer_json(const char *text, size_t length, const char *gate_name)
{
    _cleanup_json_ json_t *root = json_loadb(text, length, 0, NULL);
    _cleanup_json_ json_t *tasks = root ? find_tasks(root) : NULL;
    return tasks ? answer_tasks(root, tasks, gate_name) : NULL;
}

/* Without white space at both ends. */
static void strip(const char **text, size_t *length)
{
    while (*length > 0 && (unsigned char)**text <= ' ') {
        (*text)++;
        (*length)--;
    }
    while (*length > 0 && (unsigned char)(*text)[*length - 1] <= ' ')
        (*length)--;
}

int explain(const char *text, size_t length, const char *gate_name, json_t **ret_answer,
            struct error *err)
{
    enum { CODE_MAX = 255 };
    char word[64];
    int64_t code;
    if (length > EXPLAIN_TEXT_MAX)
        return too_long(err);
    strip(&text, &length);
    if (length == 0)
        return error_set(err, EINVAL, "nothing to explain");
    if (*text == '{' || *text == '[') {
        json_t *answer = answer_json(text, length, gate_name);
        if (answer) {
            *ret_answer = answer;
            return 0;
        }
    }
    if (length < sizeof(word)) {
        memcpy(word, text, length);
        word[length] = '\0';
        const struct explain_entry *entry = explain_entry_by_id(word);
        bool is_code = parse_i64(word, 0, CODE_MAX, &code) == 0;
        if (entry || is_code) {
            *ret_answer = is_code ? answer_code((int)code) : answer_entry(entry);
            return 0;
        }
    }
    int r = answer_text(text, length, ret_answer);
    return r < 0 ? error_set_errno(err, -r, "cannot read the text") : 0;
}

bool explain_known(const json_t *answer)
{
    return json_is_true(json_object_get(answer, "known"));
}
