/* What explain() answers, for people. */
#include <string.h>

#include "lib/explain/catalogue.h"
#include "lib/explain/explain.h"
#include "lib/json.h"
#include "lib/text.h"

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

/* Commands and Terraform as they are, so that they can be copied. */
static void print_lines(FILE *out, int indent, const char *text)
{
    while (*text) {
        int length = (int)strcspn(text, "\n");
        fprintf(out, "%*s%.*s\n", length ? indent : 0, "", length, text);
        text += length + (text[length] == '\n');
    }
}

static void print_block(FILE *out, const char *title, const char *text)
{
    if (!*text)
        return;
    fprintf(out, "     %s:\n", title);
    print_lines(out, 7, text);
}

static void print_cause(FILE *out, size_t number, const json_t *cause)
{
    char title[24];
    _cleanup_free_ char *fix = NULL;
    const json_t *gate = json_object_get(cause, "gate");
    snprintf(title, sizeof(title), "  %zu.", number);
    fputc('\n', out);
    text_item(out, 5, title, text_of(cause, "why"));
    if (gate)
        fprintf(out, "     efs-init calls it %s, exit code %lld.\n", text_of(gate, "cause"),
                (long long)json_integer_value(json_object_get(gate, "exit_code")));
    print_block(out, "Confirm", text_of(cause, "confirm"));
    if (asprintf(&fix, "Fix: %s", text_of(cause, "fix")) > 0)
        text_wrap(out, 5, fix);
    print_block(out, "CLI", text_of(cause, "cli"));
    print_block(out, "Terraform", text_of(cause, "terraform"));
}

/* One wrapped line of what a memory stream was given. */
static void print_line(FILE *out, FILE *stream, char **line)
{
    if (fclose(stream) == 0)
        text_wrap(out, 2, *line);
    free(*line);
}

static void print_sources(FILE *out, json_t *sources)
{
    char *line = NULL;
    size_t size, i;
    json_t *source;
    FILE *stream = json_array_size(sources) > 0 ? open_memstream(&line, &size) : NULL;
    if (!stream)
        return;
    fputs("Seen in:", stream);
    json_array_foreach(sources, i, source)
    {
        fprintf(stream, "%s %s", i ? "," : "", json_string_value(source));
    }
    print_line(out, stream, &line);
}

static void print_values(FILE *out, json_t *values)
{
    char *line = NULL;
    size_t size;
    const char *name;
    json_t *value;
    FILE *stream = json_object_size(values) > 0 ? open_memstream(&line, &size) : NULL;
    if (!stream)
        return;
    fputs("Found:", stream);
    json_object_foreach(values, name, value)
    {
        fprintf(stream, " %s=%s", name, json_string_value(value));
    }
    print_line(out, stream, &line);
}

static void print_finding(FILE *out, const json_t *finding)
{
    size_t i;
    json_t *cause, *causes = json_object_get(finding, "causes");
    fprintf(out, "%s\n", text_of(finding, "id"));
    text_wrap(out, 2, text_of(finding, "meaning"));
    print_values(out, json_object_get(finding, "values"));
    json_array_foreach(causes, i, cause)
    {
        print_cause(out, i + 1, cause);
    }
    fputc('\n', out);
    print_sources(out, json_object_get(finding, "sources"));
}

static void print_nearest(FILE *out, const json_t *holder)
{
    size_t i;
    json_t *near, *nearest = json_object_get(holder, "nearest");
    if (json_array_size(nearest) > 0)
        fputs("Nearest (explain ID shows one):\n", out);
    json_array_foreach(nearest, i, near)
    {
        fprintf(out, "  %s\n", text_of(near, "id"));
        text_wrap(out, 6, text_of(near, "meaning"));
    }
}

