#include "lib/explain/catalogue.h"

#include <string.h>

#include "lib/cleanup.h"

const struct explain_entry *explain_entry(size_t i)
{
    static const struct explain_entry *const parts[] = {
        explain_mounting, explain_settings, explain_using, explain_working, explain_running,
    };
    for (size_t part = 0; part < ARRAY_LEN(parts); part++)
        for (const struct explain_entry *entry = parts[part]; entry->id; entry++)
            if (i-- == 0)
                return entry;
    return NULL;
}

const struct explain_entry *explain_entry_by_id(const char *id)
{
    const struct explain_entry *entry;
    for (size_t i = 0; (entry = explain_entry(i)); i++)
        if (strcmp(entry->id, id) == 0)
            return entry;
    return NULL;
}

const struct explain_entry *explain_entry_by_exit_code(int exit_code)
{
    const struct explain_entry *entry;
    for (size_t i = 0; (entry = explain_entry(i)); i++)
        for (const int *code = entry->exit_codes; *code; code++)
            if (*code == exit_code)
                return entry;
    return NULL;
}

const struct explain_entry *explain_entry_by_gate(enum cause gate)
{
    const struct explain_entry *entry;
    for (size_t i = 0; (entry = explain_entry(i)); i++)
        for (const struct explain_cause *same = entry->causes; same->why; same++)
            if (same->gate == gate)
                return entry;
    return NULL;
}
