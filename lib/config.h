/*
 * config: one table of settings drives the JSON file, the environment, the command line, --help,
 * --check, the manual page and its test. Later wins: default, file, environment, options.
 *
 * A setting "watch.max_dirs" is
 *     {"watch": {"max_dirs": 8192}} or {"watch.max_dirs": 8192} in the file,
 *     EFS_SIDECAR_WATCH_MAX_DIRS in the environment,
 *     --watch-max-dirs=8192 on the command line of the programs that use it.
 * The file and the environment are shared by all programs of a task: there every setting is known
 * to every program. An unknown EFS_SIDECAR_ variable is an error, because it is a typing error far
 * more often than anything else.
 *
 *     struct settings settings;                                   // see settings.h
 *     struct config_report report;
 *     r = config_load(&settings_table, PROGRAM_SIDECAR, argc, argv, &settings, &report);
 *     if (r < 0)
 *         fputs(report.text, stderr);  // all errors at once, a line each
 *
 * Ownership: strings and lists in the structure are released by config_release(). Threads: load in
 * one, read in all.
 */
#ifndef LIB_CONFIG_H
#define LIB_CONFIG_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

enum setting_type {
    SETTING_BOOL,     /* bool */
    SETTING_COUNT,    /* int64_t */
    SETTING_DURATION, /* int64_t, ms */
    SETTING_SIZE,     /* int64_t, bytes */
    SETTING_MODE,     /* mode_t, octal */
    SETTING_CHOICE,   /* int, index into words */
    SETTING_TEXT,     /* char *, "" when not set; at most max bytes */
    SETTING_PATH,     /* char *, absolute, or "" when not set */
    SETTING_NAMES,    /* struct name_list, comma-separated, at most max entries */
    SETTING_IDS,      /* struct ids_setting, "UID:GID" */
    SETTING_MOUNTS,   /* struct mount_list */
};

#define CONFIG_TEXT_MAX   1024 /* bytes of one text, path, or list entry */
#define CONFIG_NAMES_MAX  32
#define CONFIG_MOUNTS_MAX 16

struct name_list {
    size_t n;
    char *names[CONFIG_NAMES_MAX];
};

struct ids_setting {
    bool set;
    uid_t uid;
    gid_t gid;
};

/* "/data=fs-0123456789abcdef0:rw": the path, optionally the file system that is expected there, how
 * it is used. */
struct mount_setting {
    char *path;           /* absolute, no trailing '/', no ".." */
    char *file_system_id; /* "" when not given */
    bool read_only;
};

struct mount_list {
    size_t n;
    struct mount_setting mounts[CONFIG_MOUNTS_MAX];
};

struct setting {
    const char *name;
    enum setting_type type;
    unsigned programs;   /* whose command line takes it: PROGRAM_ bits of settings.h */
    size_t offset;       /* in the structure */
    const char *initial; /* default, as text */
    int64_t min, max;
    const char *const *words; /* SETTING_CHOICE: NULL-terminated */
    const char *help;         /* one sentence, no full stop */
};

enum config_source { CONFIG_DEFAULT, CONFIG_FILE, CONFIG_ENVIRONMENT, CONFIG_OPTION };

struct config_table {
    const struct setting *settings;
    size_t n;
    size_t struct_size;
    enum config_source
        *sources; /* n entries: where each value came from, filled by config_load() */
};

/* Or'ed to the program of config_load(): options end at the first argument that is none, for
 * programs with commands that have options of their own. */
#define CONFIG_OPTIONS_FIRST (1U << 31)

struct config_report {
    unsigned n_errors;
    char
        text[8192]; /* a line each, "error: " in front; cut with a last line that counts the rest */
};

enum config_action { CONFIG_RUN, CONFIG_HELP, CONFIG_VERSION, CONFIG_CHECK };

/*
 * Fill *ret_settings from all sources. --help, --version, --check (and -h, -V) are taken here;
 * *ret_action says which. argv is permuted; *ret_first is the index of the first argument that is
 * no option. 0, or -EINVAL with every error in the report (the structure is then released).
 */
int config_load(const struct config_table *table, unsigned program, int argc, char **argv,
                void *ret_settings, enum config_action *ret_action, int *ret_first,
                struct config_report *report);

void config_release(const struct config_table *table, void *settings);

/* Parse one "PATH[=FILE_SYSTEM_ID][:rw|:ro]" more into the list: for positional arguments. */
int config_add_mount(struct mount_list *list, const char *text, struct config_report *report);

/* One more error line. Returns -EINVAL. */
int config_error(struct config_report *report, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The settings that program takes, as for --help: option, default, meaning. */
void config_print_help(const struct config_table *table, unsigned program, FILE *out);

/* The settings that program takes, as mdoc(7) list items with variable and bounds: for the manual
 * pages. */
void config_print_mdoc(const struct config_table *table, unsigned program, FILE *out);

/* {"watch.max_dirs": {"value": "8192", "source": "default"}, ...} for --check and the API. */
json_t *config_to_json(const struct config_table *table, const void *settings);

/* "--watch-max-dirs=100" ... for every setting that program takes and that was set to anything: to
 * start it with the same settings. NULL-terminated; NULL: no memory. */
char **config_to_options(const struct config_table *table, unsigned program, const void *settings);
void config_free_options(char **options); /* NULL is fine */

/* EFS_SIDECAR_WATCH_MAX_DIRS and --watch-max-dirs (without the dashes) into buf. */
void config_variable_name(const struct setting *setting, char *buf, size_t size);
void config_option_name(const struct setting *setting, char *buf, size_t size);

#endif
