#include "lib/config.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/config_value.h"
#include "lib/fs.h"
#include "lib/json.h"
#include "lib/test_hook.h"
#include "lib/typo.h"

#define VARIABLE_PREFIX "EFS_SIDECAR_"
#define FILE_VARIABLE   VARIABLE_PREFIX "CONFIG"

enum { NAME_TEXT = 64, CONFIG_FILE_MAX = 256 * 1024 };

int config_error(struct config_report *report, const char *format, ...)
{
    report->n_errors++;
    size_t used = strlen(report->text), left = sizeof(report->text) - used;
    if (left < CONFIG_TEXT_MAX / 2) /* full: n_errors still counts */
        return -EINVAL;
    char message[CONFIG_TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    snprintf(report->text + used, left, "error: %.400s\n", message);
    return -EINVAL;
}

void config_variable_name(const struct setting *setting, char *buf, size_t size)
{
    snprintf(buf, size, VARIABLE_PREFIX "%s", setting->name);
    for (char *p = buf; *p; p++)
        *p = *p == '.' ? '_' : (char)toupper((unsigned char)*p);
}

void config_option_name(const struct setting *setting, char *buf, size_t size)
{
    snprintf(buf, size, "%s", setting->name);
    for (char *p = buf; *p; p++)
        *p = *p == '.' || *p == '_' ? '-' : *p;
}

/* where names the source as the user wrote it: "--profile", "EFS_SIDECAR_PROFILE", "FILE: profile".
 */
static void apply(const struct config_table *table, size_t i, const char *text, const char *where,
                  enum config_source source, void *settings, struct config_report *report)
{
    const struct setting *setting = &table->settings[i];
    const char *why = NULL;
    char wanted[256];
    if (config_set_value(settings, setting, text, &why) < 0) {
        config_describe_wanted(setting, wanted, sizeof(wanted));
        config_error(report, "%s: \"%.200s\" %s", where, text, why ? why : wanted);
        return;
    }
    if (table->sources)
        table->sources[i] = source;
}

/* ---- unknown names: say what was probably meant ---- */

static void unknown_name(const struct config_table *table, const char *name, unsigned programs,
                         void (*to_name)(const struct setting *, char *, size_t), const char *where,
                         const char *what, struct config_report *report)
{
    char candidate[NAME_TEXT], nearest[NAME_TEXT] = "";
    unsigned best = typo_none(name);
    for (size_t i = 0; i < table->n; i++) {
        if (!(table->settings[i].programs & programs))
            continue;
        to_name(&table->settings[i], candidate, sizeof(candidate));
        if (typo_is_nearer(name, candidate, &best))
            memcpy(nearest, candidate, sizeof(nearest));
    }
    const char *dashes = to_name == config_option_name ? "--" : "";
    if (*nearest)
        config_error(report, "%sunknown %s %s%.200s (did you mean %s%s?)", where, what, dashes,
                     name, dashes, nearest);
    else
        config_error(report, "%sunknown %s %s%.200s", where, what, dashes, name);
}

/* ---- sources ---- */

static void dotted_name(const struct setting *setting, char *buf, size_t size)
{
    snprintf(buf, size, "%s", setting->name);
}

/* A JSON scalar, or an array of strings, as the text that the environment would have. NULL when it
 * is neither. */
static char *json_to_text(const json_t *value)
{
    if (json_is_string(value))
        return strdup(json_string_value(value));
    if (json_is_boolean(value))
        return strdup(json_is_true(value) ? "true" : "false");
    if (json_is_integer(value)) {
        char text[32];
        snprintf(text, sizeof(text), "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        return strdup(text);
    }
    if (!json_is_array(value))
        return NULL;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return NULL;
    bool good = true;
    for (size_t i = 0; i < json_array_size(value) && good; i++) {
        const char *entry = json_string_value(json_array_get(value, i));
        good = entry && !strchr(entry, ',');
        if (good)
            fprintf(out, "%s%s", i ? "," : "", entry);
    }
    fclose(out);
    if (!good) {
        free(text);
        return NULL;
    }
    return text;
}

static void apply_file_value(const struct config_table *table, const char *file, const char *name,
                             const json_t *value, void *settings, struct config_report *report)
{
    char where[PATH_MAX + NAME_TEXT];
    for (size_t i = 0; i < table->n; i++) {
        if (strcmp(table->settings[i].name, name) != 0)
            continue;
        snprintf(where, sizeof(where), "%s: %s", file, name);
        _cleanup_free_ char *text = json_to_text(value);
        if (text && !(json_is_integer(value) && table->settings[i].type == SETTING_MODE))
            apply(table, i, text, where, CONFIG_FILE, settings, report);
        else
            config_error(report, "%s: wants a string%s", where,
                         table->settings[i].type == SETTING_MODE ? " of octal digits" : "");
        return;
    }
    snprintf(where, sizeof(where), "%s: ", file);
    unknown_name(table, name, ~0U, dotted_name, where, "setting", report);
}

/* Objects nest: {"watch": {"max_dirs": 1}} is watch.max_dirs. */
static void apply_object(const struct config_table *table, const char *file, const char *prefix,
                         json_t *object, void *settings, struct config_report *report)
{
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        char name[2 * NAME_TEXT];
        snprintf(name, sizeof(name), "%s%s%.64s", prefix, *prefix ? "." : "", key);
        if (json_is_object(value) && !*prefix)
            apply_object(table, file, name, value, settings, report);
        else
            apply_file_value(table, file, name, value, settings, report);
    }
}

static void load_file(const struct config_table *table, const char *file, void *settings,
                      struct config_report *report)
{
    _cleanup_free_ char *text = NULL;
    _cleanup_json_ json_t *root = NULL;
    struct error err;
    size_t length;
    int r = fs_read_file(AT_FDCWD, file, CONFIG_FILE_MAX, &text, &length);
    if (r < 0) {
        config_error(report, "%s: cannot read the configuration file: %s", file,
                     r == -EFBIG ? "it is larger than 256 KiB" : strerror(-r));
        return;
    }
    if (json_parse(text, length, &root, &err) < 0) {
        config_error(report, "%s: %s", file, err.text);
        return;
    }
    apply_object(table, file, "", root, settings, report);
}

/* An empty variable counts as not set: task-definition templates produce them. */
static void load_environment(const struct config_table *table, void *settings,
                             struct config_report *report)
{
    const size_t prefix = strlen(VARIABLE_PREFIX);
    for (char **entry = environ; entry && *entry; entry++) {
        const char *value = strchr(*entry, '=');
        char name[NAME_TEXT], variable[NAME_TEXT];
        if (strncmp(*entry, VARIABLE_PREFIX, prefix) != 0 || !value)
            continue;
        snprintf(name, sizeof(name), "%.*s", (int)(value - *entry), *entry);
        value++;
        if (!*value || strcmp(name, FILE_VARIABLE) == 0 || test_hook_is_variable(name))
            continue;
        size_t i = 0;
        for (; i < table->n; i++) {
            config_variable_name(&table->settings[i], variable, sizeof(variable));
            if (strcmp(name, variable) == 0)
                break;
        }
        if (i < table->n)
            apply(table, i, value, name, CONFIG_ENVIRONMENT, settings, report);
        else
            unknown_name(table, name, ~0U, config_variable_name, "", "variable", report);
    }
}

enum { OPTION_FILE = 'c', OPTION_HELP = 'h', OPTION_VERSION = 'V', OPTION_CHECK = 1 };
enum { OPTION_SETTING = 256 }; /* + index into the table */

struct option_list {
    struct option *options;
    char (*names)[NAME_TEXT];
};

static void release_options(struct option_list *list)
{
    free(list->options);
    free(list->names);
}

static int make_options(const struct config_table *table, unsigned program,
                        struct option_list *ret_list)
{
    static const struct option common[] = {
        {"config", required_argument, NULL, OPTION_FILE},
        {"help", no_argument, NULL, OPTION_HELP},
        {"version", no_argument, NULL, OPTION_VERSION},
        {"check", no_argument, NULL, OPTION_CHECK},
    };
    struct option_list list = {
        .options = calloc(table->n + ARRAY_LEN(common) + 1, sizeof(struct option)),
        .names = calloc(table->n + 1, NAME_TEXT),
    };
    if (!list.options || !list.names) {
        release_options(&list);
        return -ENOMEM;
    }
    size_t n = 0;
    for (; n < ARRAY_LEN(common); n++)
        list.options[n] = common[n];
    for (size_t i = 0; i < table->n; i++) {
        const struct setting *setting = &table->settings[i];
        if (!(setting->programs & program))
            continue;
        config_option_name(setting, list.names[i], NAME_TEXT);
        list.options[n++] = (struct option){
            .name = list.names[i],
            .has_arg = setting->type == SETTING_BOOL ? optional_argument : required_argument,
            .val = OPTION_SETTING + (int)i,
        };
    }
    *ret_list = list;
    return 0;
}

struct option_value {
    size_t setting;
    const char *text;
};

/* First pass: what was given, so that the file can be read before the options are applied. */
static int scan_options(const struct config_table *table, unsigned program, int argc, char **argv,
                        struct option_value *values, size_t *ret_n, const char **ret_file,
                        enum config_action *ret_action, struct config_report *report)
{
    _cleanup_(release_options) struct option_list list = {0};
    int r = make_options(table, program, &list);
    if (r < 0)
        return r;
    const char *letters = program & CONFIG_OPTIONS_FIRST ? "+:hVc:" : ":hVc:";
    opterr = 0;
    optind = 0;
    for (int c; (c = getopt_long(argc, argv, letters, list.options, NULL)) != -1;) {
        if (c >= OPTION_SETTING) {
            values[(*ret_n)++] = (struct option_value){(size_t)(c - OPTION_SETTING), optarg};
            continue;
        }
        switch (c) {
        case OPTION_FILE:
            *ret_file = optarg;
            break;
        case OPTION_HELP:
            *ret_action = CONFIG_HELP;
            break;
        case OPTION_VERSION:
            *ret_action = CONFIG_VERSION;
            break;
        case OPTION_CHECK:
            if (*ret_action == CONFIG_RUN)
                *ret_action = CONFIG_CHECK;
            break;
        case ':':
            config_error(report, "option %s wants a value", argv[optind - 1]);
            break;
        default: {
            char name[NAME_TEXT];
            if (optopt && optopt < OPTION_SETTING) {
                config_error(report, "unknown option -%c", optopt);
                break;
            }
            snprintf(name, sizeof(name), "%.*s", (int)strcspn(argv[optind - 1], "="),
                     argv[optind - 1]);
            unknown_name(table, name + strspn(name, "-"), program, config_option_name, "", "option",
                         report);
        }
        }
    }
    return 0;
}

static void load_options(const struct config_table *table, const struct option_value *values,
                         size_t n, void *settings, struct config_report *report)
{
    for (size_t i = 0; i < n; i++) {
        char name[NAME_TEXT], where[NAME_TEXT + 2];
        config_option_name(&table->settings[values[i].setting], name, sizeof(name));
        snprintf(where, sizeof(where), "--%s", name);
        apply(table, values[i].setting, values[i].text ? values[i].text : "true", where,
              CONFIG_OPTION, settings, report);
    }
}

int config_load(const struct config_table *table, unsigned program, int argc, char **argv,
                void *ret_settings, enum config_action *ret_action, int *ret_first,
                struct config_report *report)
{
    const char *file = getenv(FILE_VARIABLE);
    _cleanup_free_ struct option_value *values = calloc((size_t)argc + 1, sizeof(*values));
    size_t n_values = 0;
    *report = (struct config_report){0};
    *ret_action = CONFIG_RUN;
    memset(ret_settings, 0, table->struct_size);
    if (!values)
        return -ENOMEM;

    for (size_t i = 0; i < table->n; i++)
        apply(table, i, table->settings[i].initial, "default", CONFIG_DEFAULT, ret_settings,
              report);
    int r = scan_options(table, program, argc, argv, values, &n_values, &file, ret_action, report);
    if (r < 0) {
        config_release(table, ret_settings);
        return r;
    }
    if (file && *file)
        load_file(table, file, ret_settings, report);
    load_environment(table, ret_settings, report);
    load_options(table, values, n_values, ret_settings, report);
    *ret_first = optind;
    if (report->n_errors == 0 || *ret_action == CONFIG_HELP || *ret_action == CONFIG_VERSION)
        return 0;
    config_release(table, ret_settings);
    return -EINVAL;
}
