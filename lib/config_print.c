/* config: the table as help text, manual page and JSON. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/config.h"
#include "lib/json.h"
#include "lib/text.h"

static const char *placeholder(const struct setting *setting)
{
    static const char *const names[] = {
        [SETTING_BOOL] = "BOOL",
        [SETTING_COUNT] = "N",
        [SETTING_DURATION] = "TIME",
        [SETTING_SIZE] = "SIZE",
        [SETTING_MODE] = "MODE",
        [SETTING_CHOICE] = "WORD",
        [SETTING_TEXT] = "TEXT",
        [SETTING_PATH] = "PATH",
        [SETTING_NAMES] = "A,B,...",
        [SETTING_IDS] = "UID:GID",
        [SETTING_MOUNTS] = "PATH=FS:rw,...",
    };
    return names[setting->type];
}

void config_print_help(const struct config_table *table, unsigned program, FILE *out)
{
    for (size_t i = 0; i < table->n; i++) {
        const struct setting *setting = &table->settings[i];
        if (!(setting->programs & program))
            continue;
        char option[64], head[128];
        config_option_name(setting, option, sizeof(option));
        snprintf(head, sizeof(head), "--%s=%s", option, placeholder(setting));
        fprintf(out, "  %s\n      %s", head, setting->help);
        if (*setting->initial)
            fprintf(out, " [%s]", setting->initial);
        fputc('\n', out);
    }
    fputs(
        "  --config=FILE, -c FILE\n      JSON file with any of the settings [$EFS_SIDECAR_CONFIG]\n"
        "  --check\n      Print what the settings are and where they came from, and exit\n"
        "  --version, -V\n  --help, -h\n"
        "Each setting is also a variable: --watch-max-dirs is EFS_SIDECAR_WATCH_MAX_DIRS.\n",
        out);
}

static void print_bounds(const struct setting *setting, FILE *out)
{
    char min[TEXT_SHORT], max[TEXT_SHORT];
    switch (setting->type) {
    case SETTING_CHOICE:
        fputs("One of", out);
        for (int i = 0; setting->words[i]; i++)
            fprintf(out, "%s %s", i ? "," : "", setting->words[i]);
        fputs(".\n", out);
        break;
    case SETTING_COUNT:
    case SETTING_SIZE:
        fprintf(out, "From %lld to %lld.\n", (long long)setting->min, (long long)setting->max);
        break;
    case SETTING_DURATION:
        fprintf(out, "From %s to %s.\n", text_duration_exact(setting->min, min),
                text_duration_exact(setting->max, max));
        break;
    default:
        break;
    }
}

void config_print_mdoc(const struct config_table *table, unsigned program, FILE *out)
{
    for (size_t i = 0; i < table->n; i++) {
        const struct setting *setting = &table->settings[i];
        if (!(setting->programs & program))
            continue;
        char option[64], variable[64];
        config_option_name(setting, option, sizeof(option));
        config_variable_name(setting, variable, sizeof(variable));
        fprintf(out, ".It Fl -%s Ns = Ns Ar %s , Ev %s\n%s.\n", option, placeholder(setting),
                variable, setting->help);
        print_bounds(setting, out);
        if (*setting->initial)
            fprintf(out, "The default is\n.Ql %s .\n", setting->initial);
    }
    fputs(".It Fl -config Ns = Ns Ar FILE , Fl c Ar FILE , Ev EFS_SIDECAR_CONFIG\n"
          "JSON file with any of the settings.\n"
          ".It Fl -check\n"
          "Print what the settings are and where they came from, and exit.\n"
          ".It Fl -version , Fl V\n.It Fl -help , Fl h\n",
          out);
}

static void append_names(FILE *out, const struct name_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        fprintf(out, "%s%s", i ? "," : "", list->names[i]);
}

static void append_mounts(FILE *out, const struct mount_list *list)
{
    for (size_t i = 0; i < list->n; i++) {
        const struct mount_setting *mount = &list->mounts[i];
        fprintf(out, "%s%s%s%s:%s", i ? "," : "", mount->path, *mount->file_system_id ? "=" : "",
                mount->file_system_id, mount->read_only ? "ro" : "rw");
    }
}

/* The value as text that the same setting would accept. */
static void append_value(FILE *out, const struct setting *setting, const void *value)
{
    const struct ids_setting *ids = value;
    switch (setting->type) {
    case SETTING_BOOL:
        fputs(*(const bool *)value ? "true" : "false", out);
        break;
    case SETTING_COUNT:
    case SETTING_SIZE:
        fprintf(out, "%lld", (long long)*(const int64_t *)value);
        break;
    case SETTING_DURATION:
        fprintf(out, "%lldms", (long long)*(const int64_t *)value);
        break;
    case SETTING_MODE:
        fprintf(out, "%04o", *(const mode_t *)value);
        break;
    case SETTING_CHOICE:
        fputs(setting->words[*(const int *)value], out);
        break;
    case SETTING_TEXT:
    case SETTING_PATH:
        fputs(*(char *const *)value, out);
        break;
    case SETTING_NAMES:
        append_names(out, value);
        break;
    case SETTING_IDS:
        if (ids->set)
            fprintf(out, "%u:%u", ids->uid, ids->gid);
        break;
    case SETTING_MOUNTS:
        append_mounts(out, value);
        break;
    }
}

/* NULL: no memory. */
static char *value_text(const struct setting *setting, const void *settings)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return NULL;
    append_value(out, setting, (const char *)settings + setting->offset);
    return fclose(out) == 0 ? text : NULL;
}

void config_free_options(char **options)
{
    for (size_t i = 0; options && options[i]; i++)
        free(options[i]);
    free(options);
}

char **config_to_options(const struct config_table *table, unsigned program, const void *settings)
{
    char **options = calloc(table->n + 1, sizeof(*options));
    size_t n = 0;
    for (size_t i = 0; options && i < table->n; i++) {
        const struct setting *setting = &table->settings[i];
        if (!(setting->programs & program) || table->sources[i] == CONFIG_DEFAULT)
            continue;
        char name[64];
        config_option_name(setting, name, sizeof(name));
        _cleanup_free_ char *text = value_text(setting, settings);
        if (!text || asprintf(&options[n], "--%s=%s", name, text) < 0) {
            options[n] = NULL;
            config_free_options(options);
            return NULL;
        }
        n++;
    }
    return options;
}

json_t *config_to_json(const struct config_table *table, const void *settings)
{
    static const char *const source_names[] = {
        [CONFIG_DEFAULT] = "default",
        [CONFIG_FILE] = "file",
        [CONFIG_ENVIRONMENT] = "environment",
        [CONFIG_OPTION] = "option",
    };
    json_t *root = json_object();
    for (size_t i = 0; i < table->n; i++) {
        const struct setting *setting = &table->settings[i];
        _cleanup_free_ char *text = value_text(setting, settings);
        if (!text)
            continue;
        json_t *entry = json_object();
        json_object_set_new(entry, "value", json_string_lossy(text));
        if (table->sources)
            json_object_set_new(entry, "source", json_string(source_names[table->sources[i]]));
        json_object_set_new(root, setting->name, entry);
    }
    return root;
}
