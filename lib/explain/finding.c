#include "lib/explain/finding.h"

#include <stdio.h>
#include <string.h>

#include "lib/json.h"

static const char *const level_names[] = {
    [LEVEL_CAUSE] = "cause",
    [LEVEL_CONSEQUENCE] = "consequence",
    [LEVEL_SYMPTOM] = "symptom",
};

/* The text with each {name} replaced by its value, or by a placeholder such as FILE_SYSTEM_ID. */
static char *fill(const char *text, const struct explain_values *values)
{
    char *filled = NULL;
    size_t size;
    FILE *out = open_memstream(&filled, &size);
    if (!out)
        return NULL;
    while (*text) {
        size_t plain = strcspn(text, "{");
        fwrite(text, 1, plain, out);
        text += plain;
        if (!*text)
            break;
        size_t length = strcspn(text, "}");
        enum explain_value value = VALUE_COUNT;
        if (text[length])
            value = explain_value_from_name(text + 1, length - 1);
        if (value == VALUE_COUNT) {
            fputc(*text++, out); /* a brace of JSON or Terraform */
            continue;
        }
        const char *known = values->of[value];
        fputs(*known ? known : explain_value_placeholder(value), out);
        text += length + 1;
    }
    if (fclose(out) != 0) {
        free(filled);
        return NULL;
    }
    return filled;
}

static void set_filled(json_t *object, const char *key, const char *text,
                       const struct explain_values *values)
{
    if (!text)
        return;
    _cleanup_free_ char *filled = fill(text, values);
    if (filled)
        json_object_set_new(object, key, json_string(filled));
}

static json_t *gate_to_json(const struct cause_info *gate)
{
    return json_pack("{s:s, s:i}", "cause", gate->name, "exit_code", gate->exit_code);
}

/* All causes of an entry, or only those that efs-init calls so. */
static void append_causes(json_t *causes, const struct explain_entry *entry, enum cause only,
                          const struct explain_values *values)
{
    for (const struct explain_cause *cause = entry->causes; cause->why; cause++) {
        if (only != CAUSE_NONE && cause->gate != only)
            continue;
        json_t *object = json_object();
        set_filled(object, "why", cause->why, values);
        set_filled(object, "confirm", cause->confirm, values);
        set_filled(object, "fix", cause->fix, values);
        set_filled(object, "cli", cause->cli, values);
        set_filled(object, "terraform", cause->terraform, values);
        if (cause->gate != only)
            json_object_set_new(object, "gate", gate_to_json(&cause_table[cause->gate]));
        json_array_append_new(causes, object);
    }
}

static json_t *values_to_json(const struct explain_values *values)
{
    json_t *object = json_object();
    for (enum explain_value value = 0; value < VALUE_COUNT; value++)
        if (*values->of[value])
            json_object_set_new(object, explain_value_name(value), json_string(values->of[value]));
    return object;
}

static json_t *sources_to_json(const struct explain_entry *entry)
{
    json_t *sources = json_array();
    for (size_t i = 0; entry && entry->sources[i]; i++)
        json_array_append_new(sources, json_string(entry->sources[i]));
    return sources;
}

static json_t *new_finding(const char *id, enum explain_level level, const char *meaning,
                           json_t *causes, const struct explain_entry *entry,
                           const struct explain_values *values)
{
    return json_pack("{s:s, s:s, s:s, s:o, s:o, s:o}", "id", id, "level", level_names[level],
                     "meaning", meaning, "causes", causes, "sources", sources_to_json(entry),
                     "values", values_to_json(values));
}

json_t *explain_finding(const struct explain_entry *entry, const struct explain_values *values)
{
    json_t *causes = json_array();
    append_causes(causes, entry, CAUSE_NONE, values);
    return new_finding(entry->id, entry->level, entry->meaning, causes, entry, values);
}

json_t *explain_gate_finding(const struct cause_info *gate, const struct explain_values *values)
{
    enum cause cause = (enum cause)(gate - cause_table);
    const struct explain_entry *entry = explain_entry_by_gate(cause);
    char meaning[512];
    snprintf(meaning, sizeof(meaning), "efs-init ended with exit code %d, %s: %s.", gate->exit_code,
             gate->name, gate->meaning);
    json_t *causes = json_array();
    json_array_append_new(causes, json_pack("{s:s, s:s}", "why",
                                            "The last line in the log of efs-init names path, ids "
                                            "and what it tried.",
                                            "fix", gate->fix));
    if (entry)
        append_causes(causes, entry, cause, values);
    return new_finding(entry ? entry->id : gate->name, LEVEL_CAUSE, meaning, causes, entry, values);
}

json_t *explain_nearest(const struct explain_result *result)
{
    json_t *nearest = json_array();
    for (size_t i = 0; i < result->n_nearest; i++)
        json_array_append_new(nearest, json_pack("{s:s, s:s}", "id", result->nearest[i]->id,
                                                 "meaning", result->nearest[i]->meaning));
    return nearest;
}