static void print_container(FILE *out, const json_t *container)
{
    const json_t *code = json_object_get(container, "exit_code");
    char number[16] = "-";
    if (code)
        snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(code));
    fputs("  ", out);
    text_column(out, 24, text_of(container, "name"));
    fprintf(out, "exit %-4s %s\n", number, text_of(container, "verdict"));
    text_wrap(out, 6, text_of(container, "says"));
}

static void print_task(FILE *out, const json_t *task)
{
    size_t i;
    json_t *container;
    const json_t *first = json_object_get(task, "first_cause");
    const char *arn = text_of(task, "task"), *slash = strrchr(arn, '/');
    fputs("Task ", out);
    text_put(out, *arn ? slash ? slash + 1 : arn : "without an ARN");
    fputs(", ", out);
    text_put(out, *text_of(task, "status") ? text_of(task, "status") : "status unknown");
    fputs(*text_of(task, "stop_code") ? ", " : "", out);
    text_put(out, text_of(task, "stop_code"));
    fputc('\n', out);
    if (*text_of(task, "stopped_reason"))
        text_wrap(out, 2, text_of(task, "stopped_reason"));
    json_array_foreach(json_object_get(task, "containers"), i, container)
    {
        print_container(out, container);
    }
    if (json_is_null(first)) {
        fputs("\nNo cause that is known here.\n", out);
        print_nearest(out, task);
        return;
    }
    fputs("\nFirst cause", out);
    if (json_is_string(json_object_get(first, "container"))) {
        fputs(", in container ", out);
        text_put(out, text_of(first, "container"));
    }
    fputs(": ", out);
    print_finding(out, json_object_get(first, "finding"));
}

static void print_tasks(const json_t *answer, FILE *out)
{
    size_t i;
    json_t *task;
    json_array_foreach(json_object_get(answer, "tasks"), i, task)
    {
        if (i > 0)
            fputc('\n', out);
        print_task(out, task);
    }
    json_array_foreach(json_object_get(answer, "missing"), i, task)
    {
        fputs("ECS no longer knows ", out);
        text_put(out, text_of(task, "task"));
        fputs(" (", out);
        text_put(out, text_of(task, "reason"));
        fputs("): it forgets stopped tasks after an hour.\n", out);
    }
    if (json_array_size(json_object_get(answer, "tasks")) == 0)
        fputs("There is no task in the answer.\n", out);
}

void explain_print(const json_t *answer, FILE *out)
{
    size_t i;
    json_t *finding;
    if (json_object_get(answer, "tasks")) {
        print_tasks(answer, out);
        return;
    }
    json_array_foreach(json_object_get(answer, "findings"), i, finding)
    {
        if (i > 0)
            fputc('\n', out);
        print_finding(out, finding);
    }
    if (!explain_known(answer)) {
        fprintf(out, "This %s is not known here.\n",
                strcmp(text_of(answer, "asked"), "exit code") == 0 ? "exit code" : "text");
        print_nearest(out, answer);
    }
}

/* ---- the catalogue ---- */

static void print_row(FILE *out, const struct explain_entry *entry)
{
    fprintf(out, "| %s | ", entry->id);
    for (const char *const *form = entry->forms; *form; form++)
        fprintf(out, "%s`%s`", form == entry->forms ? "" : "<br>", *form);
    fprintf(out, " | %s | ", entry->meaning);
    for (const char *const *source = entry->sources; *source; source++)
        fprintf(out, "%s%s", source == entry->sources ? "" : ", ", *source);
    fputs(" |\n", out);
}

void explain_print_list(FILE *out)
{
    const struct explain_entry *entry;
    fputs("# Known failures\n\n"
          "What `efsctl explain` and `efs-init explain` know; `efsctl explain --list` prints this "
          "table. `efsctl explain ENTRY`\nshows causes, commands to confirm each, and the change. "
          "In messages `*` is any text and `{name}` one word.\n\n"
          "| entry | shows as | means | seen in |\n|---|---|---|---|\n",
          out);
    for (size_t i = 0; (entry = explain_entry(i)); i++)
        print_row(out, entry);
}
