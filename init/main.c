/*
 * efs-init: proves that the mounts of a task are right before its app starts. One shot: settings,
 * checks (gate.c), report, exit code (cause.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "init/explain.h"
#include "init/gate.h"
#include "init/install.h"
#include "init/preflight.h"
#include "init/report.h"
#include "lib/cleanup.h"
#include "lib/fs.h"
#include "lib/harden.h"
#include "lib/json.h"
#include "lib/own_dir.h"
#include "lib/settings.h"

#define READY_FILE "ready.json"

static void cleanup_report_p(struct report *report)
{
    report_release(report);
}

static void cleanup_settings_p(struct settings *settings)
{
    config_release(&settings_table, settings);
}

static void install(const char *directory, struct report *report)
{
    struct error err = {0};
    char what[sizeof(report->installed)];
    if (install_tools(directory, what, sizeof(what), &err) < 0)
        report_fail_all(report, CAUSE_INSTALL_FAILED, "%s", err.text);
    else
        snprintf(report->installed, sizeof(report->installed), "installed %.480s", what);
}

static void print_help(void)
{
    puts(
        "usage: efs-init [options] [PATH[=FILE_SYSTEM_ID][:rw|:ro] ...]\n"
        "       efs-init explain [options] [TEXT | EXIT_CODE | ID]\n"
        "       efs-init preflight [options] FILE_SYSTEM_ID | DNS_NAME | IP_ADDRESS\n"
        "\n"
        "Checks that each PATH is on EFS and can be used as asked, says what is wrong if not, and\n"
        "writes the ready report RUN_DIR/" READY_FILE ". Exits with 0, or one code per cause.\n");
    config_print_help(&settings_table, PROGRAM_INIT, stdout);
    puts("\nExit codes:");
    for (int cause = 0; cause < CAUSE_COUNT; cause++)
        printf("  %3d  %-21s %s\n", cause_table[cause].exit_code, cause_table[cause].name,
               cause_table[cause].meaning);
}

/* All that is wrong in what the user wrote, then the answer with the first of it. */
static int refuse_usage(const struct config_report *errors)
{
    const char *text = errors->text, *prefix = "error: ";
    if (errors->n_errors > 1)
        fputs(text, stderr);
    if (strncmp(text, prefix, strlen(prefix)) == 0)
        text += strlen(prefix);
    fprintf(stderr, "efs-init: NOT READY (%s, exit %d): %.*s", cause_table[CAUSE_USAGE].name,
            cause_table[CAUSE_USAGE].exit_code, (int)strcspn(text, "\n"), text);
    if (errors->n_errors > 1)
        fprintf(stderr, ", and %u more above", errors->n_errors - 1);
    fprintf(stderr, ". %s\n", cause_table[CAUSE_USAGE].fix);
    return cause_table[CAUSE_USAGE].exit_code;
}

/* What an earlier run found must not be taken for this one's answer. */
static void remove_ready_file(const struct settings *settings)
{
    char path[PATH_MAX];
    if (settings_run_path(settings, READY_FILE, path, sizeof(path)) == 0)
        (void)unlink(path);
}

static int write_ready_file(const char *run_dir, const char *text)
{
    if (mkdir(run_dir, 0755) < 0 && errno != EEXIST)
        return -errno;
    _cleanup_close_ int dir = open(run_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return -errno;
    (void)own_dir_protect(dir);
    return fs_write_atomic(dir, READY_FILE, text, strlen(text), 0644);
}

static void publish(const struct settings *settings, struct report *report)
{
    for (int attempt = 0; attempt < 2; attempt++) {
        _cleanup_json_ json_t *json = report_to_json(report);
        _cleanup_free_ char *text = json_dumps(json, JSON_INDENT(2));
        int r = attempt > 0 ? 0 : text ? write_ready_file(settings->run_dir, text) : -ENOMEM;
        if (r < 0) {
            report_fail_all(report, CAUSE_RUN_DIR_UNWRITABLE,
                            "the ready report cannot be written to %s (%s)", settings->run_dir,
                            strerrordesc_np(-r));
            continue; /* the report on stdout tells that, too */
        }
        if (settings->init_format == FORMAT_JSON && text)
            puts(text);
        return;
    }
}

/* Options and positional mounts; every error of both is in errors. */
static enum config_action load(int argc, char **argv, struct settings *settings,
                               struct expectations *expect, struct config_report *errors)
{
    enum config_action action = CONFIG_RUN;
    int first = argc;
    (void)config_load(&settings_table, PROGRAM_INIT, argc, argv, settings, &action, &first, errors);
    if (action == CONFIG_HELP || action == CONFIG_VERSION)
        return action;
    for (int i = first; i < argc; i++)
        (void)config_add_mount(&settings->mounts, argv[i], errors);
    if (errors->n_errors == 0)
        (void)expect_load(settings, expect, errors);
    if (settings->mounts.n == 0 && errors->n_errors == 0 && !*settings->init_install)
        (void)config_error(errors, "nothing to check: name a directory, or set EFS_SIDECAR_MOUNTS");
    return action;
}

static int print_settings(const struct settings *settings)
{
    _cleanup_json_ json_t *json = config_to_json(&settings_table, settings);
    _cleanup_free_ char *text = json_dumps(json, JSON_INDENT(2));
    return text && puts(text) >= 0 ? 0 : cause_table[CAUSE_INTERNAL].exit_code;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "explain") == 0)
        return explain_main(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "preflight") == 0)
        return preflight_main(argc - 1, argv + 1);
    _cleanup_(cleanup_settings_p) struct settings settings = {0};
    _cleanup_(cleanup_report_p) struct report report = {0};
    _cleanup_(expect_release) struct expectations expect = {0};
    struct config_report errors = {0};

    enum config_action action = load(argc, argv, &settings, &expect, &errors);
    if (action == CONFIG_HELP) {
        print_help();
        return 0;
    }
    if (action == CONFIG_VERSION) {
        puts("efs-init " EFS_SIDECAR_VERSION);
        return 0;
    }
    if (errors.n_errors > 0)
        return refuse_usage(&errors);
    if (action == CONFIG_CHECK)
        return print_settings(&settings);

    harden_process(settings.seccomp, NULL); /* what it does not get does not fail the gate */
    remove_ready_file(&settings);
    if (*settings.init_install)
        install(settings.init_install, &report);
    if (settings.mounts.n > 0) {
        gate_run(&settings, &expect, stderr, &report);
        publish(&settings, &report);
    }
    report_print_checks(&report, stderr);
    report_print_answer(&report, stderr);
    return cause_table[report_cause(&report)].exit_code;
}
